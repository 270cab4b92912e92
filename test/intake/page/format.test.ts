import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import * as Format from "../../../src/intake/page/format.js"

describe("page format", () => {
  const value = (n: number | null, unit: string | null = null) => Format.joined(Format.value(n, unit))

  it("formats values with the digits that distinguish them", () => {
    const expected: ReadonlyArray<readonly [number | null, string]> = [
      [0, "0"],
      [7, "7"],
      [-7, "-7"],
      [1234, "1,234"],
      [99_999, "99,999"],
      [123_456, "123.5k"],
      [999_999, "1M"],
      [1e6, "1M"],
      [12_345_678, "12.35M"],
      [1.5, "1.50"],
      [0.25, "0.25"],
      [0.1, "0.1"],
      [0.1 + 0.2, "0.3"],
      [123.456, "123.5"],
      [1e-9, "1.00e-9"],
      [1e22, "1.00e+22"],
      [NaN, "NaN"],
      [Infinity, "Infinity"],
      [null, "–"]
    ]
    for (const [n, text] of expected) assert.strictEqual(value(n), text)
  })

  it("scales known units, and appends unknown units unchanged", () => {
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

  it("formats a rate per second, with the unit of the metric", () => {
    const rate = (n: number, unit: string | null) => value(n, Format.unitOf({ kind: "rate", unit }))
    assert.strictEqual(rate(0.1, null), "0.1 /s")
    assert.strictEqual(rate(200_000, null), "200k/s")
    assert.strictEqual(rate(2, "request"), "2 request/s")
    assert.strictEqual(rate(2000, "byte"), "2.0 kB/s")
    assert.strictEqual(Format.unitOf({ kind: "count", unit: null }), null)
    assert.strictEqual(Format.unitOf({ kind: "gauge", unit: "byte" }), "byte")
    assert.strictEqual(Format.tick(0.1, Format.unitOf({ kind: "rate", unit: null })), "0.1 /s")
  })

  it("divides a long name before its end, and not within a surrogate pair", () => {
    assert.deepStrictEqual(Format.divideName("short"), ["", "short"])
    assert.deepStrictEqual(Format.divideName("shop.orders.placed.count"), ["shop.order", "s.placed.count"])
    const [head, tail] = Format.divideName(`abc🙂${"x".repeat(13)}`)
    assert.deepStrictEqual([head, tail], ["abc", `🙂${"x".repeat(13)}`])
  })

  it("formats JSON with short arrays of texts and numbers in one line", () => {
    const body = { series: [{ metric: "a", tags: ["b:c", "d"], points: [[1, 2], [3, 4]], empty: {}, none: [] }] }
    assert.strictEqual(
      Format.json(body),
      `{
  "series": [
    {
      "metric": "a",
      "tags": ["b:c", "d"],
      "points": [
        [1, 2],
        [3, 4]
      ],
      "empty": {},
      "none": []
    }
  ]
}`
    )
    fc.assert(fc.property(fc.jsonValue(), (json) => {
      assert.deepStrictEqual(JSON.parse(Format.json(json)), JSON.parse(JSON.stringify(json)))
    }))
  })

  it("rounds by at most 2 %, to at most 12 characters", () => {
    fc.assert(fc.property(fc.double({ min: -1e300, max: 1e300, noNaN: true }), (n) => {
      const { text, unit } = Format.value(n, null)
      assert.isAtMost((text + unit).length, 12)
      const scale = { "": 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18 }[unit]!
      assert.isAtMost(Math.abs(Number(text.replaceAll(",", "")) * scale - n), Math.abs(n) * 0.02)
    }))
  })

  it("formats sizes, ratios, durations and spans", () => {
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

  it("escapes invisible characters and characters that change the direction of text", () => {
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
