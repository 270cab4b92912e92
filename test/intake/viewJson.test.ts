import { assert, describe, it } from "@effect/vitest"
import { jsonPieces } from "../../src/intake/viewJson.js"

const deep = (levels: number): unknown => {
  let value: unknown = []
  for (let i = 0; i < levels; i++) value = [value]
  return value
}

describe("jsonPieces", () => {
  it("writes the same JSON as JSON.stringify", () => {
    for (const value of [{}, { a: [] }, { a: [1, "x", { b: null }], c: { d: 1 }, e: undefined, f: [undefined] }]) {
      for (const indent of [undefined, 2]) {
        const text = Array.from(jsonPieces(value, indent)).join("")
        assert.deepStrictEqual(JSON.parse(text), JSON.parse(JSON.stringify(value, (_, item) => item ?? null)))
      }
    }
  })

  it("replaces an element that cannot be written, and keeps the others", () => {
    const text = Array.from(jsonPieces({ requests: [1, { body: deep(100_000) }, 10n, 3], summary: { n: 1n } })).join("")
    const { requests, summary } = JSON.parse(text)
    assert.strictEqual(requests[0], 1)
    assert.strictEqual(requests[3], 3)
    for (const replaced of [requests[1], requests[2], summary]) {
      assert.match(replaced.error, /^This part cannot be written/)
    }
  })
})
