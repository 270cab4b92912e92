/** The same as a program with a runtime of its own. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as LambdaRuntime from "effect-threadstats/LambdaRuntime"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"

NodeRuntime.runMain(LambdaRuntime.run({
  handler: (event: { readonly record: string }) =>
    Effect.as(ThreadStats.distribution(event.record, 1), { recorded: event.record }),
  layer: ThreadStats.layerFetch
}))
