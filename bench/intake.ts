/** An intake on the loopback interface: it takes what a function posts, and tells which metrics were in it. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { inflateSync } from "node:zlib"

export interface Intake {
  readonly url: string
  /** The names of the metrics that arrived since the last call. */
  readonly take: () => ReadonlyArray<string>
  readonly stop: () => Promise<void>
}

export const start = async (): Promise<Intake> => {
  let arrived: Array<string> = []
  const server = createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk) => chunks.push(chunk))
    request.on("end", () => {
      if (request.method === "POST") {
        const body = Buffer.concat(chunks)
        const { series } = JSON.parse((body[0] === 0x78 ? inflateSync(body) : body).toString())
        for (const { metric } of series) arrived.push(metric)
      }
      response.writeHead(202, { "content-type": "application/json" }).end("{\"status\":\"ok\"}")
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    take: () => {
      const taken = arrived
      arrived = []
      return taken
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
  }
}
