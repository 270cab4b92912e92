/** The form in which the Runtime API takes an error; `lambdaError.test.ts` has the errors with which a handler rejects. */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as ConfigError from "effect/ConfigError"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as lambdaError from "../../src/internal/lambda/lambdaError.js"

class OutOfStock extends Data.TaggedError("OutOfStock")<{ readonly item: string }> {
  override get message(): string {
    return `no ${this.item} left`
  }
}

const reportOf = (effect: Effect.Effect<unknown, unknown>) =>
  Effect.map(Effect.exit(effect), (exit) => {
    const cause = Exit.isFailure(exit) ? exit.cause : assert.fail("the effect succeeded")
    return lambdaError.toReport(lambdaError.toRejection(cause))
  })

describe("lambdaError.toRejection and toReport", () => {
  const tagged = new OutOfStock({ item: "tea" })
  const cases: ReadonlyArray<readonly [string, Effect.Effect<unknown, unknown>, string, string]> = [
    ["a tagged error", tagged, "OutOfStock", "no tea left"],
    ["a tagged error inside a span", Effect.withSpan(tagged, "span"), "OutOfStock", "no tea left"],
    ["an Error", Effect.failSync((): unknown => new RangeError("too much")), "RangeError", "too much"],
    ["a defect", Effect.die(new TypeError("a bug")), "TypeError", "a bug"],
    ["a string", Effect.fail("no stock"), "string", "no stock"],
    [
      "a tagged value that is not an Error",
      Effect.fail({ _tag: "OutOfStock", item: "tea" }),
      "OutOfStock",
      "{\"_tag\":\"OutOfStock\",\"item\":\"tea\"}"
    ],
    [
      "a tagged value with a bigint",
      Effect.fail({ _tag: "InsufficientFunds", balance: 10n }),
      "InsufficientFunds",
      "{\"_tag\":\"InsufficientFunds\",\"balance\":\"10n\"}"
    ],
    [
      "a tagged value that contains itself, and another value twice",
      Effect.sync(() => {
        const item = { name: "tea" }
        const failure = { _tag: "OutOfStock", items: [item, item], self: {} }
        return Object.assign(failure, { self: failure })
      }).pipe(Effect.flatMap(Effect.fail)),
      "OutOfStock",
      "{\"_tag\":\"OutOfStock\",\"items\":[{\"name\":\"tea\"},{\"name\":\"tea\"}]}"
    ],
    ["undefined", Effect.fail(undefined), "undefined", "undefined"],
    [
      "an interruption",
      Effect.interrupt,
      "LambdaInterrupted",
      "The invocation has no result: its program was interrupted"
    ],
    [
      "a ConfigError",
      Effect.fail(ConfigError.MissingData(["SHOP"], "not set")),
      "ConfigError",
      "(Missing data at SHOP: \"not set\")"
    ]
  ]
  for (const [failure, effect, errorType, errorMessage] of cases) {
    it.effect(`reports type and message of ${failure}`, () =>
      Effect.map(reportOf(effect), (report) => {
        assert.deepInclude(report, { errorType, errorMessage })
      }))
  }

  it.effect("reports the failure of a cause that has a defect as well", () =>
    Effect.map(
      reportOf(Effect.failCause(Cause.sequential(Cause.die(new Error("a bug")), Cause.fail("no stock")))),
      (report) => assert.strictEqual(report.errorMessage, "no stock")
    ))
})

describe("lambdaError.report", () => {
  it("reports the lines of the stack", () => {
    const { stackTrace } = lambdaError.toReport(new Error("a bug"))
    assert.strictEqual(stackTrace[0], "Error: a bug")
    assert.match(stackTrace[1]!, /^ {4}at .*lambdaErrorReport\.test/)
  })

  it("shortens a message and a stack of megabytes", () => {
    const report = lambdaError.toReport(new Error("x".repeat(3_000_000)))
    assert.isBelow(JSON.stringify(report).length, 250_000)
  })

  const { proxy: revoked, revoke } = Proxy.revocable({}, {})
  revoke()
  const throwing = () => assert.fail("unreadable")
  // Effect itself dies at a failure whose trap `has` throws.
  for (
    const [description, unreadable] of [
      ["has properties that throw", new Proxy({}, { get: throwing })],
      [
        "has traps that throw",
        new Proxy({}, { get: throwing, has: throwing, getPrototypeOf: throwing, ownKeys: throwing })
      ],
      ["is a revoked proxy", revoked]
    ] as const
  ) {
    it(`reports an error that ${description}`, () => {
      const report = {
        errorType: "object",
        errorMessage: "The error could not be described: one of its properties throws",
        stackTrace: []
      }
      assert.deepStrictEqual(lambdaError.toReport(unreadable), report)
      const error = lambdaError.toRejection(Cause.fail(unreadable))
      assert.instanceOf(error, Error)
      assert.strictEqual(error.message, report.errorMessage)
    })
  }
})

describe("lambdaError.toHeaderValue", () => {
  for (
    const [content, errorType, value] of [
      ["is printable ASCII", "Runtime.MarshalError", "Runtime.MarshalError"],
      ["has line breaks and other characters", "Bad\r\nNäme: 1", "Bad__N_me:_1"],
      ["is empty", "", "Error"],
      ["is longer than 200 characters", "x".repeat(300), "x".repeat(200)]
    ] as const
  ) {
    it(`returns a valid header value when the error's type ${content}`, () => {
      assert.strictEqual(lambdaError.toHeaderValue(errorType), value)
    })
  }
})
