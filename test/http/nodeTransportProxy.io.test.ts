import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import * as http from "node:http"
import * as https from "node:https"
import { type AddressInfo, connect, type Server } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { beforeAll } from "vitest"
import { selfSigned } from "../support/certificate.js"
import { bundle, node } from "../support/childProcess.js"

const credentials = `Basic ${Buffer.from("user:s%cret").toString("base64")}`

const listen = (server: Server) =>
  Effect.acquireRelease(
    Effect.async<number>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed((server.address() as AddressInfo).port)))
    }),
    () =>
      Effect.sync(() => {
        server.close()
        if (server instanceof http.Server) server.closeAllConnections()
      })
  )

/** Starts an intake with TLS under an address that only the proxy can reach, and the proxy. Each tunnel and request is in `seen`. */
const start = Effect.gen(function*() {
  const seen: Array<string> = []
  const certificate = selfSigned([192, 0, 2, 1])
  const accept: http.RequestListener = (request, response) => {
    request.resume().on("end", () => response.writeHead(202).end(`{"status":"ok"}`))
  }
  const intake = yield* listen(https.createServer(certificate, accept))
  const proxy = http.createServer((request, response) => {
    seen.push(`${request.method} ${request.url} ${request.headers.host}`)
    if (request.headers["proxy-authorization"] === credentials) accept(request, response)
    else response.writeHead(407).end()
  })
  proxy.on("connect", (request, socket) => {
    seen.push(`CONNECT ${request.url}`)
    if (request.headers["proxy-authorization"] !== credentials) {
      socket.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
      return
    }
    const tunnel = connect(intake, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n")
      tunnel.pipe(socket).pipe(tunnel)
    })
    socket.on("error", () => tunnel.destroy())
    tunnel.on("error", () => socket.destroy())
  })
  const port = yield* listen(proxy)
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "proxy-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  )
  const authority = join(folder, "ca.pem")
  writeFileSync(authority, certificate.cert)
  return { seen, port, env: { NODE_EXTRA_CA_CERTS: authority, DD_API_KEY: "key" } }
})

describe.concurrent("nodeTransport with a proxy", () => {
  let child: string

  beforeAll(async () => {
    child = await bundle("test/http/proxy/child.ts")
  })

  const outcomesOf = (env: Record<string, string>) =>
    Effect.gen(function*() {
      const { ended } = yield* node([child], env)
      const { code, stderr, stdout } = yield* ended
      assert.deepStrictEqual([code, stderr], [0, ""])
      assert.notInclude(stdout, "s%cret")
      return JSON.parse(stdout) as ReadonlyArray<{ readonly delivered: number; readonly errors: ReadonlyArray<string> }>
    })

  it.scopedLive("delivers twice through one tunnel, and trusts NODE_EXTRA_CA_CERTS", () =>
    Effect.gen(function*() {
      const { env, port, seen } = yield* start
      const outcomes = yield* outcomesOf({
        ...env,
        DATADOG_HOST: "https://192.0.2.1",
        HTTPS_PROXY: `http://user:s%25cret@127.0.0.1:${port}`
      })
      assert.deepStrictEqual(outcomes, [{ delivered: 1, errors: [] }, { delivered: 1, errors: [] }])
      assert.deepStrictEqual(seen, ["CONNECT 192.0.2.1:443"])
    }))

  it.scopedLive("names the proxy, and not its password, when the proxy refuses the tunnel", () =>
    Effect.gen(function*() {
      const { env, port } = yield* start
      const [outcome] = yield* outcomesOf({
        ...env,
        DATADOG_HOST: "https://192.0.2.1",
        DD_PROXY_HTTPS: `http://user:wrong@127.0.0.1:${port}`
      })
      assert.strictEqual(outcome?.delivered, 0)
      assert.include(outcome?.errors[0], `the proxy http://127.0.0.1:${port} refused the connection with status 407`)
      assert.notInclude(outcome?.errors[0], "wrong")
    }))

  it.scopedLive("names the proxy when it is not reachable", () =>
    Effect.gen(function*() {
      const { env } = yield* start
      const port = yield* Effect.scoped(listen(http.createServer()))
      const [outcome] = yield* outcomesOf({
        ...env,
        HTTPS_PROXY: `127.0.0.1:${port}`,
        DATADOG_HOST: "https://192.0.2.1"
      })
      assert.match(outcome!.errors[0]!, /ECONNREFUSED.*through the proxy http:\/\/127\.0\.0\.1:\d+/)
    }))

  it.scopedLive("sends requests to an API without TLS to the proxy itself", () =>
    Effect.gen(function*() {
      const { env, port, seen } = yield* start
      const outcomes = yield* outcomesOf({
        ...env,
        DATADOG_HOST: "http://intake.example:8126/path",
        HTTP_PROXY: `http://user:s%25cret@127.0.0.1:${port}`
      })
      assert.deepStrictEqual(outcomes.map(({ delivered }) => delivered), [1, 1])
      const url = "http://intake.example:8126/path/api/v1/series"
      assert.deepStrictEqual(seen, Array(2).fill(`POST ${url} intake.example:8126`))
    }))
})
