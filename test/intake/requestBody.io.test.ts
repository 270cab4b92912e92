import { assert, describe, it } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Effect from "effect/Effect"
import * as zlib from "node:zlib"
import { deflateSync, gzipSync } from "node:zlib"
import { layerInProcess, layerIntake } from "../support/intake.js"
import { assertRefused, send } from "../support/intakeClient.js"

const padded = (length: number) => Buffer.alloc(length, " ").fill("{\"series\":[]}", 0, 13)

describe("request body limit with bodies of many megabytes", () => {
  it.effect("reads a body of 20 MB to its end, so that a client that is still sending receives the 413", () =>
    Effect.gen(function*() {
      const { url } = yield* LocalIntake.LocalIntake
      const reply = yield* Effect.promise(async (signal) => {
        const response = await fetch(`${url}/api/v1/series`, {
          method: "POST",
          headers: { "dd-api-key": "k" },
          body: padded(20_000_000),
          signal
        })
        return { status: response.status, text: await response.text() }
      })
      assertRefused(reply, 413, /3200000/)
    }).pipe(Effect.provide(layerIntake())))

  it.effect("accepts 62,914,560 bytes unpacked for series of version 1, and not one more", () =>
    Effect.gen(function*() {
      const post = (length: number) =>
        send("POST", "/api/v1/series", { bytes: deflateSync(padded(length), { level: 1 }), encoding: "deflate" })
      assert.strictEqual((yield* post(62_914_560)).status, 202)
      assertRefused(yield* post(62_914_561), 413, /62914560 bytes unpacked/)
    }).pipe(Effect.provide(layerInProcess())))

  it.effect("stops unpacking one gigabyte of gzip at the limit, before the invalid data at its end", () =>
    Effect.gen(function*() {
      const part = gzipSync(Buffer.alloc(16 * 1024 * 1024))
      const invalid = Buffer.from(part).fill(0xff, part.length - 20)
      const bytes = Buffer.concat([...Array<Buffer>(63).fill(part), invalid])
      const reply = yield* send("POST", "/api/v1/series", { bytes, encoding: "gzip" })
      assertRefused(reply, 413, /62914560 bytes unpacked/)
    }).pipe(Effect.provide(layerInProcess())))

  const { zstdCompressSync } = zlib as unknown as { readonly zstdCompressSync?: typeof deflateSync }

  it.effect.runIf(zstdCompressSync !== undefined)(
    "refuses 200 MB of zstd that are less than 512,000 bytes on the wire",
    () =>
      Effect.gen(function*() {
        const bytes = zstdCompressSync!(Buffer.alloc(200 * 1024 * 1024))
        assert.isBelow(bytes.byteLength, 512_000)
        assertRefused(
          yield* send("POST", "/api/v2/series", { bytes, encoding: "zstd" }),
          413,
          /5242880 bytes unpacked/
        )
      }).pipe(Effect.provide(layerInProcess()))
  )
})
