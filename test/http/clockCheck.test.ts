import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, TestClock } from "effect"
import { reply, reporter as scripted } from "../support/scriptedHttp.js"
import { batch } from "./deliveryRun.js"

const start = 1_700_000_000_000
const minute = 60_000

/** Delivers once per difference of the clocks, in minutes, with two minutes between them. Returns the log lines. */
const linesOf = (skews: ReadonlyArray<number>, timestamps: "window" | "any" = "window", status = 202) =>
  Effect.gen(function*() {
    const lines: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => {
      lines.push(`${logLevel.label} ${String(message)}`)
    })
    let date = 0
    const { reporter } = yield* scripted(
      () => Effect.suspend(() => reply(status, { date: new Date(date).toUTCString() })),
      { acceptedTimestamps: timestamps }
    )
    yield* TestClock.setTime(start)
    for (const skew of skews) {
      date = (yield* TestClock.currentTimeMillis) - skew * minute
      yield* Effect.exit(reporter.flushMetrics(batch)).pipe(
        Effect.provide(Logger.replace(Logger.defaultLogger, logger))
      )
      yield* TestClock.adjust("2 minutes")
    }
    return lines
  })

describe("clockCheck", () => {
  it.effect("warns once when the clock is ahead or behind, and reports once when it is right again", () =>
    Effect.gen(function*() {
      const right = "INFO The machine's clock agrees with the receiver's again"
      assert.deepStrictEqual(yield* linesOf([0, 20, 20, 0, 0]), [
        "WARN The machine's clock is 20m ahead of the receiver's: Datadog drops points more than 10 minutes ahead. Set the clock",
        right
      ])
      assert.deepStrictEqual(yield* linesOf([-120, -121, 1]), [
        "WARN The machine's clock is 2h behind the receiver's: Datadog drops points more than 1 hour old. Set the clock",
        right
      ])
    }))

  it.effect("logs nothing within the times that Datadog accepts", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* linesOf([0, 9, -59, 0]), [])
    }))

  it.effect("ignores a clock that is behind when timestamps is any", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* linesOf([-120], "any"), [])
      assert.lengthOf(yield* linesOf([20], "any"), 1)
    }))

  it.effect("compares with the date of a refusal too", () =>
    Effect.gen(function*() {
      assert.lengthOf(yield* linesOf([20], "window", 400), 1)
    }))
})
