#!/usr/bin/env node
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
import { CommandError, make } from "./intake.js"

const main = (): void => {
  let exitCode = 0

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
          error instanceof CommandError
            ? toPrintable(`effect-threadstats: ${error.message}`)
            : toPrintableLines(`effect-threadstats: ${Cause.pretty(cause)}`)
        )
    })

  const command = Command.make("effect-threadstats").pipe(
    Command.withDescription("Tools for programs that send metrics to Datadog."),
    Command.withSubcommands([make(report)])
  )

  Command.run(command, { name: "effect-threadstats", version })(process.argv).pipe(
    report,
    Effect.provide(Layer.mergeAll(NodeFileSystem.layer, NodePath.layer, NodeTerminal.layer)),
    (program) =>
      NodeRuntime.runMain(program, {
        disableErrorReporting: true,
        teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) || Cause.isInterruptedOnly(exit.cause) ? exitCode : 1)
      })
  )
}

main()
