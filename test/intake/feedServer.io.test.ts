import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import { createServer, type Server } from "node:http"
import { connect, type Socket } from "node:net"
import * as Feed from "../support/feed.js"
import { layerIntake } from "../support/intake.js"
import { gauge } from "../support/intakeClient.js"

const now = 1_700_000_020

const postSeries = (url: string, ...series: ReadonlyArray<object>) =>
  Effect.promise(async (signal) => {
    const { status } = await fetch(`${url}/api/v1/series`, {
      method: "POST",
      headers: { "dd-api-key": "k" },
      body: JSON.stringify({ series }),
      signal
    })
    assert.strictEqual(status, 202)
  })

/** Sends `GET /feed`, and reads nothing of the answer. Returns the socket at the side of the server. */
const openWithoutReading = (url: string, server: Server) =>
  Effect.gen(function*() {
    const { hostname, port } = new URL(url)
    const accepted = yield* Deferred.make<Socket>()
    const client = yield* Effect.acquireRelease(
      Effect.sync(() => connect({ host: hostname, port: Number(port) })),
      (socket) => Effect.sync(() => socket.destroy())
    )
    client.on("error", () => {})
    client.pause()
    server.on("request", ({ socket }) => {
      if (socket.remotePort === client.localPort) Deferred.unsafeDone(accepted, Effect.succeed(socket))
    })
    client.write(`GET /feed HTTP/1.1\r\nhost: ${hostname}\r\n\r\n`)
    return yield* Deferred.await(accepted)
  })

describe("GET /feed on a port", () => {
  it.effect("closes the connection of a client that does not read, and keeps the connections of others", () => {
    const server = createServer()
    return Effect.gen(function*() {
      const { url } = yield* LocalIntake.LocalIntake
      yield* TestClock.setTime(now * 1000)
      const reader = yield* Feed.open(url)
      yield* reader.next("snapshot")
      const socket = yield* openWithoutReading(url, server)
      let isClosed = false
      socket.once("close", () => {
        isClosed = true
      })
      // Each update is about 250 kB. The kernel takes the first ones, the intake holds 40 more.
      const tags = [`tag:${"x".repeat(250_000)}`]
      let updates = 0
      while (!isClosed) {
        yield* postSeries(url, gauge(`m${updates}`, now, 1, { tags }))
        yield* TestClock.adjust("250 millis")
        yield* reader.next("update")
        updates++
      }
      assert.isAtLeast(updates, 40)
      yield* postSeries(url, gauge("last", now, 1))
      yield* TestClock.adjust("250 millis")
      yield* reader.next("update", ({ series }) => series.some(({ metric }) => metric === "last"))
    }).pipe(
      Effect.scoped,
      Effect.provide(
        LocalIntake.layer().pipe(
          Layer.provide(NodeHttpServer.layer(() => server, { port: 0, host: "127.0.0.1" })),
          Layer.orDie
        )
      )
    )
  })

  it.effect("ends when the intake closes, which does not wait for its readers", () =>
    Effect.gen(function*() {
      const reader = yield* Effect.gen(function*() {
        const { url } = yield* LocalIntake.LocalIntake
        const reader = yield* Feed.open(url)
        yield* reader.next("snapshot")
        return reader
      }).pipe(Effect.provide(layerIntake()))
      yield* reader.ended
    }).pipe(Effect.scoped))
})
