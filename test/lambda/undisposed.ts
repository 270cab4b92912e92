/** A program that never disposes of its `ManagedRuntime`. */
import * as Lambda from "effect-threadstats/Lambda"
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { layer } from "./layer.js"

const runtime = ManagedRuntime.make(layer)

await runtime.runPromise(Lambda.lambdaProgram(Lambda.lambdaMetric("inside", 1)))
await runtime.runPromise(Effect.zipRight(Lambda.lambdaMetric("after", 1), Effect.void))
