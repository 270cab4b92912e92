import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import { isNullable } from "effect/Predicate"
import type { Output } from "../../LogReporter.js"

/**
 * Writes whole lines, one piece at a time and each at the beginning of a line, and waits until they are taken. `began` is called
 * when the piece is handed to the output: from then on it cannot be taken back, also where nobody waits for it any more.
 */
export type LineWriter = (lines: string, began: () => void) => Effect.Effect<void, unknown>

const ignore = () => {}

/**
 * An output that breaks says so in an event, too, which ends the process where nobody listens. It comes after the
 * callback; who listens longer would swallow what is not ours.
 */
const listen = (output: Output) => {
  output.on("error", ignore)
  return (error: unknown) => {
    if (isNullable(error)) output.off("error", ignore)
    else setImmediate(() => output.off("error", ignore))
  }
}

export const make = (find: () => Output): LineWriter => {
  /** What is under way: what was handed to the output cannot be taken back, and is not to pile up there. */
  let busy: Deferred.Deferred<void, unknown> | undefined
  /** The output's own count after our last write: as long as it stays, nobody else has written. */
  let mark: number | undefined

  /** What does not count (a file, the output of a worker thread) might be anywhere. */
  const isAtLineStart = ({ bytesWritten }: Output): boolean =>
    bytesWritten !== undefined && (bytesWritten === 0 || bytesWritten === mark)

  const begin = (lines: string, end: Deferred.Deferred<void, unknown>) => {
    let unlisten = (_: unknown) => {}
    const done = (error: unknown) => {
      unlisten(error)
      if (busy === end) busy = undefined
      Deferred.unsafeDone(end, isNullable(error) ? Effect.void : Effect.fail(error))
    }
    try {
      const output = find()
      unlisten = listen(output)
      // others may have left a line open
      output.write(isAtLineStart(output) ? lines : `\n${lines}`, done)
      mark = output.bytesWritten
    } catch (error) {
      done(error)
    }
  }

  const write: LineWriter = (lines, began) =>
    Effect.suspend(() => {
      if (busy !== undefined) {
        return Effect.zipRight(Effect.exit(Deferred.await(busy)), write(lines, began))
      }
      const end = Deferred.unsafeMake<void, unknown>(FiberId.none)
      busy = end
      began()
      begin(lines, end)
      return Deferred.await(end)
    })
  return write
}
