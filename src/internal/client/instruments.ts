import * as Effect from "effect/Effect"
import type { BoundValues, InstrumentOptions } from "../model/instruments.js"
import type { KindOf } from "../model/metricKinds.js"
import type { Instruments } from "./Client.js"
import { negate } from "./recorders.js"
import type { RecordSink } from "./recordSink.js"
import type { Stopwatch } from "./timer.js"

/** Creates the operations that bind instruments. */
export const makeInstruments = ({ bind }: Pick<RecordSink, "bind">, stopwatch: Stopwatch): Instruments => {
  const bindValues = (
    kind: KindOf<"summary" | "values">,
    name: string,
    options?: InstrumentOptions
  ): BoundValues => {
    const unsafeRecord = bind(kind, name, options)
    return { record: (value) => Effect.sync(() => unsafeRecord(value)), unsafeRecord }
  }
  return {
    bindCounter(name, options) {
      const unsafeIncrement = bind("counter", name, options)
      const unsafeDecrement = (value = 1) => unsafeIncrement(negate(value))
      return {
        increment: (value) => Effect.sync(() => unsafeIncrement(value)),
        decrement: (value) => Effect.sync(() => unsafeDecrement(value)),
        unsafeIncrement,
        unsafeDecrement
      }
    },
    bindGauge(name, options) {
      const unsafeSet = bind("gauge", name, options)
      return { set: (value) => Effect.sync(() => unsafeSet(value)), unsafeSet }
    },
    bindHistogram: (name, options) => bindValues("histogram", name, options),
    bindDistribution: (name, options) => bindValues("distribution", name, options),
    bindTiming(name, options) {
      const { record, unsafeRecord } = bindValues("timing", name, options)
      const unit = stopwatch.unitOf(options)
      return {
        record,
        unsafeRecord,
        timer: (effect) => stopwatch.measure(effect, unit, unsafeRecord)
      }
    },
    bindSet(name, options) {
      const unsafeAdd = bind("set", name, options)
      return { add: (member) => Effect.sync(() => unsafeAdd(member)), unsafeAdd }
    }
  }
}
