import { assert, describe, it } from "@effect/vitest"
import { apiKey, assertHidden } from "./keySweep.js"
import { formsOf } from "./secrets.js"

describe("assertHidden", () => {
  it("fails on a key in any encoding, without repeating it", () => {
    for (const form of formsOf(apiKey)) {
      let message: string | undefined
      try {
        assertHidden(["fine", `a ${form} b`], [apiKey])
      } catch (error) {
        message = (error as Error).message
      }
      assert.include(message, "<the key>")
      assert.notInclude(message, form)
    }
  })

  it("passes on texts without a key", () => {
    assertHidden(["fine"], [apiKey])
  })
})
