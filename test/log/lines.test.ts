import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck, Layer } from "effect"
import { ThreadStats } from "effect-threadstats"
import { type Line, logsTo } from "../support/scripted.js"
import {
  asMetric,
  bytesOf,
  checkedStats,
  distribution,
  layerClient,
  makeOutput,
  makeReporter,
  metric,
  metricsIn
} from "./output.js"

/** Longest line that CloudWatch takes, in bytes. */
const limit = 256 * 1024 - 26

describe("log lines", () => {
  it.effect("writes the four keys that the forwarder reads, one line a value", () =>
    Effect.gen(function*() {
      const output = makeOutput()
      const reporter = yield* makeReporter(output)
      yield* reporter.flushDistributions([
        { ...distribution("a.b", [1.5, -0, 1e21], ["x:1", "y"]), host: "h", device: "d" }
      ])
      yield* reporter.flushDistributions([
        { ...distribution("c", [2]), host: "", device: null, points: [[1_700_000_009.7, [2]]] }
      ])
      assert.strictEqual(
        output.text(),
        `{"m":"a.b","v":1.5,"e":1700000000,"t":["x:1","y","host:h","device:d"]}\n` +
          `{"m":"a.b","v":0,"e":1700000000,"t":["x:1","y","host:h","device:d"]}\n` +
          `{"m":"a.b","v":1e+21,"e":1700000000,"t":["x:1","y","host:h","device:d"]}\n` +
          `{"m":"c","v":2,"e":1700000009,"t":[]}\n`
      )
    }))

  it("writes one line of JSON a value for any name, tags and values", () => {
    const text = FastCheck.oneof(
      FastCheck.fullUnicodeString(),
      FastCheck.constant("a\nb\r\u2028\ud800\u0000\"")
    )
    FastCheck.assert(
      FastCheck.property(
        FastCheck.fullUnicodeString({ minLength: 1 }),
        FastCheck.array(text),
        FastCheck.array(FastCheck.double({ noNaN: true, noDefaultInfinity: true }), { minLength: 1 }),
        (name, tags, values) => {
          const output = makeOutput()
          Effect.runSync(
            Effect.flatMap(
              makeReporter(output),
              (reporter) => reporter.flushDistributions([distribution(name, values, tags)])
            )
          )
          const lines = output.text().split("\n")
          assert.strictEqual(lines.pop(), "")
          assert.deepStrictEqual(
            lines.map(asMetric),
            values.map((value) => metric(name, value === 0 ? 0 : value, 1_700_000_000, ...tags))
          )
        }
      ),
      { numRuns: 50 }
    )
  })

  it("repeats the values of a sample so that the count is exact and each value is off by one at most", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.integer({ min: 1, max: 50 }),
        FastCheck.integer({ min: 1, max: 2000 }),
        (kept, more) => {
          const count = kept + more
          const output = makeOutput()
          Effect.runSync(Effect.flatMap(makeReporter(output), (reporter) =>
            reporter.flushSamples!([{
              metric: "size",
              points: [[0, Array.from({ length: kept }, (_, i) => i)]],
              weight: count / kept,
              type: "histogram",
              tags: [],
              interval: 10
            }])))
          const times = Array.from({ length: kept }, () => 0)
          for (const { v } of metricsIn(output.text())) times[v]!++
          assert.strictEqual(times.reduce((sum, n) => sum + n, 0), count)
          for (const n of times) assert.isAtMost(Math.abs(n - count / kept), 1)
        }
      ),
      { numRuns: 50 }
    )
  })
})

describe("log line limit", () => {
  it.effect("refuses and counts a metric whose line would be too long, and writes the metrics beside it", () => {
    const output = makeOutput()
    const logs: Array<Line> = []
    // a character takes three bytes here, and six bytes below
    const tags = Array.from({ length: 500 }, (_, i) => `${String(i).padStart(4, "0")}${"値".repeat(196)}`)
    const escaped = Array.from({ length: 300 }, (_, i) => `${String(i).padStart(4, "0")}${"\u0001".repeat(196)}`)
    return Effect.gen(function*() {
      yield* ThreadStats.distribution("small", 1)
      yield* ThreadStats.distribution("large", 1, { tags })
      yield* ThreadStats.distribution("large", 2, { tags })
      yield* ThreadStats.increment("escaped", 1, { tags: escaped })
      yield* ThreadStats.distribution("many", 1, { tags: tags.slice(0, 400) })
      const { errors, metrics } = yield* ThreadStats.flush()
      assert.deepStrictEqual(metrics, { delivered: 2, pending: 0, dropped: 3 })
      assert.deepStrictEqual(errors.map(({ reason }) => reason), ["PayloadTooLarge", "PayloadTooLarge"])
      assert.deepStrictEqual((yield* checkedStats).metrics.dropped, { Refused: 3 })
      assert.deepStrictEqual(metricsIn(output.text()).map(({ m }) => m), ["small", "many"])
      assert.isTrue(logs.some(({ level, message }) => level === "WARN" && message.includes("Refused (escaped")))
    }).pipe(Effect.provide(Layer.merge(layerClient(output), logsTo(logs))))
  })

  it.effect("accepts a line that is shorter than the limit by the longest number", () =>
    Effect.gen(function*() {
      const output = makeOutput()
      const reporter = yield* makeReporter(output)
      const frame = bytesOf(`{"m":"","v":,"e":1700000000,"t":[]}\n`)
      const longest = distribution("m".repeat(limit - frame - 25), [-Number.MIN_VALUE])
      assert.strictEqual((yield* reporter.flushDistributions([longest])).items, 1)
      assert.isAtMost(bytesOf(output.text()), limit)
      const error = yield* Effect.flip(reporter.flushDistributions([{ ...longest, metric: `${longest.metric}m` }]))
      assert.strictEqual(error.reason, "PayloadTooLarge")
      assert.lengthOf(output.writes, 1)
    }))
})
