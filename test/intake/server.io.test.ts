import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpApiClient from "@effect/platform/HttpApiClient"
import { assert, describe, it } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { connect, type Socket } from "node:net"
import { layerIntake } from "../support/intake.js"
import { metrics } from "../support/reporterContract.js"

interface RawConnection {
  readonly socket: Socket
  readonly received: () => string
  /** Waits until this text has arrived. */
  readonly receives: (text: string) => Effect.Effect<void>
  readonly closed: Effect.Effect<void>
}

/** Opens a connection, and sends text on it. It stays half open until the intake destroys it or the scope closes. */
const openRaw = (url: string, text: string) =>
  Effect.acquireRelease(
    Effect.async<RawConnection>(
      (resume) => {
        const { hostname, port } = new URL(url)
        const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true })
        const closed = new Promise<void>((resolve) => socket.once("end", resolve).once("close", () => resolve()))
        const receives = (text: string) =>
          Effect.async<void>((resume) => {
            const check = () => received.includes(text) ? resume(Effect.void) : undefined
            socket.on("data", check)
            check()
          })
        let received = ""
        socket.on("error", () => {})
        socket.on("data", (data) => {
          received += data.toString()
        })
        socket.once("connect", () => {
          socket.write(text, () =>
            resume(Effect.succeed({
              socket,
              receives,
              received: () => received,
              closed: Effect.promise(() => closed)
            })))
        })
      }
    ),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

const upgradeTo = (protocol: string, method: string, path: string) =>
  `${method} ${path} HTTP/1.1\r\nhost: localhost\r\ndd-api-key: k\r\nconnection: Upgrade\r\nupgrade: ${protocol}\r\n\r\n`

const post = (url: string, body: unknown) =>
  Effect.promise((signal) =>
    fetch(`${url}/api/v1/series`, {
      method: "POST",
      headers: { "dd-api-key": "k" },
      body: JSON.stringify(body),
      signal
    })
  )

describe("LocalIntake on a port", () => {
  it.effect("accepts 200 requests over 50 concurrent connections", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const bodies = Array.from({ length: 200 }, (_, index) => ({
        series: [{ metric: `m${index}`, points: [[1, index]] }]
      }))
      const replies = yield* Effect.forEach(bodies, (body) => post(intake.url, body), { concurrency: 50 })
      for (const { status } of replies) assert.strictEqual(status, 202)
      const names = new Set((yield* intake.series).map(({ metric }) => metric))
      assert.strictEqual(names.size, bodies.length)
      assert.strictEqual((yield* intake.requests).length, bodies.length)
    }).pipe(Effect.provide(layerIntake())))

  it.effect("listens beside another intake on another port", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* Effect.gen(function*() {
        const other = yield* LocalIntake.LocalIntake
        assert.notStrictEqual(other.url, intake.url)
        yield* post(other.url, { series: metrics })
        assert.strictEqual((yield* other.series).length, metrics.length)
      }).pipe(Effect.provide(layerIntake()))
      assert.deepStrictEqual(yield* intake.series, [])
    }).pipe(Effect.provide(layerIntake())))

  it.effect("answers the derived client over fetch with typed errors", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const client = yield* HttpApiClient.make(LocalIntake.Api, { baseUrl: intake.url })
      assert.deepStrictEqual(yield* Effect.flip(client.datadog.validate()), { errors: ["API key required"] })
      assert.deepStrictEqual((yield* client.view()).requests.map(({ status }) => status), [403])
    }).pipe(Effect.provide([layerIntake(), FetchHttpClient.layer])))

  it.effect("closes while a request is pending, and answers the request with 503", () =>
    Effect.gen(function*() {
      const arrived = yield* Deferred.make<void>()
      const pending = yield* Effect.gen(function*() {
        const intake = yield* LocalIntake.LocalIntake
        yield* intake.script([Effect.zipRight(Deferred.succeed(arrived, undefined), Effect.never)])
        const fiber = yield* Effect.forkDaemon(post(intake.url, { series: metrics }))
        yield* Deferred.await(arrived)
        return fiber
      }).pipe(Effect.provide(layerIntake()))
      assert.strictEqual((yield* Fiber.join(pending)).status, 503)
    }))
})

describe("a request with the header Upgrade", () => {
  it.effect("is refused with a reason, and its connection is closed", () =>
    Effect.gen(function*() {
      const { url } = yield* LocalIntake.LocalIntake
      for (
        const [protocol, method, path] of [["websocket", "GET", "/feed"], ["h2c", "POST", "/api/v1/series"]] as const
      ) {
        const { closed, received } = yield* openRaw(url, upgradeTo(protocol, method, path))
        yield* closed
        assert.match(received(), /^HTTP\/1\.1 400 Bad Request\r\n[^]*Send the request without the header Upgrade/)
      }
    }).pipe(Effect.scoped, Effect.provide(layerIntake())))

  it.effect("does not end the process when its connection breaks", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      for (let i = 0; i < 20; i++) {
        const { socket } = yield* openRaw(intake.url, upgradeTo("websocket", "GET", "/feed").repeat(1 + i % 2))
        socket.resetAndDestroy()
        yield* post(intake.url, { series: metrics })
      }
      assert.strictEqual((yield* intake.summary).requests, 20)
    }).pipe(Effect.scoped, Effect.provide(layerIntake())))

  it.effect("does not keep the intake open when the client does not close its side", () =>
    Effect.gen(function*() {
      const { received } = yield* Effect.gen(function*() {
        const { url } = yield* LocalIntake.LocalIntake
        const connection = yield* openRaw(url, upgradeTo("websocket", "GET", "/"))
        yield* connection.receives("Send the request")
        return connection
      }).pipe(Effect.provide(layerIntake()))
      assert.include(received(), "400 Bad Request")
    }).pipe(Effect.scoped))
})

describe("a request whose body is incomplete", () => {
  it.effect("does not keep the intake open", () =>
    Effect.gen(function*() {
      const { closed } = yield* Effect.gen(function*() {
        const { url } = yield* LocalIntake.LocalIntake
        const head =
          "POST /api/v1/series HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n"
        const connection = yield* openRaw(url, head)
        yield* connection.receives("100 Continue")
        return connection
      }).pipe(Effect.provide(layerIntake()))
      yield* closed
    }).pipe(Effect.scoped))
})
