/** A container image's program; `LambdaRuntime.test.ts` bundles it. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Lambda from "effect-threadstats/Lambda"
import * as LambdaRuntime from "effect-threadstats/LambdaRuntime"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

NodeRuntime.runMain(LambdaRuntime.run({
  handler: (event: { readonly record: number; readonly wait?: number }) =>
    Effect.gen(function*() {
      if (event.wait !== undefined) {
        yield* Console.log("waiting")
        yield* Effect.sleep(event.wait)
      }
      yield* Lambda.lambdaMetric("orders", event.record)
      return { recorded: event.record }
    }),
  layer: Layer.merge(
    ThreadStats.layerNode,
    Layer.scopedDiscard(Effect.addFinalizer(() => Console.log("closed")))
  )
}))
