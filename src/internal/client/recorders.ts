import * as Effect from "effect/Effect"
import type { Kind, Value } from "../../RollUp.js"
import type { PointOptions } from "../model/instruments.js"
import type { Recorders } from "./Client.js"
import type { RecordSink } from "./recordSink.js"

/** Negates a number. Passes other values through; the aggregator drops them. */
export const negate = (value: number): number => typeof value === "number" ? -value : value

/** Creates the operations that name everything in each call. */
export const makeRecorders = ({ event, point }: Pick<RecordSink, "event" | "point">): Recorders => {
  const record = (kind: Kind, name: string, value: Value, options: PointOptions | undefined) =>
    Effect.sync(() => point(kind, name, value, options))
  return {
    gauge: (name, value, options) => record("gauge", name, value, options),
    increment: (name, value = 1, options) => record("counter", name, value, options),
    decrement: (name, value = 1, options) => record("counter", name, negate(value), options),
    histogram: (name, value, options) => record("histogram", name, value, options),
    distribution: (name, value, options) => record("distribution", name, value, options),
    timing: (name, value, options) => record("timing", name, value, options),
    set: (name, value, options) => record("set", name, value, options),
    event: (title, text, options) => Effect.sync(() => event(title, text, options)),
    unsafeGauge: (name, value, options) => point("gauge", name, value, options),
    unsafeIncrement: (name, value = 1, options) => point("counter", name, value, options),
    unsafeDecrement: (name, value = 1, options) => point("counter", name, negate(value), options),
    unsafeHistogram: (name, value, options) => point("histogram", name, value, options),
    unsafeDistribution: (name, value, options) => point("distribution", name, value, options),
    unsafeTiming: (name, value, options) => point("timing", name, value, options),
    unsafeSet: (name, value, options) => point("set", name, value, options),
    unsafeEvent: (title, text, options) => event(title, text, options)
  }
}
