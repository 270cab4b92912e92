import { assert, describe, it } from "@effect/vitest"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import type { LineFormat } from "../../src/internal/dogstatsd/format.js"
import wire from "../fixtures/wire.json" with { type: "json" }
import { encodeLines, extensionFormat, layerClient, linesIn, makeEncoder, sample } from "./encoding.js"

describe("ThreadStats over the DogStatsD encoder", () => {
  const reference = wire.dogstatsd.map((line) => line.trimEnd()).filter((line) => !line.startsWith("_sc"))
  const at = { timestamp: 1_700_000_003_000 }
  const options = { namespace: "myapp", constantTags: ["team:x"], rollUpInterval: "1 second" } as const

  const run = (timestamps: LineFormat["timestamps"], record: Effect.Effect<void, never, ThreadStats.ThreadStats>) =>
    Effect.gen(function*() {
      const packets: Array<Buffer> = []
      yield* Effect.provide(record, layerClient({ timestamps }, (packet) => packets.push(packet), options))
      return linesIn(packets)
    })

  it.effect("writes the lines of datadogpy for the same calls, with and without times", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_700_000_100_000)
      const undated = yield* run(
        "never",
        Effect.gen(function*() {
          yield* ThreadStats.increment("page.views", 1, { tags: ["page:home"] })
          yield* ThreadStats.decrement("page.views", 2)
          yield* ThreadStats.gauge("fuel.level", 0.5)
          yield* ThreadStats.set("users.uniques", "alice")
          yield* ThreadStats.histogram("song.length", 20)
          yield* ThreadStats.timing("query.time", 12.5)
          yield* ThreadStats.distribution("order.value", 10, { tags: { cur: "eur" } })
          yield* ThreadStats.event("Deploy", "line one\nline two", {
            alertType: "success",
            aggregationKey: "deploys",
            sourceTypeName: "my apps",
            dateHappened: new Date(1_700_000_000_000),
            priority: "low",
            tags: ["v:42"],
            host: "web-9"
          })
        })
      )
      const dated = yield* run(
        "late",
        Effect.gen(function*() {
          yield* ThreadStats.gauge("fuel.level", 0.5, at)
          yield* ThreadStats.increment("page.views", 3, at)
        })
      )
      assert.sameMembers([...undated, ...dated], reference)
    }))
})

describe("metricLines", () => {
  it("writes one line for every recorded value of a sample", () => {
    assert.deepStrictEqual(
      encodeLines([
        sample("histogram", "h", [3, 1, 2]),
        sample("timing", "t", [0.5]),
        sample("histogram", "w", [1, 2, 3], { weight: 5 / 3 }),
        sample("timing", "x", [7, 8], { weight: 93 }),
        sample("set", "s", ["a", "b"]),
        sample("counter", "c", [-0]),
        sample("gauge", "g", [-1e21])
      ]),
      [
        "h:3:1:2|h",
        "t:0.5|ms",
        "w:1|h",
        "w:2:3|h|@0.5",
        "x:7:8|ms|@0.01075268817204301",
        "s:a|s",
        "s:b|s",
        "c:0|c",
        "g:-1e+21|g"
      ]
    )
  })

  it("writes a sample rate whose inverse, rounded down as the Agent does, is the weight", () => {
    for (let weight = 2; weight <= 1000; weight++) {
      const [line] = encodeLines([sample("histogram", "h", [1], { weight })])
      assert.strictEqual(Math.floor(1 / Number(line!.split("@")[1])), weight)
    }
    // the plain inverse of 93 is off by one
    assert.notStrictEqual(Math.floor(1 / (1 / 93)), 93)
  })

  it("writes host and device as tags, and omits an empty host", () => {
    const gauge = (host: string | null | undefined, device: string | null | undefined) =>
      sample("gauge", "g", [1], { host, device, tags: ["a:b"] })
    assert.deepStrictEqual(
      encodeLines([gauge("web-1", "eth0"), gauge("", null), gauge(null, undefined)]),
      ["g:1|g|#a:b,device:eth0,host:web-1", "g:1|g|#a:b", "g:1|g|#a:b"]
    )
  })

  it("writes every point of counts, gauges and distributions", () => {
    const common = { tags: [], interval: 10 }
    assert.deepStrictEqual(
      encodeLines([
        { metric: "a", points: [[0, 3], [10, 7]], type: "count", ...common },
        { metric: "b", points: [[0, 0.3]], type: "count", ...common },
        { metric: "c", points: [[0, 0.3]], type: "gauge", ...common },
        { metric: "d", points: [[0, [1, 2]], [10, [3]], [20, []]], type: "distribution", ...common }
      ]),
      ["a:3|c", "a:7|c", "b:0.3|c", "c:0.3|g", "d:1:2|d", "d:3|d"]
    )
  })

  it("appends constant tags and origin fields to every line", () => {
    const format = { tags: ["dd.internal.entity_id:1a-2b"], origin: "|c:ci-1|e:cn-b|card:high" }
    assert.deepStrictEqual(
      encodeLines([sample("gauge", "g", [1], { tags: ["a:b"] }), { title: "t", text: "x", tags: [] }], format),
      [
        "g:1|g|#a:b,dd.internal.entity_id:1a-2b|c:ci-1|e:cn-b|card:high",
        "_e{1,1}:t|x|#dd.internal.entity_id:1a-2b|c:ci-1|e:cn-b|card:high"
      ]
    )
  })

  it("refuses invalid names, non-finite values and overlong lines, and writes the items around them", () => {
    const many = Array.from({ length: 60 }, (_, i) => `${"t".repeat(190)}${i}`)
    const { lines, refused } = makeEncoder()([
      sample("gauge", "", [1]),
      sample("gauge", "d", [1]),
      sample("gauge", "_sc", [1]),
      sample("counter", "_e{1,1}:a|b", [1]),
      sample("gauge", "a", [Number.NaN]),
      sample("histogram", "b", [1, Infinity]),
      sample("gauge", "c", [1], { tags: many }),
      sample("gauge", "e", [2])
    ])
    assert.deepStrictEqual(lines, ["d:1|g", "e:2|g"])
    assert.deepStrictEqual(refused.map(({ index, reason }) => [index, reason]), [
      [0, "Encoding"],
      [2, "Encoding"],
      [3, "Encoding"],
      [4, "Encoding"],
      [5, "Encoding"],
      [6, "PayloadTooLarge"]
    ])
    assert.strictEqual(refused[0]!.description, "\"\" is not a valid metric name")
  })
})

describe("metricLines for the Lambda extension", () => {
  it("writes one value a line, no sample rates, no origin, and the time of every line", () => {
    const batch = [
      sample("histogram", "h", [1, 2], { weight: 3 }),
      sample("set", "s", ["a", "b"]),
      sample("counter", "c", [4]),
      {
        metric: "d",
        points: [[1_700_000_000, [5, 6]]] as const,
        type: "distribution" as const,
        tags: [],
        interval: 10
      }
    ]
    const time = "T1700000000"
    assert.deepStrictEqual(encodeLines(batch, extensionFormat, 1_700_000_005), [
      ...[1, 1, 1, 2, 2, 2].map((value) => `h:${value}|d|${time}`),
      `s:2|g|${time}`,
      `c:4|c|${time}`,
      `d:5|d|${time}`,
      `d:6|d|${time}`
    ])
  })

  it("refuses events, more than 100 tags, and the extension's own metric", () => {
    const tags = Array.from({ length: 101 }, (_, i) => `t${i}`)
    const { lines, refused } = makeEncoder(extensionFormat)([
      { title: "title", text: "text", tags: [] },
      sample("counter", "aws.lambda.enhanced.invocations", [1]),
      sample("counter", "aws.lambda.enhanced.errors", [1]),
      sample("gauge", "many", [1], { tags }),
      sample("gauge", "enough", [1], { tags: tags.slice(1) })
    ], 1_700_000_005)
    assert.deepStrictEqual(refused.map(({ description, index, reason }) => [index, reason, description]), [
      [0, "Rejected", "the Lambda extension does not support events"],
      [1, "Rejected", "the Lambda extension reserves the name aws.lambda.enhanced.invocations"],
      [3, "Rejected", "the Lambda extension drops a metric with more than 100 tags"]
    ])
    assert.deepStrictEqual(lines.map((line) => line.split(":")[0]), ["aws.lambda.enhanced.errors", "enough"])
  })
})
