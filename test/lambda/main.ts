/** A program under `NodeRuntime.runMain`. Its argument says how it is to end. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Lambda from "effect-threadstats/Lambda"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"

const ends = {
  returns: Effect.void,
  fails: Effect.fail(new Error("on purpose")),
  dies: Effect.die(new Error("on purpose")),
  waits: Effect.never
}
const end: Effect.Effect<void, Error> = ends[process.argv[2] as keyof typeof ends]

Lambda.lambdaMetric("main.started", 1).pipe(
  Effect.zipRight(Console.log("started")),
  Effect.zipRight(end),
  Lambda.lambdaProgram(),
  Effect.provide(ThreadStats.layerFetch),
  NodeRuntime.runMain
)
