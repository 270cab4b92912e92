/** Compares the bodies of the writer with those of a batch encoder: few times in the unit suite, many times in the io suite. */
import { assert, it } from "@effect/vitest"
import { Effect, FastCheck as fc } from "effect"
import { MetricsAggregator, Series } from "effect-threadstats"
import type { Reporter, RollUp } from "effect-threadstats"
import { inflateSync } from "node:zlib"
import { makeBodyWriter } from "../../src/internal/http/bodyWriter.js"
import type { Encoded } from "../../src/internal/http/chunker.js"
import { distributionPoints, type EnvelopedEndpoint, series, seriesV2 } from "../../src/internal/http/endpoints.js"
import { lineWriter, syntax } from "../../src/internal/http/seriesV1.js"
import { syntaxV2 } from "../../src/internal/http/seriesV2.js"
import { makeMetricsAggregator } from "../support/layers.js"
import { encodeBatch, sorted, toV2 } from "./referenceEncoder.js"

const start = 1_700_000_000_000

export const texts = <A>({ chunks }: Encoded<A>) =>
  chunks.map(({ body, encoding }) => Buffer.from(encoding === "deflate" ? inflateSync(body) : body).toString())

export const testEqualBodies = (runs: number) => {
  const text = fc.oneof(
    fc.string({ maxLength: 30 }),
    fc.string({ unit: "grapheme", maxLength: 12 }),
    fc.constantFrom("\"", "\\", "\u2028", "\ud800", "ü:日本語", "🙂")
  )
  const point = fc.record({
    kind: fc.constantFrom<RollUp.Kind>("counter", "gauge", "set", "histogram", "timing", "distribution"),
    name: text.map((rest) => `m${rest}`),
    value: fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer()),
    tags: fc.array(text.filter((tag) => tag !== ""), { maxLength: 3 }),
    host: fc.constantFrom(null, "", "web-1", "hôst\""),
    many: fc.integer({ min: 1, max: 60 }),
    at: fc.integer({ min: 0, max: 25_000 })
  })
  const units = { "mä": "second", m: "by\"te" }

  it.effect.prop("writes the same bodies line by line as an encoder of the whole batch, within any limits", {
    points: fc.array(point, { maxLength: 25 }),
    bytes: fc.integer({ min: 150, max: 3000 }),
    unpackedBytes: fc.integer({ min: 150, max: 6000 }),
    compress: fc.boolean(),
    enrichment: fc.record({
      prefix: fc.constantFrom("", "n\"s."),
      tags: fc.constantFrom([], ["env:ü", "a"]),
      hostname: fc.constantFrom(undefined, "mine"),
      attachHost: fc.boolean(),
      device: fc.constantFrom(undefined, "sda")
    })
  }, ({ bytes, compress, enrichment, points, unpackedBytes }) =>
    Effect.gen(function*() {
      const aggregator = yield* makeMetricsAggregator()
      for (const { at, host, kind, many, name, tags, value } of points) {
        for (let i = 0; i < many; i++) aggregator.unsafeAdd(kind, name, value - i, start + at, { tags, host })
      }
      const items = yield* aggregator.drain({ temporality: "total", now: start + 30_000 })
      const full: Reporter.Enrichment = { ...enrichment, interval: 10 }
      const endpoints = [
        [series, syntax, (item: Series.Series) => item, false],
        [seriesV2, syntaxV2(units), toV2(units), false],
        [distributionPoints, syntax, sorted, true]
      ] as const
      for (const [unlimited, written, form, isDistribution] of endpoints) {
        const own = items.filter(({ kind }) => (kind === "distribution") === isDistribution)
        const endpoint: EnvelopedEndpoint = { ...unlimited, limits: { bytes, unpackedBytes } }
        const encoding = compress ? "deflate" : "identity"
        const writer = makeBodyWriter<MetricsAggregator.AggregatedSeries>(endpoint, encoding)
        const write = lineWriter(full, written, writer)
        for (const item of own) write(item, isDistribution)
        const streamed = yield* writer.end
        const lines = own.flatMap((item): ReadonlyArray<Series.Series | Series.DistributionSeries> =>
          isDistribution ? [Series.distributionFromAggregated(item, full)] : Series.fromAggregated(item, full)
        )
        const batch = yield* encodeBatch(endpoint, lines, {
          compress,
          form: form as (item: Series.Series | Series.DistributionSeries) => unknown
        })
        assert.deepStrictEqual(texts(streamed), texts(batch))
        assert.strictEqual(streamed.unencodable.length, batch.unencodable.length)
        for (const { body } of streamed.chunks) assert.isAtMost(body.byteLength, bytes)
        for (const each of texts(streamed)) assert.isAtMost(Buffer.byteLength(each), unpackedBytes)
        // The entries of the chunks contain the same lines.
        const json = ({ entries }: { readonly entries: ReadonlyArray<{ readonly json: string }> }) =>
          entries.map((entry) => entry.json)
        assert.deepStrictEqual(streamed.chunks.map(json), batch.chunks.map(json))
        // Each line names the aggregated series that it was written for.
        if (streamed.unencodable.length > 0) continue
        const owners = own.flatMap((item) => isDistribution ? [item] : item.points.map(() => item))
        const entries = streamed.chunks.flatMap((chunk) => chunk.entries)
        assert.isTrue(entries.every(({ item }, i) => item === owners[i]))
        assert.strictEqual(streamed.chunks.reduce((sum, chunk) => sum + chunk.count, 0), owners.length)
      }
    }), { fastCheck: { numRuns: runs } })
}

/** Writes many lines, and runs `meanwhile` after each hundredth. */
export const writeLarge = (lines: number, limit: number, meanwhile: Effect.Effect<void>) =>
  Effect.gen(function*() {
    const items = Array.from({ length: lines }, (_, i): Series.Series => ({
      metric: `m.${(i * 2_654_435_761 % 4_294_967_296).toString(36)}.ü`,
      points: [[1_700_000_000, i]],
      type: "gauge",
      tags: [`customer:${i}`],
      interval: 10
    }))
    const endpoint = { ...series, limits: { bytes: limit, unpackedBytes: 62_914_560 } }
    const writer = makeBodyWriter<Series.Series>(endpoint, "deflate")
    for (const [i, item] of items.entries()) {
      const line = JSON.stringify(item)
      writer.add(item, 1_700_000_000, line, Buffer.byteLength(line))
      yield* writer.settle
      if (i % 100 === 0) yield* meanwhile
    }
    const streamed = yield* writer.end
    assert.deepStrictEqual(texts(streamed).flatMap((body) => JSON.parse(body).series), items)
    assert.strictEqual(streamed.chunks.length === 1, limit > 1_000_000)
    for (const { body } of streamed.chunks) assert.isAtMost(body.byteLength, limit)
    assert.deepStrictEqual(streamed.unencodable, [])
  })
