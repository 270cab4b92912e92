/** Delivers a gauge over `node:http` with the settings of the environment, twice, and prints both outcomes as JSON. */
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"

const flush = Effect.gen(function*() {
  yield* ThreadStats.gauge("g", 1)
  const { errors, metrics } = yield* ThreadStats.flush({ timeout: "4 seconds" })
  return { delivered: metrics.delivered, errors: errors.map(({ message }) => message) }
})

void Effect.runPromise(
  Effect.all([flush, flush]).pipe(
    Effect.provide(ThreadStats.layerWith({ periodicFlush: false, requestTimeout: "2 seconds" })),
    Effect.provide(Logger.remove(Logger.defaultLogger))
  )
).then((outcomes) => console.log(JSON.stringify(outcomes)))
