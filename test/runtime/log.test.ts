import { assert, describe, it } from "@effect/vitest"
import * as Reporter from "effect-threadstats/Reporter"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { toPrintable, toPrintableLines } from "../../src/internal/model/printableText.js"
import { logFrom } from "../../src/internal/runtime/log.js"
import { layerEventsAggregator, layerMetricsAggregator, layerReporterWith } from "../support/layers.js"
import * as scripted from "../support/scripted.js"

const hostile = "a\nlevel=INFO forged\r\x1b[31mred\x9b1m\u202etxt.exe\u2066\u2028z"
const escaped = "a\\nlevel=INFO forged\\r\\u001b[31mred\\u009b1m\\u202etxt.exe\\u2066\\u2028z"

const unprintable = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u

describe("toPrintable", () => {
  it("escapes control and bidirectional characters, and changes no other text", () => {
    assert.strictEqual(toPrintable(hostile), escaped)
    FastCheck.assert(FastCheck.property(FastCheck.fullUnicodeString(), (text) => {
      assert.notMatch(toPrintable(text), unprintable)
      if (!unprintable.test(text)) assert.strictEqual(toPrintable(text), text)
    }))
  })

  it("keeps the meaning of JSON", () => {
    FastCheck.assert(FastCheck.property(FastCheck.fullUnicodeString(), (text) => {
      assert.strictEqual(JSON.parse(toPrintable(JSON.stringify(text))), text)
    }))
    assert.strictEqual(JSON.parse(toPrintable(JSON.stringify(hostile))), hostile)
  })
})

describe("toPrintableLines", () => {
  it("keeps line feeds and tabs", () => {
    assert.strictEqual(toPrintableLines("a\n\tat\x1b[2J\r"), "a\n\tat\\u001b[2J\\r")
  })
})

/** Runs the effect, and returns its log as the default formats of Effect print it. */
const logged = <E>(effect: Effect.Effect<unknown, E>) => {
  const lines: Array<string> = []
  const logger = Logger.make<unknown, void>((options) => {
    lines.push(Logger.stringLogger.log(options), String(Cause.pretty(options.cause)))
  })
  return Effect.as(Effect.provide(effect, Logger.replace(Logger.defaultLogger, logger)), lines)
}

describe("logFrom", () => {
  it.effect("escapes control characters in messages and causes", () =>
    Effect.gen(function*() {
      const lines = yield* logged(logFrom("Test")(Effect.logWarning(hostile, Cause.die(new Error(hostile)))))
      assert.include(lines[0], `message="${escaped}"`)
      assert.include(lines[1], "a\nlevel=INFO forged\\r\\u001b[31mred\\u009b1m\\u202etxt.exe\\u2066\\u2028z")
      for (const line of lines) assert.notMatch(line.replaceAll("\n", ""), unprintable)
    }))

  it.effect("passes a cause without control characters on unchanged", () =>
    Effect.gen(function*() {
      const cause = Cause.die(new Error("plain"))
      const causes: Array<unknown> = []
      const logger = Logger.make((options) => void causes.push(options.cause))
      yield* Effect.provide(
        logFrom("Test")(Effect.logWarning("text", cause)),
        Logger.replace(Logger.defaultLogger, logger)
      )
      assert.strictEqual(causes[0], cause)
    }))
})

describe("ThreadStats warnings", () => {
  it.effect("write a name, a conflict and a receiver's answer in one line without control characters", () => {
    const reporter = scripted.make()
    reporter.answer = ({ batch }) =>
      Effect.mapError(
        scripted.fail("Rejected", { refused: batch }),
        (error) => Object.assign(error, { description: hostile })
      )
    return Effect.gen(function*() {
      const lines = yield* logged(
        Effect.gen(function*() {
          yield* ThreadStats.gauge(hostile, Number.NaN)
          yield* ThreadStats.gauge(hostile, 1)
          yield* ThreadStats.increment(hostile, 1)
          const { errors } = yield* ThreadStats.flush()
          assert.include(errors[0]!.message, escaped)
        }).pipe(Effect.provide(scripted.client(reporter, { namespace: "n" })))
      )
      const messages = lines.filter((line) => line !== "" && line.includes("message="))
      assert.isAtLeast(messages.length, 3)
      assert.isAtLeast(messages.filter((line) => line.includes(escaped)).length, 3)
      for (const line of messages) assert.notMatch(line, unprintable)
    })
  })
})

describe("layerConsole", () => {
  it.effect("prints no control or bidirectional characters", () =>
    Effect.gen(function*() {
      const lines: Array<unknown> = []
      const log = console.log
      console.log = (line) => void lines.push(line)
      const name = `n${hostile}`
      yield* Effect.gen(function*() {
        yield* ThreadStats.gauge(name, 1, { tags: [hostile] })
        yield* ThreadStats.flush()
      }).pipe(
        Effect.provide(Layer.provide(layerReporterWith({}), [
          layerMetricsAggregator,
          layerEventsAggregator,
          Reporter.layerConsole
        ])),
        Effect.ensuring(Effect.sync(() => console.log = log))
      )
      assert.lengthOf(lines, 1)
      assert.notMatch(String(lines[0]), unprintable)
      assert.strictEqual(JSON.parse(String(lines[0])).metric, name)
    }))
})
