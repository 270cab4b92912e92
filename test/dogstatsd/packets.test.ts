import { assert, describe, it } from "@effect/vitest"
import { encodeLines, makeEncoder, manyValues, sample } from "./encoding.js"
import { parse } from "./lineParser.js"

const gauges = Array.from({ length: 500 }, (_, i) => sample("gauge", `gauge.${i}`, [i], { tags: ["ü:ä"] }))

describe("packets", () => {
  for (const packetSize of [512, 1432, 8192]) {
    it(`holds whole lines and as many as fit in ${packetSize} bytes`, () => {
      const batch = manyValues(5000)
      const { lines, packets } = makeEncoder({ packetSize })([batch, ...gauges])
      const bytes = packets.reduce((sum, { body }) => sum + body.byteLength, 0)
      assert.isTrue(packets.every(({ body }) => body.byteLength <= packetSize))
      assert.isAtMost(packets.length, Math.ceil(bytes / (packetSize - 40)) + 2)
      const parsed = lines.map(parse)
      assert.deepStrictEqual(
        parsed.flatMap((line) => line.sort === "metric" && line.type === "d" ? line.values.map(Number) : []),
        batch.points[0]![1]
      )
      assert.strictEqual(parsed.filter((line) => line.sort === "metric" && line.type === "g").length, 500)
    })
  }

  it("names the first and the last item of each packet", () => {
    const { packets } = makeEncoder({ packetSize: 512 })([sample("gauge", "a", [1]), manyValues(200), ...gauges])
    assert.deepInclude(packets[0], { first: 0, last: 1 })
    assert.deepInclude(packets[1], { first: 1, last: 1 })
    for (const [i, { first, last }] of packets.entries()) {
      assert.isAtLeast(last, first)
      if (i > 0) assert.include([packets[i - 1]!.last, packets[i - 1]!.last + 1], first)
    }
    assert.strictEqual(packets.at(-1)!.last, gauges.length + 1)
  })

  it("gives a line that is longer than a packet a packet of its own", () => {
    const tags = Array.from({ length: 20 }, (_, i) => `${"t".repeat(100)}${i}`)
    const { packets } = makeEncoder({ packetSize: 512 })([
      sample("gauge", "a", [1]),
      sample("gauge", "b", [2], { tags }),
      sample("gauge", "c", [3])
    ])
    const [a, b, c, ...more] = packets.map(({ body }) => body.toString())
    assert.deepStrictEqual([a, c, more], ["a:1|g\n", "c:3|g\n", []])
    assert.isAbove(b!.length, 2000)
  })

  it("writes one value a line when packing is off", () => {
    const { lines, packets } = makeEncoder({ packetSize: 512, packed: false })([manyValues(200)])
    assert.strictEqual(lines.length, 200)
    assert.isTrue(lines.every((line) => /^d:[\d.]+\|d\|#ü:ü$/.test(line)))
    assert.isTrue(packets.slice(0, -1).every(({ body }) => body.byteLength <= 512 && body.byteLength > 490))
  })

  it("gives an overlong set member a short, stable and unique name", () => {
    const long = "x".repeat(20_000)
    const members = encodeLines([sample("set", "s", [long, `${long}y`, `y${long}`, "short"])])
      .map((line) => line.slice(2, -2))
    assert.strictEqual(new Set(members).size, 4)
    assert.strictEqual(members[3], "short")
    const [again] = encodeLines([sample("set", "s", [`${long}y`])])
    assert.strictEqual(again!.slice(2, -2), members[1])
  })
})
