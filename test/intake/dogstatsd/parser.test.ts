import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Parser from "../../../src/intake/dogstatsd/parser.js"

const utf8 = new TextEncoder()

const parseLine = (line: string) => Parser.parseLine(utf8.encode(line))

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

  it("reads the host from its tag, and removes it and internal tags from the tags", () => {
    assert.deepInclude(
      parseMetric("a:1|c|#host:H,x,dd.internal.entity_id:e,dd.internal.card:low,dd.internal.jmx_check_name:j"),
      { host: "H", cardinality: "low", tags: ["x"], verdicts: [] }
    )
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
      ["a:1|c|@one", /not a sample rate/],
      ["a:1|c|@", /not a sample rate/],
      ["a:1|c|T0", /not a time/],
      ["a:1|g|T1.5", /not a time/],
      ["_e{1}:a|b", /lengths are missing/],
      ["_e{1,9}:a|b", /lengths exceed the text/],
      ["_e{2,1}:a|b", /lengths exceed the text/],
      ["a:1e999|g", /not a number/],
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
  })

  it("warns of a sample rate that the Agent ignores or does not check", () => {
    assert.deepStrictEqual(findingsOf("a:1|g|@0.5"), ["warning RateIgnored"])
    assert.deepStrictEqual(findingsOf("a:1|c|@0.5|T5"), ["warning RateIgnored"])
    assert.deepStrictEqual(findingsOf("a:1|c|@2"), ["warning RateOutOfRange"])
  })

  it("takes linear time for a number of 100,000 digits", () => {
    const digits = "1".repeat(100_000)
    assert.strictEqual(parseLine(`a:${digits}x|c`)._tag, "Invalid")
    assert.strictEqual(parseLine(`_e{${digits},1}:a|b`)._tag, "Invalid")
  })

  it("returns finite values and a time after 1970, or an invalid line, for any line", () => {
    const unit = FastCheck.constantFrom(..."_escghmd{}:|#@T,.-0123456789\\n é🚀", "NaN")
    FastCheck.assert(FastCheck.property(FastCheck.string({ unit, maxLength: 40 }), (line) => {
      const parsed = parseLine(line)
      if (parsed._tag === "Metric") {
        assert.isFalse(Number.isInteger(parsed.timestamp) && parsed.timestamp! < 1)
        assert.isTrue(parsed.values.every((value) => typeof value === "string" || Number.isFinite(value)))
      }
    }))
  })
})

/** Result of a line: its fields that differ from the default, or `dropped`. */
const kinds: ReadonlyArray<readonly [line: string, expected: object | "dropped"]> = [
  ["a:1|c|T1657100430", { timestamp: 1_657_100_430 }],
  ["a:1|g|T+5", { timestamp: 5 }],
  ["a:1|c|T1657100430.0", "dropped"],
  ["a:1|g|T0", "dropped"],
  ["a:1|c|T-1", "dropped"],
  ["a:1|c|T", "dropped"],
  ["a:1|c|T99999999999999999999", "dropped"],
  ["a:1|h|T1657100430", "dropped"],
  ["a:1|ms|T1657100430", "dropped"],
  ["a:1|d|T1657100430", "dropped"],
  ["a:x|s|T1657100430", "dropped"],
  ["a:1|h|Tx", "dropped"],
  ["a:1|c|@0.5|@0.1", { rate: 0.1 }],
  ["a:1|c|#a|#b", { tags: ["b"] }],
  ["a:1|c|T5|T6", { timestamp: 6 }],
  ["a:1|c|#x|#", { tags: [] }],
  ["a:1|c|@1e-1", { rate: 0.1 }],
  ["a:1|c|@0", { rate: 0 }],
  ["a:1|c|m:test", { values: [1] }],
  ["a:1|c||#t", { tags: ["t"] }],
  ["a:1:|c", { values: [1] }],
  ["a::1|c", { values: [1] }],
  ["a:1::2|c", { values: [1, 2] }],
  ["a::|c", "dropped"],
  ["a:1:x|c", "dropped"],
  ["a:1:1e999|c", "dropped"],
  ["a:+NaN|g", "dropped"],
  ["a:NaN|g", { values: [] }],
  ["a:Infinity:2|g", { values: [2] }],
  ["a:0x1p4|g", { values: [16] }],
  ["a:-0x.8p1|g", { values: [-1] }],
  ["a:0x10|g", "dropped"],
  ["a:1_000|g", "dropped"],
  ["a: 1|g", "dropped"],
  ["a:5.|g", { values: [5] }],
  ["a b:1|g", { name: "a b" }],
  ["a:1|c\r", "dropped"],
  ["a:1|c|#host:,x", { host: "", tags: ["x"] }],
  ["a:1|c|#host:a,host:b", { host: "b", tags: [] }],
  ["a:1|c|#dd.internal.card:low,dd.internal.card:high", { cardinality: "low", tags: ["dd.internal.card:high"] }],
  ["a:1|c|card:none|#dd.internal.card:low", { cardinality: "none", tags: ["dd.internal.card:low"] }],
  ["a:1|c|#device:d", { tags: ["device:d"] }],
  ["_e{1,1}:a|b|t:warning|t:nothing", { alertType: "warning" }],
  ["_e{1,1}:a|b|p:low|p:normal", { priority: "normal" }],
  ["_e{1,1}:a|b|d:x", { timestamp: undefined }],
  ["_e{1,1}:a|b|d:5|d:6", { timestamp: 6 }],
  ["_e{1,0}:a|", { title: "a", text: "" }],
  ["_e{+1,1}:a|b", { title: "a", text: "b" }],
  ["_e{1,1]:a|b", { title: "a", text: "b" }],
  ["_e{1,4}:a|b\\nc", { text: "b\nc" }],
  ["_e{1,1}:a|b|h:|#host:x", { host: "x" }],
  ["_e{1,1}:a|b|h:y|#host:x", { host: "y" }],
  ["_e{-1,1}:a|b", "dropped"],
  ["_sc|a|0|m:fine|#t", { message: "fine", tags: ["t"] }],
  ["_sc|a|0|m:fine\\n|d:5", { message: "fine\\n", timestamp: 5 }],
  ["_sc|a|0|h:x|h:y|d:21|d:22", { host: "y", timestamp: 22 }],
  ["_sc|a|0|d:some_time", { timestamp: undefined }],
  ["_scx|a|1", "dropped"],
  ["_sc:1|c", "dropped"],
  ["_sc|a|21", "dropped"],
  ["_sc|a|", "dropped"],
  ["_sc|a", "dropped"]
]

describe("parseLine reads a line like the Agent", () => {
  for (const [line, expected] of kinds) {
    it(JSON.stringify(line), () => {
      const parsed = parseLine(line)
      if (expected === "dropped") assert.strictEqual(parsed._tag, "Invalid")
      else assert.deepInclude(parsed, expected as never)
    })
  }

  it("cuts an event whose lengths count characters, and warns", () => {
    // hot-shots and others count UTF-16 code units. The Agent counts bytes.
    const parsed = parseLine("_e{5,4}:Größe|text")
    if (parsed._tag !== "Event") return assert.fail(JSON.stringify(parsed))
    assert.deepInclude(parsed, { title: "Grö\ufffd", text: "e|te" })
    assert.deepStrictEqual(parsed.verdicts.map(({ code, outcome }) => [outcome, code]), [["warning", "WrongLengths"]])
    const correct = parseLine("_e{7,4}:Größe|text|t:error")
    assert.deepInclude(correct as typeof parsed, { title: "Größe", text: "text", alertType: "error", verdicts: [] })
  })
})

describe("splitLines", () => {
  it("ends lines with a line feed with or without a carriage return, and leaves out empty lines", () => {
    const lines = Parser.splitLines(utf8.encode("a:1|c\r\n\r\n\nb:1|c\nc:1|c\r"))
    assert.deepStrictEqual(lines.map((line) => new TextDecoder().decode(line)), ["a:1|c", "b:1|c", "c:1|c"])
  })
})
