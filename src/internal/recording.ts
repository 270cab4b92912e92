import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import type { YieldWrap } from "effect/Utils"

type Step = IteratorResult<YieldWrap<Effect.Effect<void>>, void>

/** What a generator that waits for something recorded is told: there is nothing to wait for. */
const recorded: Step = { done: true, value: undefined }

/** One of so many goes through the fiber. */
const every = 8

let yielded = 0

/**
 * An effect that records something, and can neither wait nor fail.
 *
 * A generator that yields it (`yield*`) mostly records on the spot: the fiber it runs on need not be asked for what is done
 * at once, and asking costs twice as much as recording. One of {@link every} takes the way of all effects, so that a program
 * that does nothing but record still comes to the place where Effect lets other fibers have their turn, and looks
 * whether it was interrupted.
 */
export abstract class Recording extends Effectable.Class<void> {
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
    return ++yielded % every === 0 ? super[Symbol.iterator]() : this
  }
}
