/** Options that are not valid: a call that is synchronous throws, an effect fails. None is ignored. */
import { assert, describe, it } from "@effect/vitest"
import * as Lambda from "effect-threadstats/Lambda"
import * as LambdaExtension from "effect-threadstats/LambdaExtension"
import * as LambdaRuntime from "effect-threadstats/LambdaRuntime"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

const invalidProgramOptions: ReadonlyArray<readonly [name: string, value: unknown]> = [
  ["flushInterval", "soon"],
  ["flushInterval", -1],
  ["flushInterval", "-5 seconds"],
  ["flushInterval", Number.NaN],
  ["flushInterval", null],
  ["flushInterval", -1n],
  ["flushInterval", 0],
  ["flushInterval", "0 seconds"],
  ["flushInterval", 0.5],
  ["deadlineMargin", "an hour"],
  ["deadlineMargin", -500],
  ["deadlineMargin", {}],
  ["flush", "after-response"],
  ["flush", "before"],
  ["flush", null],
  ["flush", {}],
  ["flush", true],
  ["flushIntervall", "1 second"],
  ["timeout", 1]
]

const invalidHandlerOptions: ReadonlyArray<readonly [name: string, value: unknown]> = [
  ...invalidProgramOptions,
  ["handler", undefined],
  ["handler", Effect.void],
  ["layer", undefined],
  ["layer", "layer"],
  ["enhancedMetrics", true],
  ["enhancedMetrics", {}],
  ["enhancedMetrics", null]
]

const title = (name: string, value: unknown) =>
  `${name} is ${typeof value === "object" ? JSON.stringify(value) : String(value)}`

describe("lambdaProgram options", () => {
  for (const [name, value] of invalidProgramOptions) {
    it(`throws when ${title(name, value)}`, () => {
      const options = { [name]: value } as Lambda.ProgramOptions
      const message = `Invalid option ${name}: `
      assert.throws(() => Lambda.lambdaProgram(options), TypeError, message)
      assert.throws(() => Lambda.lambdaProgram(Effect.void, options), TypeError, message)
      assert.throws(() => Lambda.lambdaProgram(() => Effect.void, options), TypeError, message)
    })
  }

  it("names the duration without periodic flushes when flushInterval is zero", () => {
    const expected = "expected at least 1 millisecond, or Duration.infinity (off in a variable) for the last flush only"
    assert.throws(
      () => Lambda.lambdaProgram({ flushInterval: 0 }),
      TypeError,
      `Invalid option flushInterval: ${expected}`
    )
  })

  it("throws when the options are not an object", () => {
    assert.throws(() => Lambda.lambdaProgram(Effect.void, "30 seconds" as never), TypeError, "Invalid option options: ")
    assert.throws(() => Lambda.lambdaProgram(Effect.void, null as never), TypeError, "Invalid option options: ")
  })

  it("accepts intervals from a millisecond to infinity, margins from zero to infinity, and the flush modes", () => {
    for (const duration of [1, 1.5, 1_000_000n, "1 second", [1, 0] as const, Duration.infinity, Infinity]) {
      Lambda.lambdaProgram({ flushInterval: duration as Duration.DurationInput, deadlineMargin: duration as never })
    }
    for (const deadlineMargin of [0, 0n, "0 millis", Duration.zero] as const) Lambda.lambdaProgram({ deadlineMargin })
    for (const flush of [undefined, "before-response", LambdaExtension.afterResponseWith()] as const) {
      Lambda.lambdaProgram({ flush, flushInterval: undefined, deadlineMargin: undefined })
    }
  })
})

describe("makeHandler and streamHandler options", () => {
  for (const [name, value] of invalidHandlerOptions) {
    it(`throw when ${title(name, value)}, and build nothing`, () => {
      let builds = 0
      const counting = Layer.effectDiscard(Effect.sync(() => builds++))
      const layer = Layer.merge(ThreadStats.layerTest, counting)
      const options = { handler: () => Effect.void, layer, [name]: value } as never
      assert.throws(() => Lambda.makeHandler(options), TypeError, `Invalid option ${name}: `)
      assert.throws(() => Lambda.streamHandler(options), TypeError, `Invalid option ${name}: `)
      assert.strictEqual(builds, 0)
    })
  }
})

describe("LambdaRuntime.run options", () => {
  const invalid: typeof invalidHandlerOptions = [
    ...invalidHandlerOptions.filter(([name]) => name !== "flush" && name !== "enhancedMetrics"),
    ["flush", "before-response"]
  ]
  for (const [name, value] of invalid) {
    it.effect(`fails with a ConfigError when ${title(name, value)}`, () =>
      Effect.gen(function*() {
        const options = { handler: () => Effect.void, layer: ThreadStats.layerTest, [name]: value } as never
        const error = yield* Effect.flip(LambdaRuntime.run(options)).pipe(
          Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9"]])))
        )
        assert.include(String(error), `Invalid data at ${name}`)
      }))
  }
})

describe("LambdaExtension options", () => {
  const invalid: ReadonlyArray<readonly [name: string, value: unknown]> = [
    ["name", ""],
    ["name", 7],
    ["name", "two words"],
    ["name", "line\nbreak"],
    ["name", "x".repeat(129)],
    ["blocking", "no"],
    ["blocking", null],
    ["Name", "extension"]
  ]
  for (const [name, value] of invalid) {
    it.effect(`fail with a ConfigError, or throw, when ${title(name, value).slice(0, 40)}`, () =>
      Effect.gen(function*() {
        const options = { [name]: value } as LambdaExtension.ExtensionOptions
        assert.throws(() => LambdaExtension.afterResponseWith(options), TypeError, `Invalid option ${name}: `)
        const error = yield* Effect.flip(Effect.scoped(LambdaExtension.make(options)))
        assert.include(String(error), `Invalid data at ${name}`)
        const fromLayer = yield* Effect.flip(Effect.scoped(Layer.build(LambdaExtension.layerWith(options))))
        assert.include(String(fromLayer), `Invalid data at ${name}`)
      }))
  }
})
