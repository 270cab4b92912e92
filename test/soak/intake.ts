import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { gunzipSync, inflateSync } from "node:zlib"

/** An intake that only adds up the values that arrive. */
export interface CountingIntake {
  readonly url: string
  /** Sums of the values of all points, by metric. */
  readonly sums: Readonly<Record<string, number>>
  /** Number of requests with metrics. */
  readonly posts: () => number
  /** Number of connections that were opened. */
  readonly connections: () => number
}

const decoders: Record<string, (body: Buffer) => Buffer> = { deflate: inflateSync, gzip: gunzipSync }

export const make: Effect.Effect<CountingIntake, never, Scope.Scope> = Effect.gen(function*() {
  const sums: Record<string, number> = {}
  let posts = 0
  let connections = 0
  const server = createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk) => chunks.push(chunk))
    request.on("end", () => {
      if (request.method !== "POST") return response.end("{\"valid\":true}")
      posts++
      const decode = decoders[request.headers["content-encoding"] ?? ""] ?? ((body: Buffer) => body)
      const { series } = JSON.parse(decode(Buffer.concat(chunks)).toString("utf8")) as {
        readonly series: ReadonlyArray<{
          readonly metric: string
          readonly points: ReadonlyArray<readonly [number, number | ReadonlyArray<number>]>
        }>
      }
      for (const { metric, points } of series) {
        for (const [, values] of points) {
          for (const value of [values].flat()) sums[metric] = (sums[metric] ?? 0) + value
        }
      }
      return response.writeHead(202, { "content-type": "application/json" }).end("{\"status\":\"ok\"}")
    })
  })
  server.on("connection", () => connections++)
  yield* Effect.acquireRelease(
    Effect.async<void>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.async<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    sums,
    posts: () => posts,
    connections: () => connections
  }
})
