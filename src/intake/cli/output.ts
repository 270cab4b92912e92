/** Output of the command: lines on the standard streams, with colors on a terminal alone. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type { WriteStream } from "node:tty"
import { stripVTControlCharacters } from "node:util"

/** Name of the program, which begins each line on standard error. */
export const programName = "effect-threadstats"

/** Returns whether the stream shows colors: it is a terminal, and the variable `NO_COLOR` is absent. */
const hasColors = (stream: NodeJS.WriteStream): boolean => stream.isTTY && (stream as WriteStream).hasColors()

/**
 * Writes a line, and waits until the system has taken it: a process that exits earlier cuts off the rest of a text in a slow pipe.
 * A reader that is gone ends the wait.
 */
const writeLine = (stream: NodeJS.WriteStream, text: string): Effect.Effect<void> =>
  Effect.async((resume) => {
    const line = hasColors(stream) ? text : stripVTControlCharacters(text)
    stream.write(`${line}\n`, () => resume(Effect.void))
  })

/** Completes the usage of a command, which `@effect/cli` shows without the program or without a command. */
const completeUsage = (text: string): string =>
  text.replace(/^\$ (?=intake )/m, `$ ${programName} `).replace(`$ ${programName}\n`, `$ ${programName} COMMAND\n`)

/** Provides the console of the command. Standard error has one line for each message, with the name of the program. */
export const withCommandConsole = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    // A stream whose reader is gone emits an error, which would end the process before it saves its data.
    for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {})
    return Console.consoleWith((console) =>
      Console.withConsole(effect, {
        ...console,
        log: (...texts) => writeLine(process.stdout, completeUsage(texts.join(" "))),
        error: (...texts) => writeLine(process.stderr, `${programName}: ${texts.join(" ").trim()}`)
      })
    )
  })
