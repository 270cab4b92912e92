/** A program with an environment that nobody disposes of. */
import * as Lambda from "effect-threadstats/Lambda"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"

const runtime = ManagedRuntime.make(ThreadStats.layerFetch)

await runtime.runPromise(Lambda.lambdaProgram(Lambda.lambdaMetric("inside", 1)))
await runtime.runPromise(Effect.zipRight(Lambda.lambdaMetric("after", 1), Effect.void))
