/** Tests of `LambdaRuntime` that need no server; `LambdaRuntime.io.test.ts` has those over a loopback socket. */
import { assert, describe, it } from "@effect/vitest"
import * as LambdaRuntime from "effect-threadstats/LambdaRuntime"
import * as LambdaStream from "effect-threadstats/LambdaStream"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import type * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"

class OutOfStock extends Data.TaggedError("OutOfStock")<{ readonly item: string }> {}

describe("LambdaRuntime settings", () => {
  const address = "127.0.0.1:9"
  const outside = /AWS_LAMBDA_RUNTIME_API: "AWS Lambda sets it\. Run this program on Lambda or in its emulator"/

  for (
    const [condition, variables, concurrency, message] of [
      ["AWS_LAMBDA_RUNTIME_API is absent", {}, undefined, outside],
      ["AWS_LAMBDA_RUNTIME_API is empty", { AWS_LAMBDA_RUNTIME_API: "" }, undefined, outside],
      [
        "AWS_LAMBDA_RUNTIME_API is not an address",
        { AWS_LAMBDA_RUNTIME_API: "not an address" },
        undefined,
        /AWS_LAMBDA_RUNTIME_API.*host and port/
      ],
      ["the option concurrency is 0", { AWS_LAMBDA_RUNTIME_API: address }, 0, /concurrency/],
      ["the option concurrency is 1.5", { AWS_LAMBDA_RUNTIME_API: address }, 1.5, /concurrency/],
      [
        "AWS_LAMBDA_MAX_CONCURRENCY is not a number",
        { AWS_LAMBDA_RUNTIME_API: address, AWS_LAMBDA_MAX_CONCURRENCY: "many" },
        undefined,
        /AWS_LAMBDA_MAX_CONCURRENCY/
      ]
    ] as const
  ) {
    it.effect(`fails with a ConfigError, and builds no layer, when ${condition}`, () =>
      Effect.gen(function*() {
        let built = 0
        const error = yield* LambdaRuntime.run({
          handler: () => Effect.void,
          layer: Layer.merge(ThreadStats.layerTest, Layer.effectDiscard(Effect.sync(() => built++))),
          concurrency
        }).pipe(
          Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables)))),
          Effect.flip
        )
        assert.match(String(error), message)
        assert.notStrictEqual(error._tag, "LambdaRuntimeError")
        assert.strictEqual(built, 0)
      }))
  }
})

describe("LambdaRuntimeError", () => {
  it("names the operation and the description in its message", () => {
    const error = new LambdaRuntime.LambdaRuntimeError({
      operation: "next",
      reason: "Refused",
      status: 500,
      description: "status 500: Container.Error"
    })
    assert.strictEqual(
      error.message,
      "The request \"next\" to the Lambda Runtime API failed: status 500: Container.Error"
    )
  })
})

describe("LambdaRuntime.run types", () => {
  class Shop extends Context.Tag("test/Shop")<Shop, string>() {}
  const layer = ThreadStats.layerTest

  it("requires a layer with every service that the handler or its stream needs", () => {
    const shop: Effect.Effect<string, never, Shop> = Shop
    const programs = [
      // @ts-expect-error an effect
      LambdaRuntime.run({ handler: () => shop, layer }),
      // @ts-expect-error a stream
      LambdaRuntime.run({ handler: () => Stream.fromEffect(shop), layer }),
      // @ts-expect-error a stream with metadata
      LambdaRuntime.run({ handler: () => LambdaStream.make(Stream.fromEffect(shop), {}), layer }),
      // @ts-expect-error a number is neither text nor bytes
      LambdaRuntime.run({ handler: () => Stream.make(1), layer }),
      LambdaRuntime.run({
        handler: () => Effect.zipRight(Effect.scope, shop),
        layer: Layer.merge(layer, Layer.succeed(Shop, ""))
      })
    ]
    const error: Effect.Effect<never, LambdaRuntime.LambdaRuntimeError | ConfigError.ConfigError | OutOfStock> =
      LambdaRuntime.run({
        handler: () => Effect.fail("an error of the handler is not an error of the runtime"),
        layer: Layer.merge(layer, Layer.fail(new OutOfStock({ item: "tea" })))
      })
    assert.isTrue([...programs, error].every(Effect.isEffect))
  })
})
