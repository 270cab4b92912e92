/** A function with a runtime of its own, for the events of `function.ts` that say no more than this. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as LambdaRuntime from "effect-threadstats/LambdaRuntime"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"

interface Event {
  readonly record: string
  readonly hang?: boolean
  readonly afterwards?: string
}

NodeRuntime.runMain(LambdaRuntime.run({
  handler: ({ afterwards, hang, record }: Event) =>
    Effect.gen(function*() {
      const client = yield* ThreadStats.ThreadStats
      yield* client.distribution(record, 1)
      if (hang === true) yield* Effect.uninterruptible(Effect.never)
      if (afterwards !== undefined) setTimeout(() => client.unsafeDistribution(afterwards, 1), 5)
      return { recorded: record }
    }),
  layer: ThreadStats.layerFetch
}))
