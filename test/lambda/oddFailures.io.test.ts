/** The library's own runtime responds to every failure, also to one that no logger can print. */
import { assert, describe } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { start, testRuntime } from "./inProcessRuntime.js"
import { oddFailures } from "./oddFailures.js"

/** Loggers that turn the whole cause into text, which then goes nowhere. */
const loggers = {
  json: Logger.jsonLogger,
  text: Logger.stringLogger
}

describe("LambdaRuntime.run failures", () => {
  for (const [name, logger] of Object.entries(loggers)) {
    testRuntime(`posts type and message of every failure when the logger is ${name}`, (api) =>
      Effect.gen(function*() {
        const layer = Logger.replace(Logger.defaultLogger, Logger.map(logger, () => {}))
        yield* start(api, ([index, isDefect]: readonly [number, boolean]) =>
          Effect.suspend(() =>
            isDefect ? Effect.die(oddFailures[index]![1]()) : Effect.fail(oddFailures[index]![1]())
          ))
          .pipe(Effect.provide(layer))
        for (const [index, [description, , errorType, errorMessage]] of oddFailures.entries()) {
          for (const isDefect of [false, true]) {
            yield* api.next({ event: [index, isDefect] })
            const { json, path } = yield* api.posted
            assert.match(path, /error$/, description)
            assert.strictEqual(json.errorType, errorType, description)
            if (errorMessage !== undefined) assert.strictEqual(json.errorMessage, errorMessage, description)
            assert.isArray(json.stackTrace, description)
          }
        }
      }))
  }

  testRuntime(
    "logs type and message of a failure when the logger throws at its cause",
    (api) =>
      Effect.gen(function*() {
        const lines: Array<unknown> = []
        const logger = Logger.make(({ cause, message }) => {
          if (!Cause.isEmpty(cause)) throw new Error("the cause has no text")
          lines.push(...[message].flat())
        })
        yield* start(api, () => Effect.fail({ _tag: "Odd", message: "unprintable" })).pipe(
          Effect.provide(Logger.replace(Logger.defaultLogger, logger))
        )
        yield* api.next({})
        assert.strictEqual((yield* api.posted).json.errorType, "Odd")
        assert.deepStrictEqual(lines, ["Invocation 1 failed: Odd: unprintable"])
      })
  )
})
