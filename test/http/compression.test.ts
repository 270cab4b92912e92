import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { LocalIntake } from "effect-threadstats"
import type { Series } from "effect-threadstats"
import * as zlib from "node:zlib"
import { Compressor, partSize } from "../../src/internal/http/compression.js"
import { layerInProcess } from "../support/intake.js"
import { distributions, events } from "../support/reporterContract.js"
import { bodyOf, bytesOf, reporterToIntake, respond, scriptReporter } from "./fakeClient.js"

const seriesOf = (length: number) =>
  Array.from({ length }, (_, index): Series.Series => ({
    metric: `shop.metric.${index}`,
    points: [[1_700_000_000, index]],
    type: "gauge",
    tags: [`shard:${index}`],
    interval: 10
  }))

describe("compression", () => {
  it.effect("sends a body as it is when it has less than 1024 bytes", () =>
    Effect.gen(function*() {
      const { reporter, requests } = yield* scriptReporter(respond(202))
      const padded = (size: number) => {
        const empty = { ...seriesOf(1)[0]!, tags: [""] }
        return [{ ...empty, tags: ["x".repeat(size - JSON.stringify({ series: [empty] }).length)] }]
      }
      for (const [size, encoding] of [[1023, undefined], [1024, "deflate"]] as const) {
        const batch = padded(size)
        const receipt = yield* reporter.flushMetrics(batch)
        const request = requests.at(-1)
        assert.strictEqual(request?.headers["content-encoding"], encoding)
        assert.strictEqual(JSON.stringify(bodyOf(request)).length, size)
        assert.strictEqual(receipt.bytes === size, encoding === undefined)
      }
    }))

  it.effect("compresses in the format of zlib, and counts the bytes in the receipt", () =>
    Effect.gen(function*() {
      const { reporter, requests } = yield* scriptReporter(respond(202))
      const large = seriesOf(3000)
      for (const batch of [seriesOf(20), large]) {
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

  it.effect("uses deflate by default", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      for (const more of [{}, { compress: true }, { compress: false }]) {
        yield* Effect.flatMap(reporterToIntake(more), (reporter) => reporter.flushMetrics(seriesOf(20)))
      }
      const encodings = (yield* intake.requests).map(({ encoding }) => encoding)
      assert.deepStrictEqual(encodings, ["deflate", "deflate", "identity"])
    }).pipe(Effect.provide(layerInProcess())))
})

describe("Compressor.settle", () => {
  it.live("returns when the compression caught up after it was behind, before the wait began", () =>
    Effect.gen(function*() {
      const compressor = new Compressor()
      // More than may wait for zlib's thread.
      for (let part = 0; part < 8; part++) compressor.write(Buffer.alloc(partSize))
      const { settle } = compressor
      yield* settle
      assert.strictEqual(
        yield* Effect.timeoutTo(settle, { duration: "5 seconds", onSuccess: () => "settled", onTimeout: () => "late" }),
        "settled"
      )
      compressor.close()
    }))
})
