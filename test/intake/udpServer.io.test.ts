import { assert, describe, it } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { StatsD } from "hot-shots"
import { freePort, udpServer } from "../support/dogstatsd.js"
import * as Feed from "../support/feed.js"
import { layerIntake } from "../support/intake.js"
import { eventuallyEffect } from "../support/wait.js"

/** An intake with servers for HTTP and UDP on free ports. */
const layer = Layer.provideMerge(layerIntake(), Layer.orDie(LocalIntake.layerDatagrams({ port: 0 })))

describe("LocalIntake.layerDatagrams", () => {
  it.scopedLive("receives what ThreadStats.layerDogStatsD sends", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const { url } = yield* LocalIntake.Datagrams
      const reader = yield* Feed.open(intake.url)
      assert.strictEqual((yield* reader.next("hello")).dogstatsd, url)
      yield* Effect.gen(function*() {
        yield* ThreadStats.increment("orders", 3, { tags: ["env:test"] })
        yield* ThreadStats.gauge("queue", 7)
        for (const value of [10, 20, 30]) yield* ThreadStats.histogram("size", value)
        for (const value of [1, 2]) yield* ThreadStats.distribution("latency", value)
        for (const member of ["a", "b", "a"]) yield* ThreadStats.set("users", member)
        yield* ThreadStats.event("Deploy", "v42\nis out", { tags: ["v:42"] })
        yield* ThreadStats.flush()
      }).pipe(
        Effect.provide(
          ThreadStats.layerDogStatsDWith({ periodicFlush: false, flushTimeout: "2 minutes", dogstatsd: { url } })
        ),
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map()))
      )
      yield* eventuallyEffect(
        Effect.map(
          Effect.all({ events: intake.events, series: intake.series, latency: intake.total("latency") }),
          ({ events, latency, series }) =>
            events.length > 0 && latency > 0 && series.some(({ metric }) => metric === "users")
        )
      )
      assert.lengthOf(yield* intake.events, 1)
      const [event] = yield* intake.events
      assert.deepInclude(event, { title: "Deploy", text: "v42\nis out", tags: ["v:42"] })
      const series = yield* intake.series
      const lastValue = (metric: string) => series.findLast((item) => item.metric === metric)?.points[0]?.[1]
      assert.strictEqual(yield* intake.total("orders"), 3)
      assert.deepStrictEqual(
        [lastValue("queue"), lastValue("size.max"), lastValue("size.avg"), lastValue("users")],
        [7, 30, 20, 2]
      )
      assert.strictEqual(yield* intake.total("latency"), 3)
      assert.deepStrictEqual(yield* intake.findings, [])
      const update = yield* reader.next("update", ({ series }) => series.some(({ metric }) => metric === "orders"))
      assert.strictEqual(update.requests[0]?.protocol, "dogstatsd")
      assert.isAbove(yield* intake.datagrams, 0)
    }).pipe(Effect.provide(layer)))

  it.scopedLive("receives what hot-shots sends", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const { url } = yield* LocalIntake.Datagrams
      const client = yield* Effect.acquireRelease(
        Effect.sync(() =>
          new StatsD({ host: "127.0.0.1", port: Number(new URL(url).port), globalTags: { env: "test" } })
        ),
        (client) => Effect.async<void>((resume) => client.close(() => resume(Effect.void)))
      )
      client.increment("hs.count", 2, ["a:b"])
      client.gauge("hs.gauge", 1.5)
      client.histogram("hs.histogram", 4)
      client.timing("hs.timing", 12)
      client.distribution("hs.distribution", 9)
      client.set("hs.set", "member")
      client.event("title", "text", { alert_type: "error" })
      client.check("hs.check", client.CHECKS.CRITICAL, { message: "down" }, ["c:d"])
      yield* eventuallyEffect(Effect.map(intake.datagrams, (count) => count >= 8))
      const series = yield* intake.series
      assert.includeMembers(
        series.map(({ metric }) => metric),
        ["hs.count", "hs.gauge", "hs.histogram.max", "hs.timing.avg", "hs.set"]
      )
      assert.deepStrictEqual(series.find(({ metric }) => metric === "hs.count")?.tags, ["env:test", "a:b"])
      assert.strictEqual(yield* intake.total("hs.distribution"), 9)
      assert.deepInclude((yield* intake.events)[0], { title: "title", alert_type: "error" })
      assert.deepInclude((yield* intake.serviceChecks)[0], { name: "hs.check", status: 2, message: "down" })
      assert.deepStrictEqual(yield* intake.findings, [])
    }).pipe(Effect.provide(layer)))

  it.scoped("fails with the reason PortTaken when another process has the port", () =>
    Effect.gen(function*() {
      const { url } = yield* udpServer()
      const port = Number(new URL(url).port)
      const error = yield* Effect.flip(Layer.build(LocalIntake.layerDatagrams({ port })))
      assert.instanceOf(error, LocalIntake.DatagramsError)
      assert.strictEqual(error.reason, "PortTaken")
      assert.strictEqual(error.message, `Cannot listen on UDP port ${port} of 127.0.0.1: another process uses it`)
    }))

  it.scoped("fails with the reason CannotListen when the machine does not have the address", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Layer.build(LocalIntake.layerDatagrams({ port: 0, host: "203.0.113.1" })))
      assert.instanceOf(error, LocalIntake.DatagramsError)
      assert.strictEqual(error.reason, "CannotListen")
    }))

  it.scoped("releases its port when the scope closes", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      yield* Effect.scoped(Layer.build(LocalIntake.layerDatagrams({ port })))
      yield* Layer.build(LocalIntake.layerDatagrams({ port }))
    }))
})
