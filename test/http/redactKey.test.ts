import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { redactKey } from "../../src/internal/http/redactKey.js"
import { keys } from "../secrets/leaks.js"
import { formsOf } from "../support/secrets.js"

const htmlNames: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", "\"": "&quot;", "'": "&#39;" }

const everyCharacter = (f: (character: string) => string) => (key: string) => Array.from(key, f).join("")

const codeOf = (character: string) => character.charCodeAt(0)

const echoes: { readonly [form: string]: (key: string) => string } = {
  "in capitals": (key) => key.toUpperCase(),
  "in small letters": (key) => key.toLowerCase(),
  "escaped for HTML": everyCharacter((character) => htmlNames[character] ?? character),
  "as decimal entities": everyCharacter((character) => `&#${codeOf(character)};`),
  "as hexadecimal entities": everyCharacter((character) => `&#x${codeOf(character).toString(16)};`),
  "as escapes of JSON": everyCharacter((character) => `\\u00${codeOf(character).toString(16)}`),
  "percent-encoded in each character": everyCharacter((character) => `%${codeOf(character).toString(16)}`),
  "split by a line break": (key) => `${key.slice(0, 7)}\r\n  ${key.slice(7)}`,
  "split by spaces everywhere": everyCharacter((character) => `${character} `),
  "split by a zero-width space": (key) => `${key.slice(0, 5)}\u200b${key.slice(5)}`,
  "as base64 split by a line break": (key) => {
    const text = Buffer.from(key).toString("base64")
    return `${text.slice(0, 20)}\n${text.slice(20)}`
  },
  "as hexadecimal digits in capitals": (key) => Buffer.from(key).toString("hex").toUpperCase()
}

describe("redactKey", () => {
  for (const [kind, key] of Object.entries(keys)) {
    for (const [form, echo] of Object.entries(echoes)) {
      it(`hides ${kind} ${form}`, () => {
        assert.strictEqual(redactKey(key)(`no ${echo(key)}, bad`).replace("> ,", ">,"), "no <redacted>, bad")
      })
    }

    it(`hides ${kind} in every encoding`, () => {
      for (const form of formsOf(key)) assert.strictEqual(redactKey(key)(`<${form}>`), "<<redacted>>")
    })
  }

  it("keeps a text without the key", () => {
    const redact = redactKey("0123456789abcdef0123456789abcdef")
    FastCheck.assert(FastCheck.property(FastCheck.fullUnicodeString(), (text) => {
      assert.strictEqual(redact(text), text)
    }))
  })

  it("takes linear time for long texts of the key's characters", () => {
    const redact = redactKey(`${"a".repeat(31)}b`)
    for (const text of ["a".repeat(100_000), "a ".repeat(50_000), " ".repeat(100_000), `a${" ".repeat(100_000)}`]) {
      assert.strictEqual(redact(text), text)
    }
  })
})
