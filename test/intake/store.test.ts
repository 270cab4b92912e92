import { assert, describe, it } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import { defaultLimits } from "../../src/intake/model.js"
import { Store } from "../../src/intake/store.js"
import * as Feed from "../support/feed.js"
import { layerInProcess } from "../support/intake.js"
import { gauge, postDistributions, postEvent, postSeries, send } from "../support/intakeClient.js"

const now = 1_700_000_020

describe("the option limits", () => {
  it.effect("keeps the newest series, points, payloads, events and requests, and counts the rest", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* TestClock.setTime(now * 1000)
      for (let i = 0; i < 6; i++) {
        yield* postSeries(gauge(`m${i}`, now, i), gauge("same", now - i, i))
        yield* postDistributions({ metric: `d${i}`, points: [[now, [i]]] })
        yield* postEvent({ title: `e${i}`, text: "" })
      }
      assert.deepStrictEqual((yield* intake.series).map(({ metric }) => metric), ["m4", "same", "m5", "same"])
      assert.deepStrictEqual((yield* intake.distributions).map(({ metric }) => metric), ["d2", "d3", "d4", "d5"])
      assert.deepStrictEqual((yield* intake.events).map(({ title }) => title), ["e4", "e5"])
      const requests = yield* intake.requests
      assert.lengthOf(requests, 5)
      assert.deepInclude(yield* intake.summary, { requests: 18, series: 12, distributions: 6, events: 6 })
      const reader = yield* Feed.openInProcess
      const snapshot = yield* reader.next("snapshot")
      assert.deepStrictEqual(new Set(snapshot.series.map(({ metric }) => metric)), new Set(["same", "m5", "d5"]))
      const same = snapshot.series.find(({ metric }) => metric === "same")!.id
      assert.deepStrictEqual(snapshot.points.filter(([id]) => id === same), [[same, now - 4, 4], [same, now - 5, 5]])
      assert.strictEqual(snapshot.health.requests, 18)
      assert.isAbove(snapshot.health.evicted, 8 + 2 + 4 + 13)
      assert.lengthOf(snapshot.requests, 5)
    }).pipe(
      Effect.scoped,
      Effect.provide(layerInProcess({
        limits: { series: 3, pointsPerSeries: 2, accepted: 4, events: 2, requests: 5 }
      }))
    ))
})

describe("the limit of bytes", () => {
  const limits = { bytes: 1_000_000 }

  /** Memory that the payloads and bodies take at least, in bytes: a character takes two. */
  const keptBytes = (intake: typeof LocalIntake.LocalIntake.Service) =>
    Effect.map(
      Effect.all([intake.series, intake.distributions, intake.events, intake.serviceChecks, intake.requests]),
      (lists) => 2 * JSON.stringify(lists).length
    )

  it.effect("bounds the memory of accepted and refused payloads of every kind, and counts all of them", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* TestClock.setTime(now * 1000)
      const text = "x".repeat(100_000)
      for (let i = 0; i < 10; i++) {
        yield* postSeries(gauge(`m${i}`, now, i, { tags: [text] }))
        yield* postDistributions({ metric: `d${i}`, points: [[now, Array.from({ length: 20_000 }, () => 0.1)]] })
        yield* postEvent({ title: `e${i}`, text })
        yield* postEvent({ title: text, text: "" })
        yield* send("POST", "/api/v1/check_run", { body: { check: text, status: 0 } })
        yield* send("POST", `/${text.slice(0, 8000)}`)
        assert.isBelow(yield* keptBytes(intake), 1_500_000)
      }
      assert.deepInclude(yield* intake.summary, { requests: 60, accepted: 40, refused: 20, series: 10, events: 10 })
      assert.isNotEmpty(yield* intake.requests)
    }).pipe(Effect.provide(layerInProcess({ limits }))))

  it.effect("evicts a payload that exceeds it alone", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* TestClock.setTime(now * 1000)
      yield* postSeries({ metric: "m", points: Array.from({ length: 50_000 }, () => [now, 1]) })
      assert.deepStrictEqual(yield* intake.series, [])
      assert.deepInclude(yield* intake.summary, { accepted: 1, points: 50_000 })
      yield* postSeries(gauge("small", now, 1))
      assert.lengthOf(yield* intake.series, 1)
    }).pipe(Effect.provide(layerInProcess({ limits }))))

  it.effect("keeps reasons and verdicts to a line", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const text = "long\n".repeat(100_000)
      const reply = yield* postEvent({ title: "t", text })
      assert.strictEqual(reply.status, 400)
      yield* postSeries(gauge(text, now, 1))
      const [request] = yield* intake.requests
      for (
        const line of [
          reply.text,
          request!.reason!,
          ...(yield* intake.findings).flatMap(({ message, metric }) => [message, metric ?? ""])
        ]
      ) {
        assert.isBelow(line.length, 500)
        assert.notInclude(line, "\n")
      }
    }).pipe(Effect.provide(layerInProcess())))
})

describe("store", () => {
  it("takes linear time for 40,000 series of one name", () => {
    const store = new Store(defaultLimits)
    const before = process.cpuUsage()
    for (let i = 0; i < 40_000; i++) {
      store.table.resolve({ metric: "m", kind: "gauge", tags: [`user:${i}`] }, [], now * 1000 + i)
    }
    assert.isBelow(process.cpuUsage(before).user / 1000, 2500)
  })

  it.effect("keeps the values of a distribution in at most 1,024 bins of each sign", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now * 1000)
      const values = Array.from({ length: 4000 }, (_, i) => Math.exp(((i % 2800) - 1400) / 2) * (i % 2 === 0 ? 1 : -1))
      yield* postDistributions({ metric: "wide", points: [[now, [...values, 0]]] })
      const { distributions: [point] } = yield* Effect.flatMap(Feed.openInProcess, ({ next }) => next("snapshot"))
      assert.isAtMost(point!.positive.length, 1024)
      assert.isAtMost(point!.negative.length, 1024)
      assert.deepInclude(point, { count: 4001, zeros: 1, min: Math.min(...values), max: Math.max(...values) })
    }).pipe(Effect.scoped, Effect.provide(layerInProcess())))

  it.effect("warns of a metric that gains 100 series within a minute, and name its most varied tag", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* TestClock.setTime(now * 1000)
      const users = (from: number, count: number) =>
        Array.from({ length: count }, (_, i) => gauge("users", now, 1, { tags: [`user:${from + i}`, "env:a"] }))
      yield* postSeries(...users(0, 99))
      yield* TestClock.adjust("61 seconds")
      yield* postSeries(...users(1000, 99))
      assert.deepStrictEqual(yield* intake.findings, [])
      yield* postSeries(...users(1050, 50))
      const [found, ...rest] = yield* intake.findings
      assert.deepStrictEqual(rest, [])
      assert.deepInclude(found, { outcome: "warning", code: "CardinalityGrows", metric: "users", count: 1 })
      assert.match(found!.message, /100 new series within a minute; the tag "user" has 199 values/)
    }).pipe(Effect.provide(layerInProcess())))
})
