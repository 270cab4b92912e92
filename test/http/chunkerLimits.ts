/** Tests of the writer for an endpoint's limits: small ones for the unit suite, Datadog's for the io suite. */
import { assert, it } from "@effect/vitest"
import { Effect, FastCheck as fc } from "effect"
import type { Series } from "effect-threadstats"
import * as zlib from "node:zlib"
import type { Encoded } from "../../src/internal/http/chunker.js"
import type { EnvelopedEndpoint } from "../../src/internal/http/endpoints.js"
import { gauge } from "./deliveryRun.js"
import { toV2, writeItems } from "./referenceEncoder.js"

const form = toV2()
const sizeOf = (series: Series.Series) => Buffer.byteLength(JSON.stringify(form(series)))

const unpacked = (encoded: Encoded<Series.Series>) =>
  encoded.chunks.map(({ body, encoding }) => encoding === "deflate" ? zlib.inflateSync(body) : Buffer.from(body))

const characters = ["x", "ü", "名", "🚀"] as const

/** Creates a series whose JSON has exactly this many bytes, most of them of this character. */
export const sized = (bytes: number, character: string, index: number): Series.Series => {
  const one = { ...gauge(`m${index}`), tags: [""] }
  const left = bytes - sizeOf(one)
  const width = Buffer.byteLength(character)
  return { ...one, tags: [character.repeat(left / width) + "x".repeat(left % width)] }
}

/** Returns digits that no encoding compresses much. */
const noise = (bytes: number, seed: number): string => {
  let state = seed + 1
  let out = ""
  while (out.length < bytes) {
    state = Math.imul(state ^ state >>> 15, 0x2c1b3c6d) + 0x9e3779b9 | 0
    out += ((state ^ state >>> 13) >>> 0).toString(36)
  }
  return out.slice(0, bytes)
}

/** Checks the limits and the content of the bodies. Returns their numbers of bytes and series. */
const check = (endpoint: EnvelopedEndpoint, items: ReadonlyArray<Series.Series>, compress: boolean) =>
  Effect.gen(function*() {
    const encoded = yield* writeItems(endpoint, items, { compress, form })
    assert.deepStrictEqual(encoded.unencodable, [])
    const texts = unpacked(encoded)
    for (const [i, { body }] of encoded.chunks.entries()) {
      assert.isAtMost(body.byteLength, endpoint.limits.bytes)
      assert.isAtMost(texts[i]!.byteLength, endpoint.limits.unpackedBytes)
    }
    const sent = texts.flatMap((text): ReadonlyArray<object> => JSON.parse(text.toString()).series)
    assert.deepStrictEqual(JSON.stringify(sent), JSON.stringify(items.map(form)))
    return encoded.chunks.map(({ entries }, i) => ({ unpacked: texts[i]!.byteLength, items: entries.length }))
  })

/** Checks that the first series of each body would not have fit into the body before. */
const assertFull = (
  chunks: ReadonlyArray<{ readonly items: number; readonly unpacked: number }>,
  sizes: ReadonlyArray<number>,
  limit: number
) => {
  let next = 0
  for (const { items, unpacked } of chunks.slice(0, -1)) {
    next += items
    assert.isAbove(unpacked + 1 + sizes[next]!, limit)
  }
}

/** Defines the tests. A series of the smallest size contains little more than its fields. */
export const testLimits = (endpoint: EnvelopedEndpoint, runs: number) => {
  const { bytes: onWire, unpackedBytes } = endpoint.limits
  const smallest = 200

  it.effect.prop("fills bodies up to the uncompressed limit", {
    sizes: fc.array(fc.integer({ min: Math.floor(unpackedBytes / 13), max: Math.floor(unpackedBytes / 2) }), {
      minLength: 1,
      maxLength: 6
    }),
    character: fc.constantFrom(...characters)
  }, ({ character, sizes }) =>
    Effect.gen(function*() {
      const items = sizes.map((size, i) => sized(size, character, i))
      assertFull(yield* check(endpoint, items, true), sizes, unpackedBytes)
    }), { fastCheck: { numRuns: runs } })

  it.effect.prop("fills bodies up to the limit when compression is off", {
    sizes: fc.array(fc.integer({ min: smallest, max: Math.floor(onWire * 0.78) }), { minLength: 1, maxLength: 12 }),
    character: fc.constantFrom(...characters)
  }, ({ character, sizes }) =>
    Effect.gen(function*() {
      assertFull(yield* check(endpoint, sizes.map((size, i) => sized(size, character, i)), false), sizes, onWire)
    }), { fastCheck: { numRuns: runs } })

  it.effect.prop("splits bodies by their compressed size when compression does not help much", {
    sizes: fc.array(fc.integer({ min: smallest, max: Math.floor(onWire * 0.78) }), { minLength: 1, maxLength: 8 }),
    seed: fc.integer({ min: 0, max: 1_000_000 })
  }, ({ seed, sizes }) =>
    Effect.gen(function*() {
      const items = sizes.map((size, i) => ({ ...gauge(`m${i}`), tags: [noise(size, seed + i), "名".repeat(i)] }))
      const chunks = yield* check(endpoint, items, true)
      // About six bits of each character remain, because it is one of 36.
      const total = sizes.reduce((sum, size) => sum + size, 0)
      if (total > 2 * onWire) assert.isAbove(chunks.length, 1)
    }), { fastCheck: { numRuns: runs } })

  it.effect("fills a body to the last byte of its UTF-8, for every width of a character", () =>
    Effect.gen(function*() {
      for (const character of characters) {
        for (const [compress, limit] of [[false, onWire], [true, unpackedBytes]] as const) {
          const half = Math.floor(limit / 2)
          const pair = (bytes: number) => [sized(half, character, 0), sized(bytes - 14 - half, character, 1)]
          assert.deepStrictEqual(yield* check(endpoint, pair(limit), compress), [{ unpacked: limit, items: 2 }])
          const over = yield* check(endpoint, pair(limit + 1), compress)
          assert.deepStrictEqual(over.map(({ items }) => items), [1, 1])
          const alone = (bytes: number) => writeItems(endpoint, [sized(bytes - 13, character, 0)], { compress, form })
          assert.strictEqual((yield* alone(limit)).chunks.length, 1)
          const { chunks, unencodable } = yield* alone(limit + 1)
          assert.deepStrictEqual([chunks.length, unencodable[0]?.reason], [0, "PayloadTooLarge"])
        }
      }
    }))
}
