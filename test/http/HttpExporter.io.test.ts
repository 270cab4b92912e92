import { HttpClient, HttpClientResponse } from "@effect/platform"
import { assert, describe, it, vi } from "@effect/vitest"
import { Context, Effect, Layer, Redacted, TestClock } from "effect"
import { ThreadStats } from "effect-threadstats"
import { Deflate } from "node:zlib"

describe("HttpExporter", () => {
  it.scoped(
    "gives the compressing thread parts that last longer than a slice of writing",
    () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(1_700_000_000_000)
        const http = HttpClient.make((request) =>
          Effect.sync(() => HttpClientResponse.fromWeb(request, new Response("{}", { status: 202 })))
        )
        const context = yield* Layer.build(
          ThreadStats.layerHttpClientWith({ apiKey: Redacted.make("key"), periodicFlush: false, maxSeries: 100_000 })
            .pipe(Layer.provide(Layer.succeed(HttpClient.HttpClient, http)))
        )
        const self = Context.get(context, ThreadStats.ThreadStats)
        for (let i = 0; i < 60_000; i++) self.unsafeIncrement("c", 1, { tags: [`i:${i}`] })
        const write = vi.spyOn(Deflate.prototype as unknown as { write: (part: Uint8Array) => boolean }, "write")
        yield* Effect.addFinalizer(() => Effect.sync(() => write.mockRestore()))
        yield* self.flush()
        const sizes = write.mock.calls.map(([{ byteLength }]) => byteLength)
        assert.isAbove(sizes.reduce((sum, size) => sum + size, 0), 5_000_000)
        // The first parts are smaller, because the writer does not know yet that there are many, and so is the last one.
        const fullParts = sizes.filter((size) => size > 256 * 1024)
        assert.isAtLeast(fullParts.length, 4)
        // A slice of writing makes half of that.
        for (const size of fullParts.slice(0, -1)) assert.isAbove(size, 900_000)
      })
  )
})
