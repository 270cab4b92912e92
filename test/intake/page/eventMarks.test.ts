import { assert, describe, it } from "@effect/vitest"
import { mergeMarks } from "../../../src/intake/page/eventMarks.js"

describe("page eventMarks", () => {
  it("draws one mark for adjacent events, with the most severe type", () => {
    assert.deepStrictEqual(
      mergeMarks([[30, "info"], [0, "info"], [11, "error"], [5, "warning"], [12, "success"]], 12),
      [
        [0, "error"],
        [12, "success"],
        [30, "info"]
      ]
    )
    assert.deepStrictEqual(mergeMarks([], 12), [])
    const often = Array.from({ length: 100 }, (_, x) => [x, "info"] as const)
    assert.deepStrictEqual(mergeMarks(often, 12).map(([x]) => x), [0, 12, 24, 36, 48, 60, 72, 84, 96])
  })
})
