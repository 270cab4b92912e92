import { assert, describe, it } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import type { Hello } from "../../src/intake/feedProtocol.js"
import * as FeedServer from "../../src/intake/feedServer.js"
import { Store } from "../../src/intake/store.js"
import * as Feed from "../support/feed.js"
import { layerInProcess } from "../support/intake.js"
import { gauge, postDistributions, postEvent, postSeries, send } from "../support/intakeClient.js"

const now = 1_700_000_020

/** The feed sends what changed every 250 ms. */
const tick = TestClock.adjust("250 millis")

describe("GET /feed", () => {
  it.effect("starts with hello and a snapshot, and continues with updates", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* TestClock.setTime(now * 1000)
      yield* postSeries(gauge("before", now, 1, { tags: ["b", "a"], host: "h", interval: 10 }))
      const reader = yield* Feed.openInProcess
      assert.include(reader.headers.get("content-type") ?? "", "text/event-stream")
      assert.strictEqual(reader.headers.get("cache-control"), "no-store")
      const hello = yield* reader.next("hello")
      assert.deepInclude(hello, { url: intake.url, dogstatsd: null, strict: false, version: "0.1.0" })
      assert.isTrue(Object.values(hello.limits).every((limit) => Number.isSafeInteger(limit)))
      const snapshot = yield* reader.next("snapshot")
      const [before] = snapshot.series
      assert.deepInclude(before, {
        metric: "before",
        kind: "gauge",
        tags: ["a", "b"],
        host: "h",
        interval: 10,
        unit: null
      })
      assert.deepStrictEqual(snapshot.points, [[before!.id, now, 1]])
      assert.deepInclude(snapshot.requests[0], {
        target: "POST /api/v1/series",
        status: 202,
        items: 1,
        points: 1,
        protocol: "http"
      })

      yield* postSeries(gauge("before", now, 5, { tags: ["a", "b"], host: "h", interval: 10 }))
      yield* tick
      const update = yield* reader.next("update")
      assert.deepStrictEqual(update.points, [[before!.id, now, 5]])
      assert.deepStrictEqual(update.series.map(({ id, verdicts }) => [id, verdicts.map(({ code }) => code)]), [
        [before!.id, ["Overwritten"]]
      ])
      assert.strictEqual(update.health.verdicts["Overwritten"], 1)
      assert.strictEqual(update.requests.at(-1)?.verdicts.at(-1)?.code, "Overwritten")

      yield* postDistributions({ metric: "d", points: [[now, [1, 1, -1, 0]]] })
      yield* postEvent({ title: "<b>", text: "x", alert_type: "error" })
      yield* tick
      const { distributions, events } = yield* reader.next("update")
      assert.deepInclude(distributions[0], {
        count: 4,
        sum: 1,
        min: -1,
        max: 1,
        zeros: 1,
        positive: [[0, 2]],
        negative: [[0, 1]]
      })
      assert.deepInclude(events[0], { title: "<b>", alertType: "error", priority: "normal" })
    }).pipe(Effect.scoped, Effect.provide(layerInProcess())))

  it.effect("sends a comment after 15 quiet seconds, and a full snapshot to a reader that returns", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now * 1000)
      const disconnected = yield* Effect.scoped(Effect.gen(function*() {
        const reader = yield* Feed.openInProcess
        yield* reader.next("snapshot")
        yield* TestClock.adjust("15 seconds")
        yield* reader.textEndsWith("\n\n:\n\n")
        return reader
      }))
      assert.deepStrictEqual(disconnected.messages.map(({ event }) => event), ["hello", "snapshot"])
      yield* postSeries(gauge("a", now, 1))
      yield* TestClock.adjust("1 minute")
      const reader = yield* Feed.openInProcess
      assert.lengthOf((yield* reader.next("snapshot")).points, 1)
      yield* postSeries(gauge("a", now + 1, 1))
      yield* tick
      assert.lengthOf((yield* reader.next("update")).points, 1)
      assert.lengthOf(disconnected.messages, 2)
    }).pipe(Effect.scoped, Effect.provide(layerInProcess())))

  it.effect("sends the same updates to two readers, and clear to both when the intake is cleared", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now * 1000)
      const readers = yield* Effect.replicateEffect(Feed.openInProcess, 2)
      for (const reader of readers) yield* reader.next("snapshot")
      yield* postSeries(gauge("a", now, 1))
      yield* tick
      const updates = yield* Effect.forEach(readers, (reader) => reader.next("update"))
      assert.deepStrictEqual(updates[0], updates[1])
      assert.deepStrictEqual(updates[0]!.series.map(({ metric }) => metric), ["a"])
      yield* postSeries(gauge("b", now, 1))
      yield* send("POST", "/clear")
      yield* postSeries(gauge("c", now, 1))
      yield* tick
      for (const reader of readers) {
        yield* reader.next("clear")
        const after = yield* reader.next("update")
        assert.deepStrictEqual(after.series.map(({ metric }) => metric), ["c"])
        assert.strictEqual(after.health.requests, 1)
      }
    }).pipe(Effect.scoped, Effect.provide(layerInProcess())))

  it.effect("names the series that the intake evicted to enforce its limits", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now * 1000)
      yield* postSeries(gauge("a", now, 1), gauge("b", now, 1))
      const reader = yield* Feed.openInProcess
      const { series } = yield* reader.next("snapshot")
      yield* postSeries(gauge("a", now + 1, 1), gauge("c", now, 1))
      yield* tick
      const { evicted } = yield* reader.next("update")
      assert.deepStrictEqual(evicted, series.filter(({ metric }) => metric === "b").map(({ id }) => id))
    }).pipe(Effect.scoped, Effect.provide(layerInProcess({ limits: { series: 2 } }))))

  it.effect("ends when the intake closes, and names another instance when the next intake starts", () =>
    Effect.gen(function*() {
      const first = yield* Effect.gen(function*() {
        const reader = yield* Feed.openInProcess
        yield* reader.next("snapshot")
        return reader
      }).pipe(Effect.provide(layerInProcess()))
      assert.strictEqual(yield* first.ended, "end")
      const { instance } = yield* Effect.flatMap(Feed.openInProcess, ({ next }) => next("hello")).pipe(
        Effect.provide(layerInProcess())
      )
      const [hello] = first.messages
      assert.notStrictEqual(instance, hello?.event === "hello" ? hello.data.instance : undefined)
    }).pipe(Effect.scoped))

  it.effect("sends one update per 250 ms with each changed point once, however many requests arrive", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now * 1000)
      const reader = yield* Feed.openInProcess
      yield* reader.next("snapshot")
      const rounds = 3
      for (let round = 0; round < rounds; round++) {
        for (let part = 0; part < 4; part++) {
          yield* postSeries(
            ...Array.from(
              { length: 250 },
              (_, i) => gauge("m", now + round, round + part, { tags: [`series:${i}`, "env:test"] })
            )
          )
        }
        yield* tick
        const update = yield* reader.next("update")
        assert.lengthOf(update.points, 250)
        assert.lengthOf(update.series, round === 0 ? 250 : 0)
        assert.lengthOf(update.requests, 4)
        if (round > 0) assert.isBelow(JSON.stringify(update.points).length, 30 * 250)
      }
      assert.lengthOf(reader.messages, 2 + rounds)
    }).pipe(Effect.scoped, Effect.provide(layerInProcess())))
})

describe("GET /feed with many readers", () => {
  it.effect("gives readers between two updates the same snapshot, and no change is lost to them", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now * 1000)
      yield* postSeries(gauge("first", now, 1))
      const early = yield* Feed.openInProcess
      const snapshot = yield* early.next("snapshot")
      yield* postSeries(gauge("second", now, 1))
      const late = yield* Feed.openInProcess
      assert.deepStrictEqual(yield* late.next("snapshot"), snapshot)
      yield* tick
      const update = yield* late.next("update")
      assert.deepStrictEqual(update.series.map(({ metric }) => metric), ["second"])
      const latest = yield* Feed.openInProcess
      assert.lengthOf((yield* latest.next("snapshot")).series, 2)
    }).pipe(Effect.scoped, Effect.provide(layerInProcess())))

  it.effect("answers 503 beyond 32 readers", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 32; i++) yield* Effect.flatMap(Feed.openInProcess, ({ next }) => next("snapshot"))
      const reply = yield* send("GET", "/feed")
      assert.strictEqual(reply.status, 503)
      assert.include(reply.text, "32 readers")
    }).pipe(Effect.scoped, Effect.provide(layerInProcess())))
})

describe("FeedServer.open", () => {
  const hello: Omit<Hello, "now"> = {
    instance: "1",
    version: "0.1.0",
    url: "",
    dogstatsd: null,
    isAnyKeyValid: true,
    strict: false,
    faults: [],
    limits: { series: 1, pointsPerSeries: 1, events: 1, requests: 1 }
  }
  const limits: LocalIntake.IntakeLimits = {
    series: 10,
    pointsPerSeries: 10,
    accepted: 10,
    events: 10,
    requests: 10,
    bytes: Number.POSITIVE_INFINITY
  }

  it.effect("disconnects a reader that is more than 40 messages behind, and no other", () =>
    Effect.gen(function*() {
      const store = new Store(limits)
      const server = yield* FeedServer.make(store, hello)
      const disconnected: Array<string> = []
      const started = yield* Deferred.make<void>()
      // The slow reader reads the first message, and then nothing.
      yield* Effect.forkScoped(
        Stream.runForEach(
          server.open(() => disconnected.push("slow")),
          () => Effect.zipRight(Deferred.succeed(started, undefined), Effect.never)
        )
      )
      // The first three messages are the start of every feed.
      const expected = 3 + 40 + 1 + 1
      let received = 0
      const complete = yield* Deferred.make<void>()
      yield* Effect.forkScoped(
        Stream.runForEach(
          server.open(() => disconnected.push("fast")),
          () => Effect.suspend(() => ++received < expected ? Effect.void : Deferred.succeed(complete, undefined))
        )
      )
      yield* Deferred.await(started)
      const message = Effect.zipRight(
        Effect.sync(() => store.acceptEvent({ title: "t", text: "" }, [], now)),
        tick
      )
      yield* Effect.replicateEffect(message, 40)
      assert.deepStrictEqual(disconnected, [])
      yield* message
      assert.deepStrictEqual(disconnected, ["slow"])
      yield* message
      yield* Deferred.await(complete)
      assert.deepStrictEqual(disconnected, ["slow"])
    }).pipe(Effect.scoped))
})
