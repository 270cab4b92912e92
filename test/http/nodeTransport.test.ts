import { assert, describe } from "@effect/vitest"
import * as HttpReporter from "effect-threadstats/HttpReporter"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import type { IncomingMessage, ServerResponse } from "node:http"
import { behaviours, good, makeInMemory } from "../support/hostileServer.js"
import { assertHidden, sweepKeys } from "../support/keySweep.js"
import { connectAgents, connectAgentsTo } from "../support/memoryNetwork.js"
import { metrics } from "../support/reporterContract.js"
import { renderings } from "../support/secrets.js"
import { toWire } from "../support/wireReporter.js"
import { checkBehaviour, names, outcomes, usesTls } from "./hostileOutcomes.js"
import { apiKey, makeClient } from "./sockets/client.js"

const it = sweepKeys(apiKey)

const makeReporter = (apiUrl = "http://intake.memory") =>
  Effect.map(
    HttpReporter.makeNode({
      apiUrl,
      apiKey: Option.some(Redacted.make(apiKey)),
      compress: true,
      delivery: "at-least-once",
      disabled: false,
      requestTimeout: Duration.seconds(3)
    }),
    toWire
  )

/** Reads the request, and answers it. */
const answer =
  (status: number, headers: Record<string, string> = {}, body = "{}") =>
  (request: IncomingMessage, response: ServerResponse) => {
    request.resume().on("end", () => response.writeHead(status, headers).end(body))
  }

describe("nodeTransport", () => {
  for (const name of names.filter((name) => !usesTls(name))) {
    const expected = outcomes[name]
    const title = expected === "Delivered" ? "delivers" : `fails with ${expected}, and delivers later,`

    it.scoped(`${title} when the server ${name}`, () =>
      Effect.gen(function*() {
        const server = yield* makeInMemory(behaviours[name])
        yield* checkBehaviour(server, name, expected).pipe(
          // Otherwise the last flush of the layer would wait for the test's clock.
          Effect.onError(() => server.behave(good)),
          Effect.provide(makeClient(server.url, ThreadStats.layerWith))
        )
        yield* server.released
      }))
  }

  it.scoped("fails with Timeout when requestTimeout passes, and delivers on another connection afterwards", () =>
    Effect.gen(function*() {
      const arrived = yield* Deferred.make<void>()
      let requests = 0
      const connections = yield* connectAgentsTo((request, response) => {
        if (requests++ === 0) Deferred.unsafeDone(arrived, Effect.void)
        else answer(202)(request, response)
      })
      const reporter = yield* makeReporter()
      const fiber = yield* Effect.fork(Effect.flip(reporter.flushMetrics(metrics)))
      yield* Deferred.await(arrived)
      yield* TestClock.adjust("2999 millis")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust("1 millis")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error.reason, "Timeout")
      assert.deepStrictEqual(error.undelivered, metrics)
      assert.include(error.message, "3s")
      assert.strictEqual((yield* reporter.flushMetrics(metrics)).items, metrics.length)
      assert.strictEqual(connections.length, 2)
    }))

  it.scoped("fails with Timeout in a region that cannot be interrupted", () =>
    Effect.gen(function*() {
      const arrived = yield* Deferred.make<void>()
      yield* connectAgentsTo(() => Deferred.unsafeDone(arrived, Effect.void))
      const reporter = yield* makeReporter()
      const fiber = yield* Effect.fork(Effect.uninterruptible(Effect.flip(reporter.flushMetrics(metrics))))
      yield* Deferred.await(arrived)
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).reason, "Timeout")
    }))

  it.scoped("closes the connection when the flush is interrupted", () =>
    Effect.gen(function*() {
      const arrived = yield* Deferred.make<void>()
      const closed = yield* Deferred.make<void>()
      yield* connectAgentsTo((request) => {
        request.on("close", () => Deferred.unsafeDone(closed, Effect.void))
        Deferred.unsafeDone(arrived, Effect.void)
      })
      const reporter = yield* makeReporter()
      const fiber = yield* Effect.fork(reporter.flushMetrics(metrics))
      yield* Deferred.await(arrived)
      yield* Fiber.interrupt(fiber)
      yield* Deferred.await(closed)
    }))

  it.scoped("uses one connection for warming and consecutive flushes, and closes it with the scope", () =>
    Effect.gen(function*() {
      const paths: Array<string | undefined> = []
      const connections = yield* connectAgentsTo((request, response) => {
        paths.push(request.url)
        answer(202)(request, response)
      })
      const closed = yield* Deferred.make<void>()
      yield* Effect.scoped(Effect.gen(function*() {
        const reporter = yield* makeReporter()
        yield* reporter.warm
        connections[0]?.on("close", () => Deferred.unsafeDone(closed, Effect.void))
        for (let i = 0; i < 3; i++) yield* reporter.flushMetrics(metrics)
        assert.deepStrictEqual(paths, ["/api/v1/validate", ...Array<string>(3).fill("/api/v1/series")])
        assert.strictEqual(connections.length, 1)
      }))
      yield* Deferred.await(closed)
    }))

  it.scoped("does not warm when a flush opens the connection in the same turn", () =>
    Effect.gen(function*() {
      const paths: Array<string | undefined> = []
      const connections = yield* connectAgentsTo((request, response) => {
        paths.push(request.url)
        answer(202)(request, response)
      })
      const reporter = yield* makeReporter()
      const warming = yield* Effect.fork(reporter.warm)
      yield* Effect.yieldNow()
      yield* reporter.flushMetrics(metrics)
      yield* Fiber.join(warming)
      assert.deepStrictEqual([paths, connections.length], [["/api/v1/series"], 1])
    }))

  it.scoped("opens another connection when the last one was idle for more than 30 seconds", () =>
    Effect.gen(function*() {
      const connections = yield* connectAgentsTo(answer(202))
      const reporter = yield* makeReporter()
      for (const [pause, opened] of [["0 seconds", 1], ["30 seconds", 1], ["31 seconds", 2]] as const) {
        yield* TestClock.adjust(pause)
        yield* reporter.flushMetrics(metrics)
        assert.strictEqual(connections.length, opened)
      }
    }))

  it.scoped("follows no redirect", () =>
    Effect.gen(function*() {
      const paths: Array<string | undefined> = []
      yield* connectAgentsTo((request, response) => {
        paths.push(request.url)
        answer(307, { location: "http://elsewhere.memory/" })(request, response)
      })
      const reporter = yield* makeReporter()
      const error = yield* Effect.flip(reporter.flushMetrics(metrics))
      assert.deepInclude(error, { reason: "UnexpectedResponse", status: 307 })
      assert.deepStrictEqual(paths, ["/api/v1/series"])
    }))

  it.scoped("reads a megabyte of an answer and then closes the connection", () =>
    Effect.gen(function*() {
      const chunk = Buffer.alloc(64 * 1024, " ")
      let written = 0
      yield* connectAgents((socket) => {
        const write = () => {
          if (socket.destroyed) return
          written += chunk.length
          socket.write(`${chunk.length.toString(16)}\r\n${chunk.toString()}\r\n`, write)
        }
        socket.once("data", () => {
          socket.resume().write("HTTP/1.1 202 Accepted\r\ntransfer-encoding: chunked\r\n\r\n", write)
        })
      })
      const reporter = yield* makeReporter()
      assert.strictEqual((yield* reporter.flushMetrics(metrics)).payloads, 1)
      assert.isAtLeast(written, 1024 * 1024)
      assert.isAtMost(written, 2 * 1024 * 1024)
    }))

  it.scoped("fails with Transport when the address is invalid", () =>
    Effect.gen(function*() {
      for (const apiUrl of ["http://[", "gopher://intake"]) {
        const reporter = yield* makeReporter(apiUrl)
        yield* reporter.warm
        const error = yield* Effect.flip(reporter.flushMetrics(metrics))
        assert.strictEqual(error.reason, "Transport")
        assertHidden(renderings(Cause.fail(error)), [apiKey])
      }
    }))
})
