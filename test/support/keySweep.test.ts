import { assert, describe, it } from "@effect/vitest"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { vi } from "vitest"
import { apiKey, assertHidden, sweepKeys, watchOutput } from "./keySweep.js"
import { formsOf } from "./secrets.js"

describe("assertHidden", () => {
  it("fails on a key in any encoding, without repeating it", () => {
    for (const form of formsOf(apiKey)) {
      let message: string | undefined
      try {
        assertHidden(["fine", `a ${form} b`], [apiKey])
      } catch (error) {
        message = (error as Error).message
      }
      assert.include(message, "<the key>")
      assert.notInclude(message, form)
    }
  })

  it("passes on texts without a key", () => {
    assertHidden(["fine"], [apiKey])
  })
})

/** Runs a program under a watch, with the terminal muted, and returns the output that the watch collected. */
const outputOf = (program: Effect.Effect<unknown, unknown>) =>
  Effect.gen(function*() {
    const muted = [
      vi.spyOn(process.stdout, "write").mockReturnValue(true),
      vi.spyOn(process.stderr, "write").mockReturnValue(true),
      ...(["log", "error"] as const).map((method) => vi.spyOn(console, method).mockImplementation(() => {}))
    ]
    const watch = watchOutput()
    yield* Effect.exit(watch.observe(program))
    watch.stop()
    for (const spy of muted) spy.mockRestore()
    return watch.texts()
  })

describe("watchOutput", () => {
  const silent = Logger.replace(Logger.defaultLogger, Logger.none)
  const leaks: Record<string, Effect.Effect<unknown, unknown>> = {
    "a log": Effect.log(`with ${apiKey}`),
    "a log when the default logger is replaced": Effect.provide(Effect.log(`with ${apiKey}`), silent),
    "an annotation of a log": Effect.provide(Effect.annotateLogs(Effect.log("annotated"), { apiKey }), silent),
    "the cause of a log": Effect.provide(Effect.logError("failed", new Error(apiKey)), silent),
    "Console.log": Console.log(apiKey),
    "console.log": Effect.sync(() => console.log("with", { nested: { apiKey } })),
    "console.error": Effect.sync(() => console.error(new Error(apiKey))),
    "standard output": Effect.sync(() => process.stdout.write(`with ${apiKey}\n`)),
    "standard error, as bytes": Effect.sync(() => process.stderr.write(Buffer.from(apiKey))),
    "an attribute of a span": Effect.withSpan(Effect.annotateCurrentSpan("key", apiKey), "span"),
    "the exit of a span": Effect.withSpan(Effect.fail({ cause: new Error(apiKey) }), "span"),
    "the name of a span": Effect.withSpan(Effect.void, `span ${apiKey}`)
  }
  for (const [place, program] of Object.entries(leaks)) {
    it.effect(`collects a key in ${place}`, () =>
      Effect.gen(function*() {
        const texts = yield* outputOf(program)
        assert.throws(() => assertHidden(texts, [apiKey]), "<the key>")
      }))
  }

  it.effect("collects nothing of a program without output, and restores the console", () =>
    Effect.gen(function*() {
      const log = console.log
      const texts = yield* outputOf(Effect.withSpan(Effect.void, "span"))
      assertHidden(texts, [apiKey])
      assert.strictEqual(console.log, log)
    }))
})

describe("sweepKeys", () => {
  const swept = sweepKeys(apiKey)

  swept("runs a test that prints no key", () => {
    assert.isTrue(vi.isMockFunction(console.log))
  })

  swept.effect("runs an Effect test with a logger and a tracer that collect its output", () =>
    Effect.gen(function*() {
      const span = yield* Effect.withSpan(Effect.currentSpan, "span")
      assert.strictEqual(span.name, "span")
      assert.isTrue(vi.isMockFunction(process.stdout.write))
    }))
})
