import { assert, describe, it } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Effect from "effect/Effect"
import * as zlib from "node:zlib"
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from "node:zlib"
import { layerInProcess } from "../support/intake.js"
import { assertNothingAccepted, assertRefused, payloads, type RequestOptions, send } from "../support/intakeClient.js"
import { distributions, events, metrics } from "../support/reporterContract.js"

const postSeries = (options: RequestOptions) => send("POST", "/api/v1/series", options)

const postSeriesV2 = (options: RequestOptions) => send("POST", "/api/v2/series", options)

const seriesV2 = {
  metric: "shop.queue",
  type: 3,
  points: [{ timestamp: 1_700_000_000, value: -3 }],
  resources: [{ type: "host", name: "web-1" }],
  tags: ["b", "a"],
  interval: 10,
  unit: "item"
}

describe("request body encoding", () => {
  it.effect("accepts identity and deflate everywhere, and gzip except for distributions", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      for (const [path, body] of payloads) {
        const text = JSON.stringify(body)
        const deflated = yield* send("POST", path, { bytes: deflateSync(text), encoding: "deflate" })
        assert.strictEqual(deflated.status, 202, path)
        const identity = yield* send("POST", path, { body, encoding: "identity" })
        assert.strictEqual(identity.status, 202, path)
        const gzipped = yield* send("POST", path, { bytes: gzipSync(text), encoding: "GZIP" })
        if (path === "/api/v1/distribution_points") assertRefused(gzipped, 400, /gzip is not supported/)
        else assert.strictEqual(gzipped.status, 202, path)
      }
      assert.strictEqual((yield* intake.series).length, 3 * metrics.length)
      assert.strictEqual((yield* intake.distributions).length, 2 * distributions.length)
      assert.strictEqual((yield* intake.events).length, 3)
    }).pipe(Effect.provide(layerInProcess())))

  it.effect("refuses unknown encodings, and bytes that do not match their encoding", () =>
    Effect.gen(function*() {
      for (const [path, body] of payloads) {
        const text = JSON.stringify(body)
        for (const encoding of ["br", "zstd", "deflate, gzip", "x"]) {
          assertRefused(
            yield* send("POST", path, { bytes: brotliCompressSync(text), encoding }),
            400,
            /is not supported/
          )
        }
        const packed = deflateSync(text)
        const flipped = Uint8Array.from(packed, (byte, index) => index === 12 ? byte ^ 0xff : byte)
        for (
          const bytes of [deflateRawSync(text), Buffer.from(text), packed.subarray(0, -6), flipped, gzipSync(text)]
        ) {
          assertRefused(yield* send("POST", path, { bytes, encoding: "deflate" }), 400, /not valid deflate/)
        }
        assertRefused(yield* send("POST", path, { bytes: packed }), 400, /not valid JSON/)
      }
      yield* assertNothingAccepted(yield* LocalIntake.LocalIntake)
    }).pipe(Effect.provide(layerInProcess())))

  const { zstdCompressSync } = zlib as unknown as { readonly zstdCompressSync?: typeof deflateSync }

  it.effect.runIf(zstdCompressSync !== undefined)(
    "accepts zstd for series of version 2 only when Node.js supports it",
    () =>
      Effect.gen(function*() {
        const bytes = zstdCompressSync!(JSON.stringify({ series: [seriesV2] }))
        for (const encoding of ["zstd", "zstd1", "ZSTD"]) {
          assert.strictEqual((yield* postSeriesV2({ bytes, encoding })).status, 202)
        }
        const intake = yield* LocalIntake.LocalIntake
        assert.strictEqual((yield* intake.series).length, 3)
        assert.deepStrictEqual((yield* intake.requests).map(({ encoding }) => encoding), ["zstd", "zstd1", "zstd"])
        for (const invalid of [bytes.subarray(0, -3), Buffer.from("{}"), deflateSync("{}"), Buffer.alloc(0)]) {
          // Node.js 22 does not report a truncated stream as an error, so that the JSON is invalid instead.
          assertRefused(yield* postSeriesV2({ bytes: invalid, encoding: "zstd" }), 400, /not valid (zstd|JSON)/)
        }
        for (const [path] of payloads) {
          assertRefused(yield* send("POST", path, { bytes, encoding: "zstd" }), 400, /zstd is not supported/)
        }
      }).pipe(Effect.provide(layerInProcess()))
  )

  it.effect.runIf(zstdCompressSync === undefined)(
    "refuses zstd when Node.js does not support it",
    () =>
      Effect.gen(function*() {
        for (const encoding of ["zstd", "zstd1"]) {
          const bytes = Buffer.from("28b52ffd", "hex")
          assertRefused(yield* postSeriesV2({ bytes, encoding }), 400, new RegExp(`${encoding} is not supported`))
        }
        yield* assertNothingAccepted(yield* LocalIntake.LocalIntake)
      }).pipe(Effect.provide(layerInProcess()))
  )
})

describe("request body format", () => {
  it.effect("refuses bodies that are not JSON or do not have the documented format", () =>
    Effect.gen(function*() {
      const notJson = ["", "{", "{\"series\":[{\"metric\":\"a\",\"points\":[[1,NaN]]}]}", "\u0000"]
      for (const [path] of payloads) {
        for (const text of notJson) {
          assertRefused(yield* send("POST", path, { bytes: Buffer.from(text) }), 400, /not valid JSON/)
        }
        assertRefused(yield* send("POST", path, { bytes: new Uint8Array([0x22, 0xff, 0xfe, 0x22]) }), 400, /valid JSON/)
        for (const body of [null, 1, [], {}, { series: {} }, { series: [{ metric: "a" }] }]) {
          assertRefused(yield* send("POST", path, { body }), 400, /not in the expected format/)
        }
      }
      const series = (points: unknown) => ({ series: [{ metric: "a", points }] })
      for (const points of [[[1, null]], [[1, "1"]], [[1]], [[null, 1]], [[1, [1]]]]) {
        assertRefused(yield* postSeries({ body: series(points) }), 400, /series\.0\.points/)
      }
      for (const points of [[[1, 1]], [[1, [null]]], [[1, ["1"]]]]) {
        assertRefused(
          yield* send("POST", "/api/v1/distribution_points", { body: series(points) }),
          400,
          /series\.0\.points/
        )
      }
      const longText = { ...events[0], text: "x".repeat(4001) }
      assertRefused(yield* send("POST", "/api/v1/events", { body: longText }), 400, /text/)
      yield* assertNothingAccepted(yield* LocalIntake.LocalIntake)
    }).pipe(Effect.provide(layerInProcess())))

  it.effect("refuses a whole payload when one of its series is invalid", () =>
    Effect.gen(function*() {
      const body = { series: [...metrics, { metric: "bad", points: [[1, null]] }] }
      assertRefused(yield* postSeries({ body }), 400, /series\.4\.points/)
      yield* assertNothingAccepted(yield* LocalIntake.LocalIntake)
    }).pipe(Effect.provide(layerInProcess())))

  it.effect("names the invalid field of a series of version 2", () =>
    Effect.gen(function*() {
      assertRefused(yield* postSeriesV2({ bytes: Buffer.from("{") }), 400, /not valid JSON/)
      const at = 1_700_000_000
      for (
        const [invalid, path] of [
          [{ points: [[at, 1]] }, "points"],
          [{ points: [{ timestamp: at + 0.5, value: 1 }] }, "points"],
          [{ points: [{ timestamp: at, value: null }] }, "points"],
          [{ type: "gauge" }, "type"],
          [{ type: 4 }, "type"],
          [{ resources: [{ type: "host" }] }, "resources"],
          [{ tags: null }, "tags"],
          [{ interval: 1.5 }, "interval"],
          [{ unit: 1 }, "unit"]
        ] as const
      ) {
        const reply = yield* postSeriesV2({ body: { series: [seriesV2, { ...seriesV2, ...invalid }] } })
        assertRefused(reply, 400, new RegExp(`expected format: series\\.1\\.${path}`))
      }
      yield* assertNothingAccepted(yield* LocalIntake.LocalIntake)
      assert.strictEqual((yield* postSeriesV2({ body: { series: [seriesV2] } })).status, 202)
    }).pipe(Effect.provide(layerInProcess())))
})

describe("request body limit", () => {
  const padded = (length: number) => Buffer.alloc(length, " ").fill("{\"series\":[]}", 0, 13)

  it.effect("refuses a body with 413 when it is one byte over the limit on the wire", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* postSeries({ bytes: padded(3_200_000) })).status, 202)
      assertRefused(yield* postSeries({ bytes: padded(3_200_001) }), 413, /3200000/)
      assert.strictEqual((yield* postSeriesV2({ bytes: padded(512_000) })).status, 202)
      assertRefused(yield* postSeriesV2({ bytes: padded(512_001) }), 413, /over 512000 bytes$/)
    }).pipe(Effect.provide(layerInProcess())))

  it.effect("refuses a body with 413 when it is one byte over the limit unpacked", () =>
    Effect.gen(function*() {
      for (const [encoding, pack] of [["deflate", deflateSync], ["gzip", gzipSync]] as const) {
        assert.strictEqual((yield* postSeriesV2({ bytes: pack(padded(5_242_880)), encoding })).status, 202)
        assertRefused(yield* postSeriesV2({ bytes: pack(padded(5_242_881)), encoding }), 413, /5242880 bytes unpacked/)
      }
    }).pipe(Effect.provide(layerInProcess())))

  it.effect("stops unpacking at the limit, before the invalid data behind it", () =>
    Effect.gen(function*() {
      const bytes = gzipSync(padded(1_000_000))
      bytes.fill(0xff, bytes.length - 20)
      const post = postSeries({ bytes, encoding: "gzip" })
      assertRefused(yield* Effect.provide(post, layerInProcess()), 400, /not valid gzip/)
      const limited = layerInProcess({ maxUnpackedBytes: 60_000 })
      assertRefused(yield* Effect.provide(post, limited), 413, /60000 bytes unpacked/)
    }))

  it.effect("uses the options maxBodyBytes and maxUnpackedBytes for all endpoints", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* postSeries({ body: { series: [] } })).status, 202)
      assertRefused(yield* postSeries({ body: { series: metrics } }), 413, /50 bytes/)
      assertRefused(yield* postSeriesV2({ body: { series: [seriesV2] } }), 413, /over 50 bytes/)
      const bytes = deflateSync(JSON.stringify({ series: [], padding: "x".repeat(100) }))
      assertRefused(yield* postSeries({ bytes, encoding: "deflate" }), 413, /60 bytes unpacked/)
      assertRefused(yield* postSeriesV2({ bytes, encoding: "deflate" }), 413, /60 bytes unpacked/)
    }).pipe(Effect.provide(layerInProcess({ maxBodyBytes: 50, maxUnpackedBytes: 60 }))))
})
