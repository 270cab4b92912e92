import { assert, describe, it } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import * as Feed from "../support/feed.js"
import { layerInProcess } from "../support/intake.js"
import { gauge, postDistributions, postEvent, postSeries } from "../support/intakeClient.js"

const now = 1_700_000_020

describe("the option limits", () => {
  it.effect("keeps the newest series, points, payloads, events, requests and bodies, and counts the rest", () =>
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
      // The limit of bytes has room for the last two bodies.
      assert.deepStrictEqual(requests.map(({ body }) => body !== undefined), [false, false, false, true, true])
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
        limits: { series: 3, pointsPerSeries: 2, accepted: 4, events: 2, requests: 5, bodyBytes: 100 }
      }))
    ))
})

describe("store", () => {
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
