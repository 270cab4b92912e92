import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import type { LineFormat } from "../../src/internal/dogstatsd/format.js"
import * as Settings from "../../src/internal/dogstatsd/settings.js"
import { makeEncoder, sample } from "./encoding.js"

const plainFormat: Partial<LineFormat> = { profile: "plain", packed: false }

const encode = (items: Parameters<ReturnType<typeof makeEncoder>>[0], format: Partial<LineFormat> = {}) =>
  makeEncoder({ ...plainFormat, ...format })(items)

/** Settings of the profile, with these variables. */
const formatOf = (variables: Record<string, string>) =>
  Effect.withConfigProvider(
    Effect.map(Settings.resolve({ profile: "plain" }), ({ format }) => format),
    ConfigProvider.fromMap(new Map(Object.entries(variables)))
  )

describe("the profile \"plain\"", () => {
  it.effect("has one value per line and no times, unless variables say otherwise", () =>
    Effect.gen(function*() {
      assert.deepInclude(yield* formatOf({}), { packed: false, timestamps: "never", origin: "", tags: [] })
      const variables = { DD_THREADSTATS_DOGSTATSD_PACKED: "true", DD_THREADSTATS_DOGSTATSD_TIMESTAMPS: "always" }
      assert.deepInclude(yield* formatOf(variables), { packed: true, timestamps: "always" })
    }))

  it("sends one value per line, and single values as timers", () => {
    const { lines } = encode([
      sample("counter", "c", [3], { tags: ["a:b"] }),
      sample("histogram", "h", [1, 2], { tags: ["a:b"] }),
      sample("timing", "t", [3, 4], { weight: 2 }),
      { metric: "d", points: [[0, [5, 6]]], type: "distribution", tags: [], interval: 10 }
    ])
    assert.deepStrictEqual(lines, [
      "c:3|c|#a:b",
      "h:1|ms|#a:b",
      "h:2|ms|#a:b",
      "t:3|ms|@0.5",
      "t:4|ms|@0.5",
      "d:5|ms",
      "d:6|ms"
    ])
  })

  it("sends a zero before a negative gauge, in the same packet", () => {
    const tags = ["k:v"]
    const gauges = Array.from({ length: 200 }, (_, i) => sample("gauge", `gauge.${i}`, [-i - 0.5], { tags }))
    const { lines, packets } = encode(gauges, { packetSize: 512 })
    assert.deepStrictEqual(
      lines,
      gauges.flatMap((_, i) => [`gauge.${i}:0|g|#k:v`, `gauge.${i}:${-i - 0.5}|g|#k:v`])
    )
    assert.isAbove(packets.length, 10)
    for (const { body } of packets) {
      assert.isAtMost(body.byteLength, 512)
      assert.strictEqual(body.toString().split("\n").length % 2, 1)
    }
    assert.deepStrictEqual(encode([sample("gauge", "g", [-0])]).lines, ["g:0|g"])
  })

  it("keeps members of a set apart that have colons", () => {
    const members = ["a:b", "a", "b", "a%3ab", "", "%"]
    const { lines } = encode([sample("set", "s", members)])
    assert.deepStrictEqual(lines, ["s:a%3ab|s", "s:a|s", "s:b|s", "s:a%253ab|s", "s:%|s", "s:%25|s"])
  })

  it("sends the number of members with `sets: \"count\"`", () => {
    const encodeBatch = makeEncoder({ ...plainFormat, sets: "count" })
    assert.deepStrictEqual(encodeBatch([sample("set", "s", ["a", "b"])]).lines, ["s:2|g"])
    assert.deepStrictEqual(encodeBatch([sample("set", "s", ["b", "c"])]).lines, ["s:3|g"])
  })

  it("puts tags into the name with `tagFormat: \"influxdb\"`", () => {
    const { lines } = encode(
      [sample("counter", "c", [1], { tags: ["env:prod", "bare", "url:a:b"], host: "web-1" })],
      { tagFormat: "influxdb" }
    )
    assert.deepStrictEqual(lines, ["c,env=prod,bare=true,url=a_b,host=web-1:1|c"])
  })

  it("replaces characters in names that have a meaning for some server", () => {
    const { lines } = encode([sample("counter", "a:b|c@d#e,f;g=h i\nj-k/l", [1])])
    assert.deepStrictEqual(lines, ["a_b_c_d_e_f_g_h_i_j-k/l:1|c"])
  })

  it("refuses events, and timers with negative values, which servers drop", () => {
    const { lines, refused } = encode([
      { title: "t", text: "", tags: [] },
      sample("histogram", "h", [1, -1]),
      { metric: "d", points: [[0, [-5]]], type: "distribution", tags: [], interval: 10 },
      sample("counter", "c", [-1])
    ])
    assert.deepStrictEqual(lines, ["c:-1|c"])
    assert.deepStrictEqual(refused.map(({ index, reason }) => [index, reason]), [
      [0, "Rejected"],
      [1, "Rejected"],
      [2, "Rejected"]
    ])
  })
})
