import { assert, describe, it } from "@effect/vitest"
import { encodeLines, extensionFormat, makeEncoder, sample } from "./encoding.js"
import { parse } from "./lineParser.js"

const hostile = "a|b:c\nd,e#f@g\u0000h\r\ti\ud83d\ud83d\ude80ü"

describe("setMembers", () => {
  it("escapes members so that different members stay different", () => {
    const lines = encodeLines([
      sample("set", "s", [hostile, "a%7cb", "a|b", "a%b", "", "%", "\ud83d", "\ufffd"]),
      sample("set", "s2", [1, "1"])
    ])
    const members = lines.map(parse).flatMap((line) => line.sort === "metric" && line.name === "s" ? line.values : [])
    assert.strictEqual(new Set(members).size, 8)
    assert.deepStrictEqual(members.slice(1, 4), ["a%257cb", "a%7cb", "a%b"])
    assert.deepStrictEqual(lines.slice(-2), ["s2:1|s", "s2:1|s"])
  })

  it("counts the members of an interval over all batches for the Lambda extension", () => {
    const encode = makeEncoder(extensionFormat)
    const send = (values: ReadonlyArray<string>, more: Parameters<typeof sample>[3] = {}) =>
      encode([sample("set", "s", values, more)], 1_700_000_005).lines
    assert.deepStrictEqual(send(["a", "b"]), ["s:2|g|T1700000000"])
    assert.deepStrictEqual(send(["b", "c"]), ["s:3|g|T1700000000"])
    assert.deepStrictEqual(send(["a"], { tags: ["x:1"] }), ["s:1|g|#x:1|T1700000000"])
    assert.deepStrictEqual(send(["d"], { points: [[1_699_999_990, ["d"]]] }), ["s:1|g|T1699999990"])
  })

  it("forgets the members of the oldest interval when it remembers more than 100,000", () => {
    const encode = makeEncoder(extensionFormat)
    const send = (time: number, values: ReadonlyArray<number>) =>
      encode([sample("set", "s", [], { points: [[time, values]] })], 1_700_000_100).lines
    const many = Array.from({ length: 60_000 }, (_, i) => i)
    assert.deepStrictEqual(send(1_700_000_000, many), ["s:60000|g|T1700000000"])
    assert.deepStrictEqual(send(1_700_000_010, many), ["s:60000|g|T1700000010"])
    assert.deepStrictEqual(send(1_700_000_010, [1, 2]), ["s:60000|g|T1700000010"])
    assert.deepStrictEqual(send(1_700_000_000, [1, 2]), ["s:2|g|T1700000000"])
  })
})
