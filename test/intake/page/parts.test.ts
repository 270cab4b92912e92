import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import { gamma, type Hello, noHealth, type SeriesRow, type Update } from "../../../src/internal/intakeFeed.js"
import * as Format from "../../../src/page/format.js"
import * as Lines from "../../../src/page/lines.js"
import * as Sketch from "../../../src/page/sketch.js"
import * as Store from "../../../src/page/store.js"
import { noUpdate, sketchOf } from "../../support/page.js"

const hello: Hello = {
  instance: "1",
  version: "0.1.0",
  now: 0,
  url: "http://127.0.0.1:8126",
  dogstatsd: null,
  strict: false,
  faults: [],
  limits: { series: 5, pointsPerSeries: 4, events: 3, requests: 3 }
}

const row = (id: number, part: Partial<SeriesRow> = {}): SeriesRow => ({
  id,
  metric: "a",
  kind: "gauge",
  unit: null,
  tags: [],
  host: "",
  device: "",
  interval: 0,
  verdicts: [],
  ...part
})

const stateWith = (part: Partial<Update>, limits: Partial<Hello["limits"]> = {}): Store.State => {
  const state = Store.make()
  const most = { series: 1e6, pointsPerSeries: 1e6, events: 1e6, requests: 1e6 }
  Store.reduce(state, "hello", { ...hello, limits: { ...most, ...limits } })
  Store.reduce(state, "snapshot", { ...noUpdate, ...part })
  return state
}

const metricOf = (state: Store.State, key: string): Store.Metric => state.metrics.get(key)!

const event = (id: number) => ({
  id,
  timestamp: id,
  title: "",
  text: "",
  alertType: "info",
  priority: "normal",
  tags: [],
  host: "",
  verdicts: []
})

describe("store", () => {
  it("keeps one value of a second, the last, in the order of time, and the latest of them", () => {
    fc.assert(fc.property(
      fc.array(fc.array(fc.tuple(fc.integer({ min: 0, max: 30 }), fc.integer()), { maxLength: 10 }), { maxLength: 8 }),
      fc.integer({ min: 1, max: 12 }),
      (updates, pointsPerSeries) => {
        const state = stateWith({ series: [row(1)] }, { pointsPerSeries })
        let kept: Array<readonly [number, number]> = []
        for (const points of updates) {
          Store.reduce(state, "update", { ...noUpdate, points: points.map(([t, v]) => [1, t, v]) })
          for (const [t, v] of points) {
            kept = [...kept.filter(([other]) => other !== t), [t, v] as const]
              .sort(([a], [b]) => a - b)
              .slice(-pointsPerSeries)
          }
        }
        const { times, values } = state.series.get(1)!
        assert.deepStrictEqual(times.map((t, i) => [t, values[i]!] as const), kept)
      }
    ))
  })

  it("puts the series of a name and kind together", () => {
    const state = stateWith({ series: [row(1), row(2, { kind: "count" }), row(3, { tags: ["x:1"], unit: "byte" })] })
    assert.deepStrictEqual([...state.metrics.keys()], ["gauge a", "count a"])
    assert.deepStrictEqual([...metricOf(state, "gauge a").series].map(({ row }) => row.id), [1, 3])
    assert.strictEqual(metricOf(state, "gauge a").unit, "byte")
  })

  it("forgets series, and a metric with its last one", () => {
    const state = stateWith({ series: [row(1), row(2, { metric: "b" }), row(3)] })
    const before = state.shape
    Store.reduce(state, "update", { ...noUpdate, forgotten: [1, 9] })
    assert.deepStrictEqual([...state.metrics.keys()], ["gauge a", "gauge b"])
    assert.strictEqual(state.shape, before)
    Store.reduce(state, "update", { ...noUpdate, forgotten: [3] })
    assert.deepStrictEqual([...state.metrics.keys()], ["gauge b"])
    assert.isAbove(state.shape, before)
  })

  it("stays within the limits it was told, oldest first, whatever the intake says", () => {
    const state = stateWith({
      series: Array.from({ length: 20 }, (_, i) => row(i, { metric: `m${i}` })),
      events: [1, 2, 3, 4, 5].map(event)
    }, { series: 5, events: 3 })
    assert.deepStrictEqual([...state.series.keys()], [15, 16, 17, 18, 19])
    assert.strictEqual(state.metrics.size, 5)
    assert.deepStrictEqual([...state.events.keys()], [3, 4, 5])
  })

  it("takes no point of a series it was not told of, or of another kind", () => {
    const state = stateWith({ series: [row(1), row(2, { kind: "distribution" })] })
    Store.reduce(state, "update", {
      ...noUpdate,
      points: [[2, 1, 1], [7, 1, 1]],
      distributions: [sketchOf(1, 1, [1]), sketchOf(7, 1, [1])]
    })
    assert.deepStrictEqual([...state.series.values()].map(({ times }) => times), [[], []])
  })

  it("is empty after clear, and holds nothing but a snapshot after one", () => {
    const full = {
      series: [row(1)],
      points: [[1, 1, 1]] as const,
      events: [event(1)],
      health: { ...noHealth, requests: 3 }
    }
    const state = stateWith(full)
    Store.reduce(state, "clear", { now: 5 })
    assert.deepStrictEqual(
      [state.metrics.size, state.series.size, state.events.size, state.requests.size, state.health.requests],
      [0, 0, 0, 0, 0]
    )
    Store.reduce(state, "update", { ...noUpdate, ...full })
    Store.reduce(state, "snapshot", { ...noUpdate, series: [row(4, { metric: "b" })] })
    assert.deepStrictEqual([...state.series.keys()], [4])
    assert.strictEqual(state.events.size, 0)
  })
})

const values = fc.array(
  fc.oneof(
    fc.double({ min: 1e-6, max: 1e9, noNaN: true }),
    fc.double({ min: -1e9, max: -1e-6, noNaN: true }),
    fc.constant(0)
  ),
  { minLength: 1, maxLength: 60 }
)

const sketch = (...all: ReadonlyArray<ReadonlyArray<number>>): Sketch.Sketch => {
  const merged = Sketch.empty()
  for (const some of all) {
    if (some.length > 0) Sketch.add(merged, sketchOf(1, 1, some))
  }
  return merged
}

describe("sketch", () => {
  it("has quantiles within 2 %", () => {
    fc.assert(fc.property(values, fc.double({ min: 0, max: 1, noNaN: true }), (values, q) => {
      const [found] = Sketch.quantiles(sketch(values), [q])
      const sorted = [...values].sort((a, b) => a - b)
      const exact = sorted[Math.floor(q * (sorted.length - 1))]!
      assert.isAtMost(Math.abs(found! - exact), Math.abs(exact) * (gamma - 1) / (gamma + 1) + 1e-9 * Math.abs(exact))
    }))
  })

  it("has the lowest and the highest value as they are, and none of nothing", () => {
    assert.deepStrictEqual(Sketch.quantiles(sketch([3.3, -7.7, 0, 12.1]), [0, 1]), [-7.7, 12.1])
    assert.deepStrictEqual(Sketch.quantiles(Sketch.empty(), [0, 0.5]), [null, null])
  })

  it("is the same however its values came", () => {
    fc.assert(fc.property(values, fc.nat({ max: 60 }), (values, at) => {
      const qs = [0, 0.25, 0.5, 0.99, 1]
      const apart = sketch(values.slice(0, at), values.slice(at))
      const together = sketch(values)
      assert.strictEqual(apart.count, together.count)
      assert.deepStrictEqual(Sketch.quantiles(apart, qs), Sketch.quantiles(together, qs))
    }))
  })

  it("has a histogram with every value in it, from the lowest to the highest", () => {
    fc.assert(fc.property(values, fc.integer({ min: 1, max: 80 }), (values, columns) => {
      const { counts, edges } = Sketch.histogram(sketch(values), columns)!
      assert.strictEqual(edges.length, counts.length + 1)
      assert.approximately(counts.reduce((a, b) => a + b, 0), values.length, 1e-6 * values.length)
      const size = Math.max(...values.map(Math.abs), 1e-6)
      assert.approximately(edges[0]!, Math.min(...values), size * 1e-9)
      assert.approximately(edges.at(-1)!, Math.max(...values), size * 1e-9)
      for (let i = 1; i < edges.length; i++) assert.isAtLeast(edges[i]!, edges[i - 1]!)
    }))
  })

  it("puts values into their columns", () => {
    const { counts, edges, scale } = Sketch.histogram(sketch([10, 10, 10, 20, 30]), 2)!
    assert.strictEqual(scale, "linear")
    assert.deepStrictEqual(edges, [10, 20, 30])
    assert.isAtLeast(counts[0]!, 3)
    assert.strictEqual(Sketch.histogram(sketch([0.001, 1000]), 4)!.scale, "log")
    assert.strictEqual(Sketch.histogram(Sketch.empty(), 4), undefined)
    assert.deepStrictEqual(Sketch.histogram(sketch([5, 5]), 4)!.counts, [2])
  })
})

describe("lines", () => {
  const frame: Lines.Frame = { from: 100, step: 10, steps: 5 }
  const long = 1e9

  const two = (kind: SeriesRow["kind"]) =>
    stateWith({
      series: [row(1, { kind, tags: ["shop:eu"] }), row(2, { kind, tags: ["shop:us"] })],
      points: [[1, 99, 1000], [1, 100, 1], [1, 105, 2], [2, 109, 10], [1, 111, 4], [2, 110, 40], [1, 149, 8], [
        1,
        150,
        1000
      ]]
    })

  const lineOf = (kind: SeriesRow["kind"], now = long) => {
    const metric = metricOf(two(kind), `${kind} a`)
    return Lines.line(kind, [...metric.series], frame, now)
  }

  it("sums counts", () => {
    assert.deepStrictEqual(lineOf("count"), [13, 44, undefined, undefined, 8])
  })

  it("sums the means of rates", () => {
    assert.deepStrictEqual(lineOf("rate"), [11.5, 44, undefined, undefined, 8])
  })

  it("means the last values of gauges", () => {
    assert.deepStrictEqual(lineOf("gauge"), [6, 22, undefined, undefined, 8])
  })

  it("adds up to the total of counts, whatever the step and the split", () => {
    fc.assert(fc.property(
      fc.array(fc.tuple(fc.constantFrom(1, 2, 3), fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: 99 }))),
      fc.constantFrom(1, 2, 5, 10, 60),
      fc.constantFrom(undefined, "shop"),
      (points, step, split) => {
        const state = stateWith({
          series: [1, 2, 3].map((id) => row(id, { kind: "count", tags: id === 3 ? [] : [`shop:${id}`] })),
          points
        })
        let expected = 0
        for (const { values } of state.series.values()) expected += values.reduce((a, b) => a + b, 0)
        const groups = Lines.groupsOf(metricOf(state, "count a"), split)
        const frame = { from: 0, step, steps: Math.ceil(201 / step) }
        const drawn = groups.flatMap(({ series }) => Lines.line("count", series, frame, long))
        assert.strictEqual(drawn.reduce<number>((sum, value) => sum + (value ?? 0), 0), expected)
      }
    ))
  })

  it("leaves out a step in which not all have sent yet, while it is young", () => {
    assert.deepStrictEqual(Lines.line("count", [...two("count").series.values()], { ...frame, steps: 5 }, 155), [
      13,
      44,
      undefined,
      undefined,
      8
    ])
    const state = stateWith({
      series: [row(1, { kind: "count" }), row(2, { kind: "count", tags: ["x"] })],
      points: [[1, 100, 1], [2, 100, 1], [1, 110, 1]]
    })
    const at = (now: number) => Lines.line("count", [...state.series.values()], { ...frame, steps: 2 }, now)
    assert.deepStrictEqual(at(115), [2, undefined])
    assert.deepStrictEqual(at(131), [2, 1])
  })

  it("interrupts a line where nothing came for three steps, not for fewer", () => {
    const u = undefined
    assert.deepStrictEqual(Lines.interrupt([1, u, u, 2, u, u, u, 3]), [1, u, u, 2, null, null, null, 3])
    assert.deepStrictEqual(Lines.interrupt([u, u, u, 1, u]), [null, null, null, 1, u])
  })

  it("splits by what comes before the colon, by tags without one, and by host", () => {
    const state = stateWith({
      series: [
        row(1, { tags: ["shop:eu", "debug"], host: "h1" }),
        row(2, { tags: ["shop:us:east", "shop:eu"] }),
        row(3, { tags: ["shopping:1"] })
      ]
    })
    const metric = metricOf(state, "gauge a")
    assert.deepStrictEqual(Lines.tagKeys(metric), [["debug", 1], ["host", 1], ["shop", 2], ["shopping", 1]])
    const labels = (key: string) => Lines.groupsOf(metric, key).map(({ label, series }) => [label, series.length])
    assert.deepStrictEqual(labels("shop"), [["(without)", 1], ["eu", 1], ["eu, us:east", 1]])
    assert.deepStrictEqual(labels("debug"), [["(without)", 2], ["debug", 1]])
    assert.deepStrictEqual(labels("host"), [["(without)", 2], ["h1", 1]])
    assert.deepStrictEqual(Lines.groupsOf(metric, undefined).map(({ series }) => series.length), [3])
  })

  it("takes steps no shorter than the interval, and no more of them than it may", () => {
    assert.strictEqual(Lines.stepOf(300, 1, 600), 1)
    assert.strictEqual(Lines.stepOf(300, 10, 600), 10)
    assert.strictEqual(Lines.stepOf(3600, 1, 600), 10)
    assert.strictEqual(Lines.stepOf(1e9, 1, 600), Math.ceil(1e9 / 600))
  })

  it("finds the interval in the points where it is not said", () => {
    const points = [0, 15, 30, 45, 90].map((t) => [1, t, 0] as const)
    assert.strictEqual(Lines.intervalOf(metricOf(stateWith({ series: [row(1)], points }), "gauge a")), 15)
    const said = stateWith({ series: [row(1, { interval: 60 })], points })
    assert.strictEqual(Lines.intervalOf(metricOf(said, "gauge a")), 60)
  })

  it("puts the sketches of a step together once, and again when one changes", () => {
    const state = stateWith({
      series: [row(1, { kind: "distribution" }), row(2, { kind: "distribution", tags: ["x"] })],
      distributions: [sketchOf(1, 101, [1, 2]), sketchOf(2, 109, [3]), sketchOf(1, 110, [50])]
    })
    const metric = metricOf(state, "distribution a")
    const steps = new Lines.Steps([...metric.series], 10)
    metric.onSketch = (timestamp) => steps.changed(timestamp)
    let asked = 0
    assert.isFalse(steps.fill(frame, () => asked++ < 4))
    assert.strictEqual(steps.get(100), undefined)
    assert.isTrue(steps.fill(frame, () => true))
    assert.deepStrictEqual(steps.line("count", frame), [3, 1, null, null, null])
    assert.deepStrictEqual(steps.line("max", frame), [3, 50, null, null, null])
    assert.strictEqual(steps.total(frame).count, 4)
    Store.reduce(state, "update", { ...noUpdate, distributions: [sketchOf(2, 109, [3, 70])] })
    assert.isTrue(steps.fill(frame, () => true))
    assert.deepStrictEqual(steps.line("max", frame), [70, 50, null, null, null])
  })

  it("marks events that are near to each other once, as what matters most", () => {
    assert.deepStrictEqual(
      Lines.marksOf([[30, "info"], [0, "info"], [11, "error"], [5, "warning"], [12, "success"]], 12),
      [
        [0, "error"],
        [12, "success"],
        [30, "info"]
      ]
    )
    assert.deepStrictEqual(Lines.marksOf([], 12), [])
    // an event every second is marked all along, and not only where it began
    const often = Array.from({ length: 100 }, (_, x) => [x, "info"] as const)
    assert.deepStrictEqual(Lines.marksOf(often, 12).map(([x]) => x), [0, 12, 24, 36, 48, 60, 72, 84, 96])
  })

  it("draws the groups that weigh most, in their order", () => {
    const state = stateWith({
      series: [1, 2, 3].map((id) => row(id, { kind: "count", tags: [`k:${id}`] })),
      points: [[1, 100, 5], [2, 100, 1], [3, 100, 9], [2, 5, 1000]]
    })
    const chosen = Lines.heaviest(Lines.groupsOf(metricOf(state, "count a"), "k"), frame, 2)
    assert.deepStrictEqual(chosen.map(({ label }) => label), ["1", "3"])
  })

  it("has the last minute of a metric for its row", () => {
    const points = [100, 110, 120].map((t, i) => [1, t, i + 1] as const)
    const counts = stateWith({ series: [row(1, { kind: "count", interval: 10 })], points })
    assert.deepStrictEqual(Lines.spark(metricOf(counts, "count a"), 4, long), [undefined, 1, 2, 3])
    const distributions = stateWith({
      series: [row(1, { kind: "distribution", interval: 10 })],
      distributions: [sketchOf(1, 120, [7, 7])]
    })
    assert.deepStrictEqual(Lines.spark(metricOf(distributions, "distribution a"), 2, long), [undefined, 7])
    assert.deepStrictEqual(Lines.spark(metricOf(stateWith({ series: [row(1)] }), "gauge a"), 4, long), [])
  })
})

describe("format", () => {
  const value = (n: number | null, unit: string | null = null) => Format.joined(Format.value(n, unit))

  it("shows values with as many digits as tell them apart", () => {
    const shown: ReadonlyArray<readonly [number | null, string]> = [
      [0, "0"],
      [7, "7"],
      [-7, "-7"],
      [1234, "1,234"],
      [99_999, "99,999"],
      [123_456, "123.5k"],
      [999_999, "1.00M"],
      [1e6, "1M"],
      [12_345_678, "12.35M"],
      [1.5, "1.50"],
      [0.25, "0.250"],
      [0.1 + 0.2, "0.300"],
      [123.456, "123.5"],
      [1e-9, "1.00e-9"],
      [1e22, "1.00e+22"],
      [NaN, "NaN"],
      [Infinity, "Infinity"],
      [null, "–"]
    ]
    for (const [n, text] of shown) assert.strictEqual(value(n), text)
  })

  it("scales the units it knows, and names the others", () => {
    assert.strictEqual(value(0.00025, "second"), "250 µs")
    assert.strictEqual(value(0.1834, "second"), "183.4 ms")
    assert.strictEqual(value(1500, "millisecond"), "1.50 s")
    assert.strictEqual(value(7200, "second"), "2 h")
    assert.strictEqual(value(85_200_000, "byte"), "85.2 MB")
    assert.strictEqual(value(2, "kibibyte"), "2.0 kB")
    assert.strictEqual(value(12.5, "percent"), "12.50 %")
    assert.strictEqual(value(0.125, "fraction"), "12.50 %")
    assert.strictEqual(value(42, "request"), "42 request")
    assert.strictEqual(value(200_000, "request"), "200k request")
    assert.strictEqual(value(1, "__proto__"), "1 __proto__")
    assert.strictEqual(value(1, "a\u202eb"), "1 a\\u{202e}b")
  })

  it("is never more than 2 % off, nor longer than a cell", () => {
    fc.assert(fc.property(fc.double({ min: -1e300, max: 1e300, noNaN: true }), (n) => {
      const { text, unit } = Format.value(n, null)
      assert.isAtMost((text + unit).length, 12)
      const scale = { "": 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18 }[unit]!
      assert.isAtMost(Math.abs(Number(text.replaceAll(",", "")) * scale - n), Math.abs(n) * 0.02)
    }))
  })

  it("shows sizes, ratios, durations and spans", () => {
    assert.deepStrictEqual(
      [0, 999, 1000, 12_345, 999_950, 1e12].map((n) => Format.joined(Format.bytes(n))),
      ["0 B", "999 B", "1.0 kB", "12.3 kB", "1.0 MB", "1.0 TB"]
    )
    assert.deepStrictEqual([Format.ratio(100, 350), Format.ratio(5, 5), Format.ratio(0, 5)], ["3.5×", "", ""])
    assert.deepStrictEqual(
      [0, 0.25, 1.234, 99.96, 1500].map((n) => Format.joined(Format.duration(n))),
      ["< 1 ms", "250 µs", "1.2 ms", "100.0 ms", "1.50 s"]
    )
    assert.deepStrictEqual([10, 600, 7200, 259_200].map(Format.span), ["10 s", "10 min", "2 h", "3 days"])
    assert.deepStrictEqual([0.5, 3, 1500].map((n) => Format.tick(n, "millisecond")), ["500 µs", "3 ms", "1.5 s"])
  })

  it("hides nothing of a name, and lets nothing turn it around", () => {
    assert.strictEqual(
      Format.visible("a\u0000b\u202ec\u200bd\u2028e\ufefff\nß 🙂"),
      "a\\u{0}b\\u{202e}c\\u{200b}d\\u{2028}e\\u{feff}f\\u{a}ß 🙂"
    )
    assert.strictEqual(Format.visible("\ud800"), "\\u{d800}")
    assert.strictEqual(Format.visibleLines("a\n\tb\u202e"), "a\n\tb\\u{202e}")
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 0x10ffff }).map((code) => String.fromCodePoint(code))),
        (characters) => {
          assert.notMatch(Format.visible(characters.join("")), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u)
        }
      )
    )
  })
})
