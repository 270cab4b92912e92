import { assert, it } from "@effect/vitest"
import * as Reporter from "effect-threadstats/Reporter"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"

it.effect("counts the jobs", () =>
  Effect.gen(function*() {
    yield* ThreadStats.increment("jobs.started", 5, { tags: { queue: "mail" } })
    yield* ThreadStats.flush()
    const [series] = yield* Effect.flatMap(Reporter.MemoryReporter, (memory) => memory.metrics)
    assert.deepInclude(series, { metric: "jobs.started", type: "rate", tags: ["queue:mail"], interval: 10 })
    assert.deepStrictEqual(series?.points, [[0, 0.5]])
  }).pipe(Effect.provide(ThreadStats.layerTest)))
