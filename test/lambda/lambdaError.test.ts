import { assert, describe, it } from "@effect/vitest"
import * as Lambda from "effect-threadstats/Lambda"
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import { emptyLambdaContext, rejectionOf } from "./lambdaContext.js"
import { layerNoting } from "./observedClient.js"
import { oddFailures } from "./oddFailures.js"

class OrderError extends Data.TaggedError("OrderError")<{ readonly orderId: string }> {
  override get message() {
    return `no order ${this.orderId}`
  }
}

describe("makeHandler rejection", () => {
  const rejectionOfProgram = (program: () => Effect.Effect<never, unknown>, log: Array<string> = []) =>
    rejectionOf(Lambda.makeHandler({ handler: program, layer: layerNoting(log) })(undefined, emptyLambdaContext))

  const failure = new OrderError({ orderId: "o-1" })
  const defect = new TypeError("defect of the program")
  const programs: ReadonlyArray<readonly [string, unknown, () => Effect.Effect<never, unknown>]> = [
    ["the failure itself when the program fails", failure, () => Effect.fail(failure)],
    [
      "the failure itself when the program fails in a span",
      failure,
      () => Effect.withSpan(Effect.fail(failure), "span")
    ],
    ["the defect itself when the program dies", defect, () => Effect.die(defect)],
    ["the error itself when the handler throws", defect, () => {
      throw defect
    }],
    ["the failure itself when the failure is a text", "no stock", () => Effect.fail("no stock")],
    [
      "the failure, not the defect, when a finalizer dies after the program fails",
      failure,
      () => Effect.ensuring(Effect.fail(failure), Effect.die(defect))
    ]
  ]
  for (const [rejection, error, program] of programs) {
    it(`rejects with ${rejection}, after the flush`, async () => {
      const log: Array<string> = []
      const stack = error instanceof Error ? error.stack : undefined
      const rejected = await rejectionOfProgram(program, log)
      assert.strictEqual(rejected, error)
      if (rejected instanceof Error) assert.strictEqual(rejected.stack, stack)
      assert.deepStrictEqual(log, ["flush all"])
    })
  }

  it("rejects with LambdaInterrupted when the program was interrupted and nothing else failed", async () => {
    const error = await rejectionOfProgram(() => Effect.interrupt)
    assert.instanceOf(error, Lambda.LambdaInterrupted)
    assert.strictEqual(error.name, "LambdaInterrupted")
    assert.strictEqual(error.message, "The invocation has no result: its program was interrupted")
  })

  it("rejects with an Error that names the variable when the program fails or dies with a ConfigError", async () => {
    const missing = Effect.withConfigProvider(Config.string("SHOP"), ConfigProvider.fromMap(new Map()))
    const failed = await rejectionOfProgram(() => Effect.flatMap(missing, Effect.die))
    const died = await rejectionOfProgram(() => Effect.flatMap(Effect.orDie(missing), Effect.die))
    for (const error of [failed, died]) {
      assert.instanceOf(error, Error)
      assert.strictEqual(error.name, "ConfigError")
      assert.include(error.message, "SHOP")
      assert.isTrue(ConfigError.isConfigError(error.cause))
    }
  })

  for (const [description, make, errorType, errorMessage] of oddFailures) {
    it(`rejects with type and message of the failure, which AWS's clients can print, when it is ${description}`, async () => {
      const failure = make()
      const error = await rejectionOfProgram(() => Effect.fail(failure))
      if (Object.is(error, failure)) {
        // The clients print an Error and a primitive value.
        assert.isTrue(error instanceof Error || typeof error !== "object" && typeof error !== "function")
        return
      }
      assert.instanceOf(error, Error)
      assert.strictEqual(error.name, errorType)
      if (errorMessage !== undefined) assert.strictEqual(error.message, errorMessage)
      assert.strictEqual(error.cause, failure)
      assert.strictEqual(error.stack, `${error.name}: ${error.message}`)
    })
  }
})
