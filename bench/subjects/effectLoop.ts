import * as Effect from "effect/Effect"
import type { Context, Recorder, Workload } from "../children/workload.js"
import { valueOf } from "../children/workload.js"

/** `recordAll` where every call is an effect that a generator waits for. */
export const recordEach = <E, R>(
  recorder: { readonly [K in keyof Recorder]: (context: Context, value: number) => Effect.Effect<void, E, R> },
  { calls, contexts }: Workload
): Effect.Effect<void, E, R> =>
  Effect.gen(function*() {
    let seed = 1
    const size = contexts.length
    for (let i = 0; i < calls; i++) {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
      const context = contexts[(seed >>> 8) % size]!
      const value = valueOf(seed)
      switch (context.kind) {
        case "count":
          yield* recorder.count(context, value)
          break
        case "gauge":
          yield* recorder.gauge(context, value)
          break
        case "histogram":
          yield* recorder.histogram(context, value)
          break
        case "distribution":
          yield* recorder.distribution(context, value)
      }
    }
  })
