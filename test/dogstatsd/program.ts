/** A client that is never disposed of, in a program that has nothing else to do in the end. */
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"

const runtime = ManagedRuntime.make(
  ThreadStats.layerDogStatsDWith({ dogstatsd: { url: process.env["URL_OPTION"] } })
)

await runtime.runPromise(Effect.gen(function*() {
  yield* Effect.flatMap(ThreadStats.ThreadStats, ({ warm }) => warm)
  yield* ThreadStats.increment("flushed", 1)
  yield* ThreadStats.flush()
  yield* ThreadStats.increment("left", 2)
})).catch((error: unknown) => {
  console.error(String(error))
  process.exitCode = 1
})
