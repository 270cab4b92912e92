import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"

const program = Effect.gen(function*() {
  yield* ThreadStats.increment("jobs.started", 1, { tags: { queue: "mail" } })
  yield* Effect.sleep("20 millis").pipe(ThreadStats.timer("jobs.duration"))
  yield* ThreadStats.gauge("jobs.waiting", 3)
})

program.pipe(Effect.provide(ThreadStats.layer), NodeRuntime.runMain)
