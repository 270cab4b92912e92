import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { parseLine } from "../../../src/intake/dogstatsd/parser.js"

const parseMetric = (line: string) => {
  const parsed = parseLine(line)
  return parsed._tag === "Metric" ? parsed : assert.fail(JSON.stringify(parsed))
}

/** Outcome and code of each finding about a metric. */
const findingsOf = (line: string) => parseMetric(line).verdicts.map(({ code, outcome }) => `${outcome} ${code}`)

describe("DogStatsD parser", () => {
  for (const type of ["c", "g", "ms", "h", "d"] as const) {
    it(`reads one or more values of the type "${type}"`, () => {
      assert.deepInclude(parseMetric(`a.b:1|${type}`), {
        name: "a.b",
        type,
        values: [1],
        rate: 1,
        tags: [],
        verdicts: []
      })
      assert.deepInclude(parseMetric(`a:1:-2.5:3e2::.5|${type}`), { values: [1, -2.5, 300, 0.5] })
    })
  }

  it("reads the whole value of a set as one member", () => {
    assert.deepInclude(parseMetric("a:x:y|s"), { type: "s", values: ["x:y"] })
  })

  it("reads fields in any order, and ignores unknown fields and empty tags", () => {
    assert.deepInclude(
      parseMetric("a:1|c|T1700000000|e:it-false,cn-x|@0.5|card:low|#k:v,b,,|c:ci-1|z:unknown"),
      {
        rate: 0.5,
        timestamp: 1_700_000_000,
        tags: ["k:v", "b"],
        container: "ci-1",
        externalData: "it-false,cn-x",
        cardinality: "low"
      }
    )
  })

  it("reads host and device from their tags, and removes these and the entity id from the tags", () => {
    assert.deepInclude(parseMetric("a:1|c|#host:h,x,device:d,dd.internal.entity_id:e"), {
      host: "h",
      device: "d",
      tags: ["x"]
    })
  })

  for (
    const [line, reason] of [
      ["a", /name is missing/],
      [":1|c", /name is missing/],
      ["a:1", /not a type/],
      ["a:1|x", /not a type/],
      ["a:|c", /value is missing/],
      ["a:one|c", /not a number/],
      ["a:0x10|g", /not a number/],
      ["a:1|c|@2", /not a sample rate/],
      ["a:1|c|@0", /not a sample rate/],
      ["a:1|c|T0", /not a time/],
      ["a:1|g|T1.5", /not a time/],
      ["_e{1}:a|b", /lengths are missing/],
      ["_e{1,9}:a|b", /lengths do not match/],
      ["_e{2,1}:a|b", /lengths do not match/],
      ["_e{0,1}:|b", /title is empty/],
      ["_sc|a|4", /not a status/],
      ["_sc||1", /name is missing/]
    ] as const
  ) {
    it(`drops the line "${line}" with its reason and text`, () => {
      const parsed = parseLine(line)
      if (parsed._tag !== "Invalid") return assert.fail(JSON.stringify(parsed))
      assert.deepInclude(parsed.verdict, { outcome: "dropped", code: "BadLine" })
      assert.match(parsed.verdict.message, reason)
      assert.include(parsed.verdict.message, JSON.stringify(line))
    })
  }

  it("drops values that are not finite", () => {
    assert.deepStrictEqual(findingsOf("a:NaN:1:+inf|g"), ["dropped NotFinite", "dropped NotFinite"])
    assert.deepStrictEqual(findingsOf("a:1e999|g"), ["dropped NotFinite"])
  })

  it("warns of a sample rate and of a time that the type does not have", () => {
    assert.deepStrictEqual(findingsOf("a:1|g|@0.5"), ["warning RateIgnored"])
    assert.deepStrictEqual(findingsOf("a:1|d|T5"), ["warning TimeIgnored"])
  })

  it("returns finite values and a rate above 0, or an invalid line, for any line", () => {
    const unit = FastCheck.constantFrom(..."_escghmd{}:|#@T,.-0123456789\\n é🚀", "NaN")
    FastCheck.assert(FastCheck.property(FastCheck.string({ unit, maxLength: 40 }), (line) => {
      const parsed = parseLine(line)
      if (parsed._tag === "Metric") {
        assert.isTrue(parsed.rate > 0 && parsed.rate <= 1)
        assert.isTrue(parsed.values.every((value) => typeof value === "string" || Number.isFinite(value)))
      }
    }))
  })
})
