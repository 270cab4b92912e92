#!/usr/bin/env node
import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import * as ValidationError from "@effect/cli/ValidationError"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { toPrintable, toPrintableLines } from "../../internal/model/printableText.js"
import { version } from "../../internal/model/version.js"
import { CommandError } from "./commandError.js"
import { make } from "./intake.js"
import { programName, withCommandConsole } from "./output.js"

const main = (): void => {
  let exitCode = 0
  // A closed terminal ends the command as SIGTERM does: with its summary and its file.
  process.once("SIGHUP", () => process.emit("SIGTERM", "SIGTERM"))

  /** Prints a failure in one line. A defect is printed with its stack. */
  const report = <A, R>(effect: Effect.Effect<A, CommandError | ValidationError.ValidationError, R>) =>
    Effect.catchAllCause(effect, (cause) => {
      if (Cause.isInterruptedOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
      exitCode = 1
      const error = Cause.squash(cause)
      // @effect/cli has printed the validation error.
      return ValidationError.isValidationError(error)
        ? Effect.void
        : Console.error(
          error instanceof CommandError ? toPrintable(error.message) : toPrintableLines(Cause.pretty(cause))
        )
    })

  const command = Command.make(programName).pipe(
    Command.withDescription("Tools for programs that send metrics to Datadog."),
    Command.withSubcommands([make(report)])
  )

  Command.run(command, { name: programName, version })(process.argv).pipe(
    report,
    withCommandConsole,
    Effect.provide(Layer.mergeAll(
      NodeFileSystem.layer,
      NodePath.layer,
      NodeTerminal.layer,
      // Hides wizards, completions and log levels, which would be a third of the help.
      CliConfig.layer({ showBuiltIns: false })
    )),
    (program) =>
      NodeRuntime.runMain(program, {
        disableErrorReporting: true,
        teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) || Cause.isInterruptedOnly(exit.cause) ? exitCode : 1)
      })
  )
}

main()
