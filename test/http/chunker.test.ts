import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck as fc } from "effect"
import type { Event, Series } from "effect-threadstats"
import { inflateSync } from "node:zlib"
import type { Encoded } from "../../src/internal/http/chunker.js"
import { compressionThreshold } from "../../src/internal/http/compression.js"
import { type EnvelopedEndpoint, series as seriesEndpoint, seriesV2 } from "../../src/internal/http/endpoints.js"
import { events } from "../support/reporterContract.js"
import { testLimits } from "./chunkerLimits.js"
import { batchOf, gauge, namesOf } from "./deliveryRun.js"
import { bodyOf, respond, scriptReporter } from "./fakeClient.js"
import { writeItems } from "./referenceEncoder.js"

describe("chunker", () => {
  const small = (bytes: number, unpackedBytes: number): EnvelopedEndpoint => ({
    ...seriesEndpoint,
    limits: { bytes, unpackedBytes }
  })

  const unpacked = ({ chunks }: Encoded<Series.Series>) =>
    chunks.map(({ body, encoding }) => Buffer.from(encoding === "deflate" ? inflateSync(body) : body).toString())

  it.effect.prop("keeps every body within both limits, omits nothing and keeps the order", {
    names: fc.array(fc.oneof(fc.string({ unit: "grapheme", maxLength: 40 }), fc.string({ maxLength: 200 })), {
      maxLength: 40
    }),
    bytes: fc.integer({ min: 90, max: 2000 }),
    unpackedBytes: fc.integer({ min: 90, max: 4000 }),
    compress: fc.boolean()
  }, ({ bytes, compress, names, unpackedBytes }) =>
    Effect.gen(function*() {
      const items = names.map((name) => gauge(name))
      const encoded = yield* writeItems(small(bytes, unpackedBytes), items, { compress })
      const texts = unpacked(encoded)
      for (const [i, { body, encoding }] of encoded.chunks.entries()) {
        assert.isAtMost(body.byteLength, bytes)
        assert.isAtMost(Buffer.byteLength(texts[i]!), unpackedBytes)
        const size = Buffer.byteLength(texts[i]!)
        const isCompressed = compress && (size >= compressionThreshold || size > bytes)
        assert.strictEqual(encoding, isCompressed ? "deflate" : "identity")
      }
      const sent = texts.flatMap((text) => JSON.parse(text).series)
      const unencodable = encoded.unencodable.map(({ item }) => item)
      assert.deepStrictEqual(sent, JSON.parse(JSON.stringify(items.filter((item) => !unencodable.includes(item)))))
      assert.strictEqual(sent.length + unencodable.length, items.length)
      for (const item of unencodable) {
        const alone = yield* writeItems(small(bytes, unpackedBytes), [item], { compress })
        assert.deepStrictEqual([alone.chunks.length, alone.unencodable.length], [0, 1])
      }
    }), { fastCheck: { numRuns: 50 } })

  it.effect("fills a body to the last byte of its UTF-8", () =>
    Effect.gen(function*() {
      const items = [gauge("äöü"), gauge("日本語"), gauge("🙂")]
      const size = Buffer.byteLength(JSON.stringify({ series: items }))
      const exact = yield* writeItems(small(size, size), items, { compress: false })
      assert.deepStrictEqual(exact.chunks.map(({ entries }) => entries.length), [3])
      assert.strictEqual(exact.chunks[0]?.body.byteLength, size)
      const less = yield* writeItems(small(size, size - 1), items, { compress: false })
      assert.deepStrictEqual(less.chunks.map(({ entries }) => entries.length), [2, 1])
      assert.deepStrictEqual(less.unencodable, [])
    }))

  it.effect("splits a body when its compressed size exceeds the limit", () =>
    Effect.gen(function*() {
      const items = batchOf(64)
      const encoded = yield* writeItems(small(200, 1_000_000), items, { compress: true })
      assert.isAbove(encoded.chunks.length, 1)
      assert.isTrue(encoded.chunks.every(({ body }) => body.byteLength <= 200))
    }))

  it.effect("names an item that exceeds the limit on its own, and keeps the others", () =>
    Effect.gen(function*() {
      const items = [gauge("a"), gauge("x".repeat(500)), gauge("b")]
      const encoded = yield* writeItems(small(1000, 300), items, { compress: false })
      assert.deepStrictEqual(encoded.chunks.flatMap(({ entries }) => namesOf(entries.map(({ item }) => item))), [
        "a",
        "b"
      ])
      assert.deepStrictEqual(encoded.unencodable.map(({ item, reason }) => [item, reason]), [
        [items[1]!, "PayloadTooLarge"]
      ])
    }))

  it.effect("creates no body without items, and compresses a large body off the event loop", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* writeItems(seriesEndpoint, [], { compress: true })).chunks, [])
      const items = batchOf(5000)
      const encoded = yield* writeItems(seriesEndpoint, items, { compress: true })
      assert.strictEqual(encoded.chunks.length, 1)
      assert.deepStrictEqual(JSON.parse(unpacked(encoded)[0]!), { series: items })
    }))

  it.effect("sorts the values of a distribution that has 50 or more, and does not change the batch", () =>
    Effect.gen(function*() {
      const { reporter, requests } = yield* scriptReporter(respond(202), { compress: false })
      const batch = [49, 50].map((n): Series.DistributionSeries => ({
        metric: `of.${n}`,
        points: [[1_700_000_000, Array.from({ length: n }, (_, i) => (i * 37) % 101 - 0.5)]],
        type: "distribution",
        tags: [],
        interval: 10
      }))
      const original = structuredClone(batch)
      yield* reporter.flushDistributions(batch)
      assert.deepStrictEqual(batch, original)
      const [few, many] = batch.map((item) => item.points[0]![1])
      const sent = (bodyOf(requests[0]) as { readonly series: ReadonlyArray<Series.DistributionSeries> }).series
      assert.deepStrictEqual(sent.map((item) => item.points[0]![1]), [few!, many!.toSorted((a, b) => a - b)])
    }))

  it.effect("omits events that JSON cannot represent, and refuses them with Encoding", () =>
    Effect.gen(function*() {
      const { reporter, requests } = yield* scriptReporter(respond(202))
      const circular: { readonly title: string; readonly tags: Array<unknown> } = { title: "c", tags: [] }
      circular.tags.push(circular)
      for (
        const invalid of [
          { ...events[0]!, related_event_id: 1n as unknown as number },
          circular as unknown as Event.Event
        ]
      ) {
        const error = yield* Effect.flip(reporter.flushEvents([...events, invalid]))
        assert.strictEqual(error.reason, "Encoding")
        assert.deepStrictEqual(error.refused, [invalid])
        assert.deepStrictEqual(error.undelivered, [])
        assert.strictEqual(error.receipt.items, events.length)
        assert.strictEqual(error.endpoint, "https://api.datadoghq.example/api/v1/events")
        assert.deepStrictEqual(requests.splice(0).map(bodyOf), [...events])
      }
    }))
})

describe("chunker with small limits", () => {
  testLimits({ ...seriesV2, limits: { bytes: 5_120, unpackedBytes: 52_428 } }, 30)
})
