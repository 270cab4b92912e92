/** Compares the points that v1 and v2 of the series endpoint store: few times in the unit suite, many times in the io suite. */
import { assert, it } from "@effect/vitest"
import { Effect, FastCheck as fc, Random, Redacted, TestClock } from "effect"
import { LocalIntake, ThreadStats } from "effect-threadstats"
import type { ThreadStatsConfig } from "effect-threadstats"
import { layerInProcess } from "../support/intake.js"

const path = "/api/v2/series"
const at = 1_700_000_000

export const testEqualPoints = (runs: number) => {
  const text = fc.constantFrom("a", "b", "größe", "名", "🚀", "env:test", "x:y:z")
  const name = fc.constantFrom("shop.orders", "shop.queue", "größe", "a.b.c")
  const host = fc.constantFrom(undefined, null, "", "web-1", "名")
  const call = fc.record({
    kind: fc.constantFrom(
      ...["gauge", "increment", "decrement", "histogram", "distribution", "timing", "set"] as const
    ),
    name,
    host,
    value: fc.oneof(fc.integer({ min: -1000, max: 1000 }), fc.double({ noNaN: true, noDefaultInfinity: true })),
    tags: fc.array(text, { maxLength: 3 }),
    timestamp: fc.option(fc.integer({ min: (at - 3000) * 1000, max: (at + 500) * 1000 }), { nil: undefined })
  })

  it.effect.prop("store the same points, whatever was recorded", {
    calls: fc.array(call, { minLength: 1, maxLength: 25 }),
    device: fc.constantFrom(undefined, "eth0"),
    host,
    attachHost: fc.boolean(),
    compress: fc.boolean()
  }, ({ attachHost, calls, compress, device, host }) =>
    Effect.gen(function*() {
      yield* TestClock.setTime(at * 1000)
      const intake = yield* LocalIntake.LocalIntake
      const run = (series: ThreadStatsConfig.SeriesVersion) =>
        Effect.gen(function*() {
          yield* Effect.gen(function*() {
            const client = yield* ThreadStats.ThreadStats
            for (const { host, kind, name, tags, timestamp, value } of calls) {
              const options = { tags, host, timestamp }
              if (kind === "set") yield* client.set(`${kind}.${name}`, value, options)
              else yield* client[kind](`${kind}.${name}`, value, options)
            }
            yield* client.flush()
            // The second point falls into a bucket that was sent already: its total is sent again.
            yield* client.increment("late", 2, { timestamp: at * 1000 })
            yield* client.flush()
            yield* client.increment("late", 3, { timestamp: at * 1000 })
          }).pipe(
            Effect.provide(
              ThreadStats.layerHttpClientWith({
                apiKey: Redacted.make("key"),
                apiUrl: intake.url,
                seriesVersion: series,
                compress,
                device,
                hostname: host ?? undefined,
                attachHost
              })
            ),
            Effect.withRandom(Random.make("one seed"))
          )
          const stored = yield* intake.stored
          const paths = new Set((yield* intake.requests).map(({ path }) => path))
          const statuses = new Set((yield* intake.requests).map(({ status }) => status))
          const late = yield* intake.total("late")
          yield* intake.clear
          assert.deepStrictEqual([...statuses], [202])
          return { stored, paths, late }
        })
      const v1 = yield* run("v1")
      const v2 = yield* run("v2")
      assert.deepStrictEqual(v2.stored, v1.stored)
      assert.deepStrictEqual([v1.late, v2.late], [5, 5])
      assert.isTrue(v1.paths.has("/api/v1/series") && !v1.paths.has(path))
      assert.isTrue(v2.paths.has(path) && !v2.paths.has("/api/v1/series"))
    }).pipe(Effect.provide(layerInProcess())), { fastCheck: { numRuns: runs } })
}
