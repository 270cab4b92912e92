import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import type { YieldWrap } from "effect/Utils"
import type * as RollUp from "../../RollUp.js"
import type { PointOptions } from "../../ThreadStats.js"

type Step = IteratorResult<YieldWrap<Effect.Effect<void>>, void>

/** What a generator that waits for something recorded is told: there is nothing to wait for. */
const recorded: Step = { done: true, value: undefined }

/** One of so many goes through the fiber. */
const every = 8

/** What takes the points of one client, and how many of its effects a generator has yielded. */
export class Recorder {
  readonly point: (
    kind: RollUp.Kind,
    name: string,
    value: RollUp.Value,
    options: PointOptions | undefined
  ) => void
  yielded = 0

  constructor(point: Recorder["point"]) {
    this.point = point
  }
}

/**
 * An effect that records something, and can neither wait nor fail.
 *
 * A generator that yields it (`yield*`) mostly records on the spot: the fiber it runs on need not be asked for what is done
 * at once, and asking costs twice as much as recording. One of {@link every} takes the way of all effects, so that a program
 * that does nothing but record still comes to the place where Effect lets other fibers have their turn, and looks
 * whether it was interrupted.
 */
abstract class Recording extends Effectable.Class<void> {
  abstract readonly recorder: Recorder
  abstract record(): void

  commit(): Effect.Effect<void> {
    this.record()
    return Effect.void
  }

  next(): Step {
    this.record()
    return recorded
  }

  override [Symbol.iterator](): Effect.EffectGenerator<Effect.Effect<void>> {
    return ++this.recorder.yielded % every === 0 ? super[Symbol.iterator]() : this
  }
}

/** A point that is recorded when the effect runs. */
export class PointRecording extends Recording {
  readonly recorder: Recorder
  readonly kind: RollUp.Kind
  readonly name: string
  readonly value: RollUp.Value
  readonly options: PointOptions | undefined

  constructor(
    recorder: Recorder,
    kind: RollUp.Kind,
    name: string,
    value: RollUp.Value,
    options: PointOptions | undefined
  ) {
    super()
    this.recorder = recorder
    this.kind = kind
    this.name = name
    this.value = value
    this.options = options
  }

  record(): void {
    const { point } = this.recorder
    point(this.kind, this.name, this.value, this.options)
  }
}

/** A value for a bound instrument. */
export class BoundRecording<V> extends Recording {
  readonly recorder: Recorder
  readonly take: (value: V) => void
  readonly value: V

  constructor(recorder: Recorder, take: (value: V) => void, value: V) {
    super()
    this.recorder = recorder
    this.take = take
    this.value = value
  }

  record(): void {
    const { take } = this
    take(this.value)
  }
}
