/**
 * Receivers on the loopback interface: HTTP, HTTPS and DogStatsD. They collect the names of the metrics that arrive. The receiver for HTTP is
 * also the Extensions API of AWS Lambda, which announces an invocation whenever the extension requests the next event.
 */
import { createSocket } from "node:dgram"
import { mkdirSync, writeFileSync } from "node:fs"
import { createServer, type RequestListener, type Server, type ServerResponse } from "node:http"
import { createServer as createTlsServer } from "node:https"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { inflateSync } from "node:zlib"
import { selfSigned } from "../test/support/certificate.js"
import { output } from "./bundle.js"

export interface Intake {
  /** Variables that a child process needs to reach the receivers. */
  readonly environment: { readonly [variable: string]: string }
  /** Returns the names of the metrics that arrived since the last call. */
  readonly take: () => ReadonlyArray<string>
  readonly stop: () => Promise<void>
}

const portOf = (server: { readonly address: () => AddressInfo | string | null }) =>
  (server.address() as AddressInfo).port

const listen = (server: Server) => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))

const close = (server: Server) =>
  new Promise<void>((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })

const extensionPath = "/2020-01-01/extension"

export const start = async (): Promise<Intake> => {
  let arrived: Array<string> = []
  let invocations = 0
  const answerExtension = (path: string, response: ServerResponse) => {
    if (path === `${extensionPath}/register`) {
      invocations = 0
      response.writeHead(200, { "Lambda-Extension-Identifier": "bench" }).end("{}")
      return
    }
    invocations++
    response.end(
      JSON.stringify({ eventType: "INVOKE", requestId: `bench-${invocations}`, deadlineMs: Date.now() + 600_000 })
    )
  }
  const listener: RequestListener = (request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk) => chunks.push(chunk))
    request.on("end", () => {
      const path = request.url!
      if (path.startsWith(extensionPath)) {
        answerExtension(path, response)
        return
      }
      if (request.method === "POST") {
        const body = Buffer.concat(chunks)
        const { series } = JSON.parse((body[0] === 0x78 ? inflateSync(body) : body).toString())
        for (const { metric } of series) arrived.push(metric)
      }
      response.writeHead(202, { "content-type": "application/json" }).end("{\"status\":\"ok\"}")
    })
  }
  const plain = createServer(listener)
  const certificate = selfSigned()
  const secure = createTlsServer(certificate, listener)
  const datagrams = createSocket("udp4", (message) => {
    for (const line of message.toString().split("\n")) {
      if (line !== "") arrived.push(line.slice(0, line.indexOf(":")))
    }
  })
  await Promise.all([
    listen(plain),
    listen(secure),
    new Promise<void>((resolve) => datagrams.bind(0, "127.0.0.1", resolve))
  ])
  mkdirSync(output, { recursive: true })
  const certificateFile = join(output, "certificate.pem")
  writeFileSync(certificateFile, certificate.cert)
  return {
    environment: {
      AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${portOf(plain)}`,
      DATADOG_HOST: `http://127.0.0.1:${portOf(plain)}`,
      DD_DOGSTATSD_URL: `udp://127.0.0.1:${portOf(datagrams)}`,
      BENCH_TLS_PORT: String(portOf(secure)),
      NODE_EXTRA_CA_CERTS: certificateFile
    },
    take: () => {
      const taken = arrived
      arrived = []
      return taken
    },
    stop: async () => {
      datagrams.close()
      await Promise.all([close(plain), close(secure)])
    }
  }
}
