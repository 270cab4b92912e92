/** A function with the library's own runtime, for the events of `function.ts`. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as LambdaRuntime from "effect-threadstats/LambdaRuntime"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import * as Work from "./work.js"

interface Event extends Work.Event {
  /** Name of a distribution that is recorded during the flush of this invocation, if the intake answers slowly. */
  readonly afterwards?: string
}

NodeRuntime.runMain(LambdaRuntime.run({
  deadlineMargin: Work.deadlineMargin,
  handler: (event: Event) =>
    Effect.gen(function*() {
      const client = yield* ThreadStats.ThreadStats
      const { afterwards } = event
      if (afterwards !== undefined) setTimeout(() => client.unsafeDistribution(afterwards, 1), Work.duringTheFlush)
      return yield* Work.work(event)
    }),
  layer: ThreadStats.layer
}))
