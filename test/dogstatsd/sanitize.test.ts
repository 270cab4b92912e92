import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { encodeLines, makeEncoder, sample } from "./encoding.js"
import { parse } from "./lineParser.js"

/** Separators, line ends, control characters, a lone surrogate and an astral character. */
const hostile = "a|b:c\nd,e#f@g\u0000h\r\ti\ud83d\ud83d\ude80ü"

const metricsIn = (lines: ReadonlyArray<string>) =>
  lines.map(parse).flatMap((line) => line.sort === "metric" ? line : [])

describe("sanitize", () => {
  it("replaces separators and control characters in names, tags, host and device", () => {
    const [first, second] = metricsIn(encodeLines([
      sample("gauge", hostile, [1], { tags: [hostile, "k:v w", ""], host: hostile, device: "|\n" }),
      sample("gauge", "next", [2])
    ]))
    const tag = "a_b:c_d_e_f_g_h__i__ü"
    assert.deepInclude(first, {
      name: "a_b_c_d,e#f@g_h__i\ufffd\ud83d\ude80ü",
      tags: [tag, "k:v_w", "device:__", `host:${tag}`]
    })
    assert.deepInclude(second, { name: "next", values: ["2"], tags: [] })
  })

  it("keeps tags apart that differ in a combining mark only", () => {
    const tags = ["lang:कि", "lang:की"]
    const [line] = metricsIn(encodeLines([sample("gauge", "name", [1], { tags })]))
    assert.deepInclude(line, { tags })
  })

  it("writes one valid line for any name, tags, host and device", () => {
    const text = FastCheck.oneof(
      FastCheck.fullUnicodeString(),
      FastCheck.constantFrom(hostile, "_e{", "_sc", "|#@:,\n")
    )
    FastCheck.assert(
      FastCheck.property(text, FastCheck.array(text), text, text, (name, tags, host, device) => {
        // a letter in front makes every name valid
        const { lines, refused } = makeEncoder()([sample("gauge", `n${name}`, [1], { tags, host, device })])
        assert.deepStrictEqual([lines.length, refused.length], [1, 0])
      }),
      { numRuns: 50 }
    )
  })
})
