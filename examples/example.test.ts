import { it } from "@effect/vitest"
import * as Testing from "effect-threadstats/testing"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"

it.effect("counts the jobs", () =>
  Effect.gen(function*() {
    yield* ThreadStats.increment("jobs.started", 5, { tags: { queue: "mail" } })
    yield* Testing.expectCount("jobs.started", 5, { queue: "mail" })
  }).pipe(Effect.provide(Testing.layer)))
