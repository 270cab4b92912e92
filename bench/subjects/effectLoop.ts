import * as Effect from "effect/Effect"
import type { Recorder, Workload, WorkloadSeries } from "../children/workload.js"
import { valueOf } from "../children/workload.js"

/** `recordAll` where every call is an effect that a generator waits for. */
export const recordEach = <E, R>(
  recorder: { readonly [K in keyof Recorder]: (series: WorkloadSeries, value: number) => Effect.Effect<void, E, R> },
  { calls, series }: Workload
): Effect.Effect<void, E, R> =>
  Effect.gen(function*() {
    let seed = 1
    const size = series.length
    for (let i = 0; i < calls; i++) {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
      const drawn = series[(seed >>> 8) % size]!
      const value = valueOf(seed)
      switch (drawn.kind) {
        case "count":
          yield* recorder.count(drawn, value)
          break
        case "gauge":
          yield* recorder.gauge(drawn, value)
          break
        case "histogram":
          yield* recorder.histogram(drawn, value)
          break
        case "distribution":
          yield* recorder.distribution(drawn, value)
      }
    }
  })
