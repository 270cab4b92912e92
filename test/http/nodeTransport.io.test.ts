import { assert, describe } from "@effect/vitest"
import * as HttpReporter from "effect-threadstats/HttpReporter"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { createServer } from "node:http"
import { apiKey, sweepKeys } from "../support/keySweep.js"
import { metrics } from "../support/reporterContract.js"
import { eventually } from "../support/wait.js"
import { toWire } from "../support/wireReporter.js"
import { settings } from "./fakeClient.js"

const it = sweepKeys(apiKey)

const makeReporter = (url: string) => Effect.map(HttpReporter.makeNode(settings(url)), toWire)

describe("nodeTransport over real sockets", () => {
  /** An intake that counts its connections: all of them, and the open ones. */
  const counting = Effect.gen(function*() {
    const count = { opened: 0, open: 0 }
    const server = createServer((request, response) => {
      request.resume().on("end", () => response.writeHead(202).end("{}"))
    }).on("connection", (socket) => {
      count.opened++
      count.open++
      socket.on("close", () => count.open--)
    })
    yield* Effect.acquireRelease(
      Effect.async<void>((resume) => {
        server.listen(0, "127.0.0.1", () => resume(Effect.void))
      }),
      () => Effect.sync(() => server.close())
    )
    const address = server.address()
    const url = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`
    return { count, url }
  })

  const closed = (count: { readonly open: number }) => eventually(() => count.open === 0)

  it.scoped("uses one connection for warming and consecutive flushes, and closes it with the scope", () =>
    Effect.gen(function*() {
      const { count, url } = yield* counting
      yield* Effect.scoped(Effect.gen(function*() {
        const reporter = yield* makeReporter(url)
        yield* reporter.warm
        for (let i = 0; i < 3; i++) yield* reporter.flushMetrics(metrics)
        assert.deepStrictEqual(count, { opened: 1, open: 1 })
      }))
      yield* closed(count)
      assert.deepStrictEqual(count, { opened: 1, open: 0 })
    }))

  it.scoped("does not warm when a flush opens the connection in the same turn", () =>
    Effect.gen(function*() {
      const { count, url } = yield* counting
      const reporter = yield* makeReporter(url)
      const warming = yield* Effect.fork(reporter.warm)
      yield* Effect.yieldNow()
      yield* reporter.flushMetrics(metrics)
      yield* Fiber.join(warming)
      assert.deepStrictEqual(count, { opened: 1, open: 1 })
    }))

  it.scoped("opens another connection when the last one was idle for more than 30 seconds", () =>
    Effect.gen(function*() {
      const { count, url } = yield* counting
      const reporter = yield* makeReporter(url)
      for (const [pause, opened] of [["0 seconds", 1], ["30 seconds", 1], ["31 seconds", 2]] as const) {
        yield* TestClock.adjust(pause)
        yield* reporter.flushMetrics(metrics)
        assert.strictEqual(count.opened, opened)
      }
    }))
})
