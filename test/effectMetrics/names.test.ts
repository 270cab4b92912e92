import { assert, describe, it } from "@effect/vitest"
import * as Testing from "effect-threadstats/testing"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as MetricLabel from "effect/MetricLabel"
import { indexes, layerRecorded, only } from "../support/effectMetrics.js"
import * as Scripted from "../support/scripted.js"

describe("names", () => {
  it.effect("replaces characters that Datadog does not accept in names", () =>
    Effect.gen(function*() {
      for (
        const name of ["http/requests total", "größe", "🚀launch", "_._hidden", "2xx", "_9", "ok.A_b.9", "n3-é😀ö"]
      ) yield* Metric.increment(Metric.tagged(Metric.counter(name), "n1", "x"))
      assert.deepStrictEqual(yield* Testing.names, [
        "gr__e",
        "hidden",
        "http_requests_total",
        "launch",
        "metric_2xx",
        "metric_9",
        "n3____",
        "ok.A_b.9"
      ])
    }).pipe(Effect.provide(layerRecorded({ filter: ({ tags }) => tags.some(({ key }) => key === "n1") }))))

  it.effect("drops and counts metrics whose names remain invalid or too long", () =>
    Effect.gen(function*() {
      for (const name of ["", "///", "n2".repeat(101)]) {
        yield* Metric.increment(Metric.tagged(Metric.counter(name), "n2", "x"))
      }
      const { dropped, metrics } = yield* Testing.recording
      assert.deepStrictEqual(dropped, { InvalidName: 2, NameTooLong: 1 })
      assert.isEmpty(metrics)
    }).pipe(Effect.provide(layerRecorded({ filter: ({ tags }) => tags.some(({ key }) => key === "n2") }))))

  it.effect("puts the namespace of the client before names", () =>
    Effect.gen(function*() {
      yield* Metric.increment(Metric.counter("n3.made"))
      assert.deepStrictEqual(yield* Testing.names, ["shop.n3.made"])
    }).pipe(Effect.provide(layerRecorded(only("n3."), { namespace: "shop" }))))

  it.effect("truncates long tags and writes labels without key or value as plain tags", () =>
    Effect.gen(function*() {
      const counter = Metric.taggedWithLabels(Metric.counter("n4.made"), [
        MetricLabel.make("long", "x".repeat(300)),
        MetricLabel.make("rocket", `${"x".repeat(192)}🚀`),
        MetricLabel.make("", "alone"),
        MetricLabel.make("canary", ""),
        MetricLabel.make("", ""),
        MetricLabel.make("url", "http://a/b?c,d|e#f\n")
      ])
      yield* Metric.increment(counter)
      const { dropped, metrics } = yield* Testing.recording
      assert.deepStrictEqual(dropped, {})
      assert.deepStrictEqual(metrics[0]?.tags, [
        `long:${"x".repeat(195)}`,
        `rocket:${"x".repeat(192)}`,
        "alone",
        "canary",
        "url:http://a/b?c,d|e#f\n"
      ])
    }).pipe(Effect.provide(layerRecorded(only("n4.")))))

  const cuts: Array<Scripted.Line> = []
  it.effect("cuts labels of more than 200 characters, and warns once", () =>
    Effect.gen(function*() {
      yield* Metric.increment(Metric.tagged(Metric.counter("n6.made"), "long", "x".repeat(300)))
      for (const _ of indexes(2)) yield* ThreadStats.flush()
      yield* Testing.expectCount("n6.made", 1, [`long:${"x".repeat(195)}`])
      assert.deepStrictEqual(cuts, [{
        level: "WARN",
        message: "Tags of Effect's metrics cut to 200 characters, Datadog's limit: 1 (n6.made). Shorten them"
      }])
    }).pipe(Effect.provide(layerRecorded(only("n6")).pipe(Layer.provideMerge(Scripted.logsTo(cuts))))))

  it.effect("reports one gauge for labels that Datadog stores as one", () =>
    Effect.gen(function*() {
      const [upper, lower] = ["Prod", "prod"].map((env) => Metric.tagged(Metric.gauge("n7.size"), "env", env))
      yield* Metric.set(upper!, 1)
      yield* ThreadStats.flush()
      yield* Metric.set(lower!, 2)
      yield* ThreadStats.flush()
      yield* ThreadStats.flush()
      yield* Testing.expectGauge("n7.size", 2)
    }).pipe(Effect.provide(layerRecorded(only("n7")))))

  const logged: Array<Scripted.Line> = []
  it.effect("warns once of names that become equal and of a name with two kinds", () =>
    Effect.gen(function*() {
      yield* Metric.increment(Metric.counter("n5/made"))
      yield* Metric.increment(Metric.tagged(Metric.counter("n5 made"), "a", "b"))
      yield* Metric.increment(Metric.tagged(Metric.counter("n5 made"), "a", "c"))
      yield* Metric.increment(Metric.counter("n5.two"))
      yield* Metric.set(Metric.tagged(Metric.gauge("n5.two"), "a", "b"), 7)
      for (const _ of indexes(3)) yield* ThreadStats.flush()
      yield* Testing.expectCount("n5_made", 3)
      yield* Testing.expectCount("n5.two", 1)
      yield* Testing.expectGauge("n5.two", 7)
      assert.deepStrictEqual(logged, [
        {
          level: "WARN",
          message: "Reported 1 of Effect's metrics under the name of another one (n5 made). Use the option rename"
        },
        { level: "WARN", message: "The name n5.two is used with more than one kind of metric. Rename one" }
      ])
    }).pipe(Effect.provide(layerRecorded(only("n5")).pipe(Layer.provideMerge(Scripted.logsTo(logged))))))
})
