import { HttpServerResponse } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Redacted } from "effect"
import { LocalIntake, ThreadStats } from "effect-threadstats"
import type { ThreadStatsConfig } from "effect-threadstats"
import { layerIntake } from "../support/intake.js"

type MakeLayer = (options: ThreadStatsConfig.Options) => ReturnType<typeof ThreadStats.layerNodeWith>

const transports: ReadonlyArray<readonly [string, MakeLayer]> = [
  ["node:http", ThreadStats.layerNodeWith],
  ["NodeHttpClient", (options) => Layer.provide(ThreadStats.layerHttpWith(options), NodeHttpClient.layer)]
]

/** Clients over a real socket to the intake. */
const clientOver =
  (makeLayer: MakeLayer) => (options: ThreadStatsConfig.Options = {}, intake: LocalIntake.Options = {}) =>
    Layer.unwrapEffect(Effect.map(LocalIntake.LocalIntake, ({ url }) =>
      makeLayer({
        apiUrl: url,
        apiKey: Redacted.make("key"),
        periodicFlush: false,
        ...options
      }))).pipe(Layer.provideMerge(layerIntake(intake)))

const answer = (status: number, headers: Record<string, string> = {}) =>
  Effect.succeed(HttpServerResponse.text("no", { status, headers }))

const record = Effect.gen(function*() {
  yield* ThreadStats.increment("c", 5)
  yield* ThreadStats.distribution("d", 7)
  yield* ThreadStats.event("e", "")
})

const arrived = Effect.flatMap(
  LocalIntake.LocalIntake,
  (intake) =>
    Effect.all({ series: intake.series, distributions: intake.distributions, events: intake.events }).pipe(
      Effect.map(({ distributions, events, series }) => ({
        series: series.map(({ points }) => points[0]?.[1]),
        distributions: distributions.map(({ points }) => points[0]?.[1]),
        events: events.map(({ title }) => title)
      }))
    )
)

describe.each(transports)("over a real socket, with %s", (_, makeLayer) => {
  const client = clientOver(makeLayer)

  it.live("a flush gets through an intake that is down for a moment, and nothing is doubled", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      for (const path of ["series", "distribution_points", "events"]) {
        yield* intake.script([answer(503), answer(429, { "retry-after": "0.01" })], `/api/v1/${path}`)
      }
      yield* record
      const receipt = yield* ThreadStats.flush()
      assert.deepStrictEqual(receipt.errors, [])
      assert.deepStrictEqual([receipt.metrics.delivered, receipt.events.delivered], [2, 1])
      assert.deepStrictEqual(yield* arrived, { series: [0.5], distributions: [[7]], events: ["e"] })
      assert.strictEqual((yield* intake.requests).length, 9)
    }).pipe(Effect.provide(client())))

  it.live("a flush over an intake that never answers ends in time, and the next one delivers", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      for (const path of ["series", "distribution_points", "events"]) {
        yield* intake.script([Effect.never, Effect.never, Effect.never], `/api/v1/${path}`)
      }
      yield* record
      const [elapsed, receipt] = yield* Effect.timed(ThreadStats.flush())
      assert.isBelow(Duration.toMillis(elapsed), 4000)
      assert.deepStrictEqual(receipt.errors.map(({ reason }) => reason), ["Timeout", "Timeout", "Timeout"])
      assert.deepStrictEqual([receipt.metrics.kept, receipt.events.kept], [2, 1])
      assert.deepStrictEqual(yield* arrived, { series: [], distributions: [], events: [] })
      const held = Effect.map(ThreadStats.stats, ({ events, metrics }) => events.held + metrics.held)
      yield* Effect.repeat(Effect.zipRight(ThreadStats.flush(), held), { until: (n) => n === 0, times: 5 })
      assert.deepStrictEqual(yield* arrived, { series: [0.5], distributions: [[7]], events: ["e"] })
      const { metrics } = yield* ThreadStats.stats
      assert.deepStrictEqual([metrics.received, metrics.delivered, metrics.held], [2, 2, 0])
    }).pipe(Effect.provide(client({ flushTimeout: "2 seconds", requestTimeout: "1500 millis" }))))

  it.live("a batch over the intake's limit arrives in pieces, whole", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 3000; i++) yield* ThreadStats.gauge(`metric.number.${i}`, i, { tags: [`shard:${i % 7}`] })
      const { errors, metrics, payloads } = yield* ThreadStats.flush()
      assert.deepStrictEqual(errors, [])
      assert.strictEqual(metrics.delivered, 3000)
      assert.isAbove(payloads, 1)
      const { series } = yield* arrived
      assert.deepStrictEqual(series, Array.from({ length: 3000 }, (_, i) => i))
    }).pipe(Effect.provide(client({}, { maxBodyBytes: 4000 }))))
})
