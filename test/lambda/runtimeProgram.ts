/** A container image's program; `runtimeProcess.io.test.ts` bundles it. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Lambda from "effect-threadstats/Lambda"
import * as LambdaRuntime from "effect-threadstats/LambdaRuntime"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

const sigterm = Effect.async<void>((resume) => {
  process.once("SIGTERM", () => setImmediate(() => resume(Effect.void)))
})

interface Event {
  readonly record: number
  /** The event that the handler waits for before it records. */
  readonly until?: "SIGTERM" | "never"
}

NodeRuntime.runMain(LambdaRuntime.run({
  handler: ({ record, until }: Event) =>
    Effect.gen(function*() {
      if (until !== undefined) {
        const event = yield* Effect.fork(until === "never" ? Effect.never : sigterm)
        yield* Effect.yieldNow()
        yield* Console.log("waiting")
        yield* event
      }
      yield* Lambda.lambdaMetric("orders", record)
      return { recorded: record }
    }),
  layer: Layer.merge(
    ThreadStats.layer,
    Layer.scopedDiscard(Effect.addFinalizer(() => Console.log("closed")))
  )
}))
