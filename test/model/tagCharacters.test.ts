import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import {
  cutTag,
  isNormalName,
  isNormalTag,
  normalizeName,
  normalizeTag,
  replaceTagCharacters
} from "../../src/internal/model/tagCharacters.js"

const text = FastCheck.oneof(
  FastCheck.fullUnicodeString(),
  FastCheck.stringOf(FastCheck.constantFrom("a", "B", "_", ":", "-", ".", "/", "1", "é", "\u0301", " ", "\ud83d"))
)

describe("normalizeTag", () => {
  it.each([
    ["Env:Prod", "env:prod"],
    ["get user", "get_user"],
    ["a__b  c", "a_b_c"],
    ["core_", "core"],
    ["flag:", "flag"],
    ["a:_:_", "a"],
    ["city:Zürich", "city:zürich"],
    ["lang:कि", "lang:कि"],
    ["emoji:🚀", "emoji"],
    ["host:Web-1", "host:Web-1"],
    ["device:Disk A", "device:Disk_A"],
    ["", ""]
  ])("turns %j into %j", (tag, expected) => {
    assert.strictEqual(normalizeTag(tag), expected)
  })

  it("keeps tags apart that differ in a combining mark only", () => {
    assert.notStrictEqual(normalizeTag("lang:कि"), normalizeTag("lang:की"))
    assert.notStrictEqual(replaceTagCharacters("lang:कि"), replaceTagCharacters("lang:की"))
  })

  it("changes nothing the second time, nor a tag for which isNormalTag is true", () => {
    FastCheck.assert(FastCheck.property(text, (tag) => {
      const normalized = normalizeTag(tag)
      assert.strictEqual(normalizeTag(normalized), normalized)
      if (isNormalTag(tag)) {
        assert.match(tag, /^(?!.*__)[a-z0-9_\-:./]*$/)
        assert.notMatch(tag, /[_:]$/)
      }
    }))
  })

  it("takes linear time for any run of removable characters", () => {
    const run = "_:".repeat(50_000)
    assert.strictEqual(normalizeTag(`${run}a`), `${run}a`)
    assert.strictEqual(normalizeTag(`a${run}`), "a")
  })
})

describe("normalizeName", () => {
  it("replaces everything but ASCII letters, digits, underscores and dots", () => {
    assert.strictEqual(normalizeName("get user-é🚀.कि_1"), "get_user___.___1")
  })

  it("changes a name unless isNormalName is true", () => {
    FastCheck.assert(FastCheck.property(text, (name) => isNormalName(name) === (normalizeName(name) === name)))
  })
})

describe("cutTag", () => {
  it("cuts at 200 characters and never through a surrogate pair", () => {
    assert.strictEqual(cutTag("a".repeat(200)).length, 200)
    assert.strictEqual(cutTag("a".repeat(201)), "a".repeat(200))
    assert.strictEqual(cutTag(`${"a".repeat(199)}🚀`), "a".repeat(199))
  })
})
