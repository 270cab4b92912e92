/** A program under `NodeRuntime.runMain`. Its argument names its end. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Lambda from "effect-threadstats/Lambda"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { layer } from "./layer.js"

class OnPurpose extends Data.TaggedError("OnPurpose")<{}> {
  override readonly message = "on purpose"
}

const ends = {
  returns: Effect.void,
  fails: Effect.fail(new OnPurpose()),
  dies: Effect.die(new Error("on purpose")),
  waits: Effect.never
}
const end: Effect.Effect<void, OnPurpose> = ends[process.argv[2] as keyof typeof ends]

Lambda.lambdaMetric("main.started", 1).pipe(
  Effect.zipRight(Console.log("started")),
  Effect.zipRight(end),
  Lambda.lambdaProgram(),
  Effect.provide(layer),
  NodeRuntime.runMain
)
