import { assert, describe, it } from "@effect/vitest"
import * as Lambda from "effect-threadstats/Lambda"
import * as Testing from "effect-threadstats/testing"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Cause from "effect/Cause"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"

/** Returns the error of an expectation that is not met. */
const expectationError = <A, R>(
  expectation: Effect.Effect<A, Testing.ExpectationError, R>
): Effect.Effect<Testing.ExpectationError, A, R> => Effect.flip(expectation)

describe("testing queries", () => {
  it.effect("returns the sum of a counter over its tags, hosts and buckets", () =>
    Effect.gen(function*() {
      yield* ThreadStats.increment("jobs", 5, { tags: { queue: "mail", size: "s" } })
      yield* TestClock.adjust("25 seconds")
      yield* ThreadStats.increment("jobs", 2, { tags: ["queue:mail"] })
      yield* ThreadStats.decrement("jobs", 1, { tags: ["queue:print"], host: "web-1" })
      assert.strictEqual(yield* Testing.count("jobs"), 6)
      assert.strictEqual(yield* Testing.count("jobs", { queue: "mail" }), 7)
      assert.strictEqual(yield* Testing.count("jobs", ["size:s", "queue:mail"]), 5)
      assert.strictEqual(yield* Testing.count("jobs", { queue: "none" }), 0)
      assert.strictEqual(yield* Testing.count("job"), 0)
      yield* ThreadStats.increment("jobs", 4, { tags: { queue: "mail", size: "s" } })
      assert.strictEqual(yield* Testing.count("jobs"), 10)
    }).pipe(Effect.provide(Testing.layer)))

  it.effect("returns the value of a gauge with the latest timestamp", () =>
    Effect.gen(function*() {
      assert.isUndefined(yield* Testing.gauge("depth"))
      yield* TestClock.setTime(100_000)
      yield* ThreadStats.gauge("depth", 3)
      yield* ThreadStats.gauge("depth", 4)
      assert.strictEqual(yield* Testing.gauge("depth"), 4)
      yield* ThreadStats.gauge("depth", 9, { timestamp: 50_000 })
      assert.strictEqual(yield* Testing.gauge("depth"), 4)
      yield* ThreadStats.gauge("depth", 0)
      assert.strictEqual(yield* Testing.gauge("depth"), 0)
      yield* TestClock.adjust("10 seconds")
      yield* ThreadStats.gauge("depth", 7, { tags: ["shard:b"] })
      assert.strictEqual(yield* Testing.gauge("depth"), 7)
      yield* ThreadStats.gauge("depth", 2, { tags: ["shard:a"], timestamp: 90_000 })
      assert.strictEqual(yield* Testing.gauge("depth"), 7)
      assert.strictEqual(yield* Testing.gauge("depth", ["shard:a"]), 2)
    }).pipe(Effect.provide(Testing.layer)))

  it.effect("returns every value of histograms, timings and distributions", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 3000; i++) yield* ThreadStats.histogram("size", i)
      assert.deepStrictEqual(yield* Testing.values("size"), Array.from({ length: 3000 }, (_, i) => i))
      yield* ThreadStats.distribution("value", 12, { tags: { shop: "eu" } })
      yield* Testing.names
      yield* ThreadStats.distribution("value", 7, { tags: { shop: "us" } })
      yield* ThreadStats.distribution("value", 12, { tags: { shop: "eu" } })
      assert.deepStrictEqual(yield* Testing.values("value", { shop: "eu" }), [12, 12])
      assert.deepStrictEqual(yield* Testing.values("value"), [12, 12, 7])
    }).pipe(Effect.provide(Testing.layer)))

  it.effect("returns the time that a timer measured on the test's clock", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.sleep("20 millis").pipe(ThreadStats.timer("work", { tags: ["a:b"] }), Effect.fork)
      yield* TestClock.adjust("1 second")
      yield* fiber.await
      assert.deepStrictEqual(yield* Testing.values("work", { a: "b" }), [0.02])
    }).pipe(Effect.provide(Testing.layer)))

  it.effect("returns the members of a set, and events by title or predicate", () =>
    Effect.gen(function*() {
      yield* ThreadStats.set("users", "ada")
      yield* Testing.names
      yield* ThreadStats.set("users", "ada")
      yield* ThreadStats.set("users", 7, { tags: ["plan:pro"] })
      assert.deepStrictEqual(yield* Testing.members("users"), ["ada", 7])
      assert.deepStrictEqual(yield* Testing.members("users", ["plan:pro"]), [7])
      yield* ThreadStats.event("Deployed", "one", { tags: ["v:1"] })
      yield* ThreadStats.event("Deployed", "two", { alertType: "error" })
      yield* ThreadStats.event("Scaled", "three")
      const texts = Effect.map((all: ReadonlyArray<{ readonly text: string }>) => all.map(({ text }) => text))
      assert.deepStrictEqual(yield* texts(Testing.events()), ["one", "two", "three"])
      assert.deepStrictEqual(yield* texts(Testing.events("Deployed")), ["one", "two"])
      assert.deepStrictEqual(yield* texts(Testing.events((event) => event.alert_type === "error")), ["two"])
      assert.deepStrictEqual(yield* Testing.names, ["users"])
    }).pipe(Effect.provide(Testing.layer)))

  it.effect("returns metrics of the queried kind only, and everything with the drops from `recording`", () =>
    Effect.gen(function*() {
      yield* ThreadStats.gauge("a", 1)
      yield* ThreadStats.increment("b", 2)
      yield* ThreadStats.set("c", 3)
      yield* ThreadStats.timing("d", 4)
      yield* ThreadStats.gauge("a", Number.NaN)
      for (const name of ["a", "c", "d"]) assert.strictEqual(yield* Testing.count(name), 0)
      for (const name of ["b", "c", "d"]) assert.isUndefined(yield* Testing.gauge(name))
      for (const name of ["a", "b", "c"]) assert.deepStrictEqual(yield* Testing.values(name), [])
      for (const name of ["a", "b", "d"]) assert.deepStrictEqual(yield* Testing.members(name), [])
      const { dropped, metrics } = yield* Testing.recording
      assert.deepStrictEqual(dropped, { InvalidValue: 1 })
      assert.deepStrictEqual(metrics.map(({ kind, name, values }) => [kind, name, ...values]), [
        ["gauge", "a", 1],
        ["counter", "b", 2],
        ["set", "c", 3],
        ["timing", "d", 4]
      ])
    }).pipe(Effect.provide(Testing.layer)))

  it.effect("returns nothing that was recorded or dropped before `clear`", () =>
    Effect.gen(function*() {
      yield* ThreadStats.increment("jobs")
      yield* ThreadStats.gauge("", 1)
      yield* ThreadStats.event("Deployed", "")
      yield* Testing.clear
      yield* Testing.expectNone()
      yield* ThreadStats.increment("jobs", 2)
      yield* ThreadStats.gauge("", 1)
      const { dropped } = yield* Testing.recording
      assert.deepStrictEqual(dropped, { InvalidName: 1 })
      assert.strictEqual(yield* Testing.count("jobs"), 2)
    }).pipe(Effect.provide(Testing.layer)))

  it.effect("returns points of every timestamp, and points and events that are days old", () =>
    Effect.gen(function*() {
      yield* ThreadStats.increment("jobs", 1, { timestamp: new Date("2026-11-01T00:00:00Z") })
      yield* ThreadStats.increment("jobs", 1)
      yield* ThreadStats.event("Deployed", "")
      yield* TestClock.adjust("3 days")
      assert.strictEqual(yield* Testing.count("jobs"), 2)
      assert.lengthOf(yield* Testing.events(), 1)
    }).pipe(Effect.provide(Testing.layer)))
})

describe("testing.layer", () => {
  it.effect("applies the client's namespace, tags and `counters` option", () =>
    Effect.gen(function*() {
      yield* ThreadStats.increment("jobs", 2)
      yield* ThreadStats.increment("jobs", 3)
      yield* Testing.names
      yield* ThreadStats.increment("jobs", 4)
      yield* ThreadStats.timing("took", 1)
      assert.deepStrictEqual(yield* Testing.names, ["shop.jobs", "shop.took"])
      yield* Testing.expectCount("shop.jobs", 9, { env: "test" })
      yield* Testing.expectValues("shop.took", [1])
    }).pipe(
      Effect.provide(Testing.layerWith({ namespace: "shop", env: "test", submitAs: "distributions" }))
    ))

  it.effect("ignores the environment", () =>
    Effect.gen(function*() {
      yield* ThreadStats.increment("jobs")
      assert.deepStrictEqual(yield* Testing.names, ["jobs"])
    }).pipe(
      Effect.provide(Testing.layer),
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["DD_THREADSTATS_NAMESPACE", "shop"]])))
    ))

  it.effect("builds a client of its own each time", () =>
    Effect.gen(function*() {
      const one = yield* Layer.build(Layer.fresh(Testing.layer))
      const other = yield* Layer.build(Layer.fresh(Testing.layer))
      Context.get(one, ThreadStats.ThreadStats).unsafeIncrement("jobs")
      yield* Effect.provide(Testing.expectCount("jobs", 1), one)
      yield* Effect.provide(Testing.expectNone(), other)
    }).pipe(Effect.scoped))

  it.effect("holds the metrics that a Lambda program flushed", () =>
    Effect.gen(function*() {
      yield* Lambda.lambdaProgram(Effect.zipRight(
        ThreadStats.increment("invocations"),
        Lambda.lambdaMetric("orders", 12, { tags: ["shop:eu"] })
      ))
      yield* Testing.expectCount("invocations", 1)
      yield* Testing.expectValues("orders", [12], { shop: "eu" })
    }).pipe(Effect.provide(Testing.layer)))

  it.effect("holds the metrics that a periodic flush drained", () =>
    Effect.gen(function*() {
      yield* ThreadStats.increment("jobs", 2)
      yield* TestClock.adjust("1 minute")
      yield* ThreadStats.increment("jobs", 2)
      yield* Testing.expectCount("jobs", 4)
    }).pipe(Effect.provide(Testing.layerWith({ periodicFlush: true }))))
})

describe("testing expectations", () => {
  it.effect("succeeds when every expectation is met", () =>
    Effect.gen(function*() {
      yield* ThreadStats.increment("jobs", 5, { tags: { queue: "mail" } })
      yield* ThreadStats.gauge("depth", 3, { tags: ["shard:a"] })
      yield* ThreadStats.gauge("depth", 3, { tags: ["shard:b"] })
      yield* ThreadStats.distribution("value", 2)
      yield* ThreadStats.distribution("value", 10)
      yield* ThreadStats.set("users", "b")
      yield* ThreadStats.set("users", "a")
      yield* ThreadStats.event("Deployed", "version 42", { tags: ["v:42", "env:test"] })
      yield* Testing.expectCount("jobs", 5, { queue: "mail" })
      yield* Testing.expectCount("other", 0)
      yield* Testing.expectGauge("depth", 3)
      yield* Testing.expectValues("value", [10, 2])
      yield* Testing.expectValues("other", [])
      yield* Testing.expectMembers("users", ["a", "b"])
      assert.strictEqual((yield* Testing.expectEvent("Deployed", { v: "42" })).text, "version 42")
      yield* Testing.expectNone("other")
    }).pipe(Effect.provide(Testing.layer)))

  it.effect("fails with a message that lists everything recorded when an expectation is not met", () =>
    Effect.gen(function*() {
      yield* ThreadStats.increment("jobs", 5, { tags: { queue: "mail" } })
      yield* ThreadStats.gauge("depth", 3)
      yield* ThreadStats.distribution("value", 12)
      yield* ThreadStats.distribution("value", 7)
      yield* ThreadStats.event("Deployed", "", { tags: ["v:42"] })
      yield* ThreadStats.gauge("depth", Number.NaN)
      const error = yield* expectationError(Testing.expectCount("jobs", 6, { queue: "mail" }))
      assert.strictEqual(
        error.message,
        `expected the count of jobs {queue:mail} to be 6, found 5; recorded:
  counter jobs {queue:mail} 5
  gauge depth 3
  distribution value [12,7]
  event "Deployed" {v:42}
  dropped 1: InvalidValue`
      )
      assert.deepInclude(error, { expected: 6, actual: 5 })
    }).pipe(Effect.provide(Testing.layer)))

  it.effect("names the subject, the expected and the actual value when an expectation of any kind is not met", () =>
    Effect.gen(function*() {
      yield* ThreadStats.increment("jobs", 5)
      yield* ThreadStats.gauge("depth", 3, { tags: ["shard:a"] })
      yield* ThreadStats.gauge("depth", 4, { tags: ["shard:b"] })
      yield* ThreadStats.distribution("value", 12)
      yield* ThreadStats.set("users", "a")
      yield* ThreadStats.event("Deployed", "", { tags: ["v:42"] })
      const message = (expectation: Effect.Effect<unknown, Testing.ExpectationError, Testing.Recorded>) =>
        Effect.map(expectationError(expectation), (error) => error.message.split(";")[0])
      const messages = yield* Effect.all([
        Testing.expectCount("jobs", 5, { queue: "mail" }),
        Testing.expectGauge("depth", 3),
        Testing.expectGauge("depth", 4, ["shard:a"]),
        Testing.expectGauge("width", 3),
        Testing.expectValues("value", [12, 12]),
        Testing.expectValues("value", []),
        Testing.expectMembers("users", ["b"]),
        Testing.expectEvent("Deploy"),
        Testing.expectEvent("Deployed", ["v:43"]),
        Testing.expectNone("jobs"),
        Testing.expectNone()
      ].map(message))
      assert.deepStrictEqual(messages, [
        "expected the count of jobs {queue:mail} to be 5, found 0",
        "expected the gauge depth to be 3, found [3,4]",
        "expected the gauge depth {shard:a} to be 4, found 3",
        "expected the gauge width to be 3, found nothing",
        "expected the values of value to be [12,12], found [12]",
        "expected the values of value to be [], found [12]",
        "expected the members of users to be [\"b\"], found [\"a\"]",
        "expected the event \"Deploy\" to be \"recorded\", found nothing",
        "expected the event \"Deployed\" {v:43} to be \"recorded\", found nothing",
        "expected the metrics with the name jobs to be [], found [\"jobs\"]",
        "expected the recording to be [], found [\"jobs\",\"depth\",\"depth\",\"users\",\"value\",\"Deployed\"]"
      ])
    }).pipe(Effect.provide(Testing.layer)))

  it.effect("fails with a stack that contains only the line of the expectation", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Effect.gen(function*() {
        yield* Testing.expectCount("jobs", 1)
      }))
      assert.isTrue(Exit.isFailure(exit))
      const [report] = Exit.isFailure(exit) ? Cause.prettyErrors(exit.cause) : []
      const [message, ...frames] = report!.stack!.split("\n")
      assert.strictEqual(
        message,
        "ExpectationError: expected the count of jobs to be 1, found 0; recorded: nothing"
      )
      assert.lengthOf(frames, 1)
      assert.match(frames[0]!, /testing\.test\.ts:\d+:\d+/)
    }).pipe(Effect.provide(Testing.layer)))

  it.effect("fails with InvalidTags when the tags of an expectation are not strings", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Testing.expectCount("jobs", 0, [7] as never))
      assert.match(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", /InvalidTags: \[7\]/)
    }).pipe(Effect.provide(Testing.layer)))
})
