import { describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { skipStackTraces } from "../support/stackTraces.js"
import { key } from "./payload.js"
import {
  checkArrays,
  checkOption,
  checkOptions,
  checkRedactedKeys,
  checkVariable,
  makeCheck,
  optionNames,
  variableNames
} from "./settings.js"

skipStackTraces()

/**
 * Each variable and option meets a part of the hostile values, and each value meets several variables and options. The io suite
 * tests every value with every name, and with a client for each setting that is accepted.
 */
const parts = 4
const every = 4

describe("ThreadStatsConfig variables", () => {
  for (const [index, name] of variableNames.entries()) {
    it.effect(`accepts a hostile text of ${name} or fails with an error that names it`, () =>
      checkVariable(makeCheck({ every }), name, { index, parts }))
  }

  it.effect("hides the credentials in an address", () =>
    Effect.gen(function*() {
      const check = makeCheck({ every })
      for (const name of ["DD_SITE", "DATADOG_HOST"]) {
        for (const text of ["https://user:hunter2@example.com", "user:hunter2@example.com", "u:hunter2@[::1"]) {
          yield* check(name, { apiKey: Redacted.make(key) }, { [name]: text }, ["hunter2"])
        }
      }
    }))
})

describe("ThreadStatsConfig options", () => {
  for (const [index, name] of optionNames.entries()) {
    it.effect(`accepts a hostile value of ${name} or fails with an error that names it`, () =>
      checkOption(makeCheck({ every }), name, { index, parts }))
  }

  it.effect("accepts a hostile element or a hole in an array option or fails with an error that names the option", () =>
    checkArrays(makeCheck({ every }), { index: 0, parts: 2 }))

  it.effect("accepts a hostile redacted apiKey or fails with an error that names it and hides its value", () =>
    checkRedactedKeys(makeCheck({ every })))

  it.effect("accepts a hostile value in place of the options or fails with a ConfigError", () =>
    checkOptions(makeCheck({ every })))
})
