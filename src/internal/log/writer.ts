import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { isNullable } from "effect/Predicate"
import { listen } from "../runtime/sharedListener.js"

/** Destination of lines: the methods of a Node.js `Writable` that the reporter calls. */
export interface LogOutput {
  /** Writes a text, and calls back with the error if that failed. */
  readonly write: (text: string, callback: (error?: unknown) => void) => unknown
  /** Adds a listener for errors. */
  readonly on: (event: "error", listener: (error: unknown) => void) => unknown
  /** Removes a listener for errors. */
  readonly off: (event: "error", listener: (error: unknown) => void) => unknown
  /** Number of bytes that anybody wrote to it. Node.js streams over pipes and terminals have this property. */
  readonly bytesWritten?: number | undefined
}

/**
 * Writes whole lines at the beginning of a line, and waits until the output took them. One write runs at a time. It calls `onBegin` when the
 * output gets the lines: an interruption after that does not take them back.
 */
export type LineWriter = (lines: string, onBegin: () => void) => Effect.Effect<void, unknown>

const ignore = () => {}

/**
 * Listens for errors during a write. A write error is also emitted as an `error` event after the callback, and ends the process if
 * nothing listens. The listener leaves after that event, so that it hides no other errors.
 */
const ignoreErrorEvent = (output: LogOutput) => {
  const stopListening = listen(output, "error", ignore)
  return (error: unknown) => {
    if (isNullable(error)) stopListening()
    else setImmediate(stopListening)
  }
}

export const make = (getOutput: () => LogOutput): LineWriter => {
  /** Write in progress. Later writes wait for it, even if its caller was interrupted, so that they do not pile up in the output. */
  let pendingWrite: Deferred.Deferred<void, unknown> | undefined
  /** Count of the output after the last write. Nothing else wrote to it while the count stays equal. */
  let bytesAfterWrite: number | undefined

  /** Whether the output is at the beginning of a line for certain. A file or the output of a worker thread has no count. */
  const isAtLineStart = ({ bytesWritten }: LogOutput): boolean =>
    bytesWritten !== undefined && (bytesWritten === 0 || bytesWritten === bytesAfterWrite)

  const begin = (lines: string, written: Deferred.Deferred<void, unknown>) => {
    let stopListening = (_: unknown) => {}
    const finish = (error: unknown) => {
      stopListening(error)
      if (pendingWrite === written) pendingWrite = undefined
      Deferred.unsafeDone(written, isNullable(error) ? Effect.void : Effect.fail(error))
    }
    try {
      const output = getOutput()
      stopListening = ignoreErrorEvent(output)
      output.write(isAtLineStart(output) ? lines : `\n${lines}`, finish)
      bytesAfterWrite = output.bytesWritten
    } catch (error) {
      finish(error)
    }
  }

  const write: LineWriter = (lines, onBegin) =>
    Effect.flatMap(Deferred.make<void, unknown>(), (written) => {
      if (pendingWrite !== undefined) {
        return Effect.zipRight(Effect.exit(Deferred.await(pendingWrite)), write(lines, onBegin))
      }
      pendingWrite = written
      onBegin()
      begin(lines, written)
      return Deferred.await(written)
    })
  return write
}
