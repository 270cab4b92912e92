import { HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { LocalIntake } from "effect-threadstats"
import type { Series } from "effect-threadstats"
import { syncBuiltinESMExports } from "node:module"
import * as zlib from "node:zlib"
import { hasZstd } from "../../src/internal/http/encoder.js"
import { layerInProcess } from "../support/intake.js"
import { distributions, events, metrics } from "../support/reporterContract.js"
import { batchOf, gauge } from "./deliveryRun.js"
import { bodyOf, bytesOf, reporterToIntake, respond, scriptReporter, withWarnings } from "./fakeClient.js"

const path = "/api/v2/series"

describe("compression", () => {
  it.effect("compresses small and large bodies in the format of zlib, and counts their bytes in the receipt", () =>
    Effect.gen(function*() {
      const { reporter, requests } = yield* scriptReporter(respond(202))
      const large = Array.from({ length: 3000 }, (_, index): Series.Series => ({
        metric: `shop.metric.${index}`,
        points: [[1_700_000_000, index]],
        type: "gauge",
        tags: [`shard:${index}`],
        interval: 10
      }))
      for (const batch of [metrics, large]) {
        const receipt = yield* reporter.flushMetrics(batch)
        const request = requests.at(-1)
        const bytes = bytesOf(request)
        assert.strictEqual(bytes[0], 0x78)
        assert.throws(() => zlib.inflateRawSync(bytes))
        assert.strictEqual(request?.headers["content-encoding"], "deflate")
        assert.deepStrictEqual(bodyOf(request), JSON.parse(JSON.stringify({ series: batch })))
        assert.deepStrictEqual(receipt, { items: batch.length, payloads: 1, bytes: bytes.byteLength, retries: 0 })
        assert.strictEqual(request?.headers["content-length"], String(bytes.byteLength))
      }
      assert.isAbove(JSON.stringify(large).length, 256 * 1024)
    }))

  it.effect("sends plain JSON when compression is off", () =>
    Effect.gen(function*() {
      const { reporter, requests } = yield* scriptReporter(respond(202), { compress: false })
      yield* reporter.flushDistributions(distributions)
      assert.strictEqual(requests[0]!.headers["content-encoding"], undefined)
      assert.strictEqual(
        Buffer.from(bytesOf(requests[0])).toString(),
        JSON.stringify({ series: distributions })
      )
    }))

  it.effect("does not compress events", () =>
    Effect.gen(function*() {
      const { reporter, requests } = yield* scriptReporter(respond(202))
      const receipt = yield* reporter.flushEvents(events)
      assert.deepStrictEqual(requests.map(bodyOf), [...events])
      for (const request of requests) assert.strictEqual(request.headers["content-encoding"], undefined)
      assert.deepStrictEqual(receipt, {
        items: events.length,
        payloads: events.length,
        bytes: events.reduce((total, event) => total + Buffer.byteLength(JSON.stringify(event)), 0),
        retries: 0
      })
    }))
})

describe("compression with zstd", () => {
  const compress = "zstd"

  it.effect("uses deflate by default", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      for (const more of [{}, { compress: true }, { compress: false }]) {
        yield* Effect.flatMap(reporterToIntake(more), (reporter) => reporter.flushMetrics(metrics))
      }
      const encodings = (yield* intake.requests).map(({ encoding }) => encoding)
      assert.deepStrictEqual(encodings, ["deflate", "deflate", "identity"])
    }).pipe(Effect.provide(layerInProcess())))

  it.effect("uses deflate, and warns once, when series v2 is off", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const { lines } = yield* Effect.flatMap(reporterToIntake({ compress, series: "v1" }), (reporter) =>
        Effect.all([reporter.flushMetrics(metrics), reporter.flushMetrics(metrics)])).pipe(withWarnings)
      assert.strictEqual(lines.length, 1)
      assert.match(lines[0]!, /deflate, not zstd.*DD_THREADSTATS_SERIES/)
      assert.deepStrictEqual((yield* intake.requests).map(({ encoding, path }) => [path, encoding]), [
        ["/api/v1/series", "deflate"],
        ["/api/v1/series", "deflate"]
      ])
    }).pipe(Effect.provide(layerInProcess())))

  it.effect("logs nothing when the client is disabled", () =>
    Effect.gen(function*() {
      const { lines } = yield* withWarnings(reporterToIntake({ compress, disabled: true }))
      assert.deepStrictEqual(lines, [])
    }).pipe(Effect.provide(layerInProcess())))

  /** Hides the zstd of this Node.js until the scope closes. */
  const hidden = Effect.acquireRelease(
    Effect.sync(() => {
      const module = zlib as unknown as { readonly default: { zstdCompress?: unknown } }
      const { zstdCompress } = module.default
      if (zstdCompress !== undefined) {
        module.default.zstdCompress = undefined
        syncBuiltinESMExports()
      }
      assert.isFalse(hasZstd())
      return () => {
        if (zstdCompress !== undefined) {
          module.default.zstdCompress = zstdCompress
          syncBuiltinESMExports()
        }
      }
    }),
    (restore) => Effect.sync(restore)
  )

  it.scoped("uses deflate, and warns once, when Node.js has no zstd", () =>
    Effect.gen(function*() {
      yield* hidden
      const intake = yield* LocalIntake.LocalIntake
      const { lines } = yield* Effect.flatMap(reporterToIntake({ compress }), (reporter) =>
        Effect.all([reporter.flushMetrics(metrics), reporter.flushMetrics(metrics)])).pipe(withWarnings)
      assert.strictEqual(lines.length, 1)
      assert.match(lines[0]!, /deflate, not zstd.*this Node\.js has none/)
      assert.deepStrictEqual((yield* intake.requests).map(({ encoding, status }) => [encoding, status]), [
        ["deflate", 202],
        ["deflate", 202]
      ])
    }).pipe(Effect.provide(layerInProcess())))

  describe.runIf(hasZstd())("when Node.js has zstd", () => {
    const many = Array.from({ length: 5000 }, (_, i) => ({ ...gauge(`shop.metric.${i}`, i), tags: [`shard:${i}`] }))

    it.effect("compresses small and large bodies, and names the encoding", () =>
      Effect.gen(function*() {
        const intake = yield* LocalIntake.LocalIntake
        const { lines } = yield* Effect.flatMap(reporterToIntake({ compress }), (reporter) =>
          Effect.all([reporter.flushMetrics(metrics.slice(1)), reporter.flushMetrics(many)])).pipe(withWarnings)
        assert.deepStrictEqual(lines, [])
        const requests = yield* intake.requests
        assert.deepStrictEqual(
          requests.map(({ headers, status }) => [headers["content-encoding"], status]),
          [["zstd", 202], ["zstd", 202]]
        )
        assert.isBelow(requests[1]!.bytes, 100_000)
        assert.strictEqual((yield* intake.series).length, metrics.length - 1 + many.length)
      }).pipe(Effect.provide(layerInProcess())))

    it.effect("uses deflate from the first refusal on, delivers everything, and warns once", () =>
      Effect.gen(function*() {
        const intake = yield* LocalIntake.LocalIntake
        for (const status of [400, 415]) {
          yield* intake.clear
          const { lines, result } = yield* Effect.gen(function*() {
            const reporter = yield* reporterToIntake({ compress })
            yield* intake.script([HttpServerResponse.text(`{"errors":["unsupported"]}`, { status })])
            return yield* Effect.all([reporter.flushMetrics(many), reporter.flushMetrics(metrics)])
          }).pipe(withWarnings)
          assert.deepInclude(result[0], { items: many.length, payloads: 1, retries: 1 })
          assert.deepStrictEqual(
            (yield* intake.requests).map(({ encoding, status }) => [encoding, status]),
            [["zstd", status], ["deflate", 202], ["deflate", 202]]
          )
          assert.strictEqual((yield* intake.series).length, many.length + metrics.length)
          assert.strictEqual(lines.length, 1)
          assert.include(lines[0], `${intake.url}${path} refused it`)
        }
      }).pipe(Effect.provide(layerInProcess())))

    it.effect("warns once when several bodies are refused concurrently", () =>
      Effect.gen(function*() {
        const intake = yield* LocalIntake.LocalIntake
        const gate = yield* Deferred.make<void>()
        const four = Array.from({ length: 16 }, (_, i) => ({ ...gauge(`m${i}`), tags: ["名".repeat(400_000)] }))
        let waiting = 0
        const refuse = Effect.suspend(() => {
          if (++waiting === 4) Deferred.unsafeDone(gate, Effect.void)
          return Effect.as(Deferred.await(gate), HttpServerResponse.empty({ status: 415 }))
        })
        const { lines, result } = yield* Effect.gen(function*() {
          const reporter = yield* reporterToIntake({ compress })
          yield* intake.script([refuse, refuse, refuse, refuse])
          return yield* reporter.flushMetrics(four)
        }).pipe(withWarnings)
        assert.deepInclude(result, { items: 16, payloads: 4, retries: 4 })
        assert.strictEqual((yield* intake.series).length, 16)
        assert.strictEqual(lines.length, 1)
      }).pipe(Effect.provide(layerInProcess())))

    it.effect("keeps zstd when the content was refused", () =>
      Effect.gen(function*() {
        const intake = yield* LocalIntake.LocalIntake
        const { lines } = yield* Effect.gen(function*() {
          const reporter = yield* reporterToIntake({ compress })
          const bad = gauge("bad", Number.NaN)
          const error = yield* Effect.flip(reporter.flushMetrics([...batchOf(9), bad]))
          assert.deepStrictEqual(error.refused, [bad])
          assert.strictEqual(error.receipt.items, 9)
          yield* reporter.flushMetrics(metrics)
        }).pipe(withWarnings)
        assert.deepStrictEqual(lines, [])
        const requests = yield* intake.requests
        assert.deepStrictEqual([requests[0]?.encoding, requests.at(-1)?.encoding], ["zstd", "zstd"])
        assert.strictEqual((yield* intake.series).length, 9 + metrics.length)
      }).pipe(Effect.provide(layerInProcess())))

    it.effect("splits a body that is too large, and keeps zstd", () =>
      Effect.gen(function*() {
        const intake = yield* LocalIntake.LocalIntake
        yield* intake.script([HttpServerResponse.empty({ status: 413 })])
        const reporter = yield* reporterToIntake({ compress })
        assert.deepInclude(yield* reporter.flushMetrics(batchOf(10)), { items: 10, payloads: 2 })
        assert.deepStrictEqual((yield* intake.requests).map(({ encoding }) => encoding), ["zstd", "zstd", "zstd"])
      }).pipe(Effect.provide(layerInProcess())))
  })
})
