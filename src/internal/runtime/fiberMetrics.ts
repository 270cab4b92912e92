import type * as Effect from "effect/Effect"
import { withRuntimeFlagsPatch } from "effect/Effect"
import * as RuntimeFlags from "effect/RuntimeFlags"
import * as RuntimeFlagsPatch from "effect/RuntimeFlagsPatch"

const withoutMetrics = /*#__PURE__*/ RuntimeFlagsPatch.disable(RuntimeFlags.RuntimeMetrics)

/**
 * Leaves the fibers that an effect forks out of Effect's own fiber metrics. `EffectMetrics` publishes these: a flush that
 * counted its own fiber would leave something to flush each time.
 */
export const withoutFiberMetrics: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> =
  /*#__PURE__*/ withRuntimeFlagsPatch(withoutMetrics)
