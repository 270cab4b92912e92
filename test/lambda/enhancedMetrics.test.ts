import { assert, describe, it } from "@effect/vitest"
import * as Lambda from "effect-threadstats/Lambda"
import * as Reporter from "effect-threadstats/Reporter"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { makeLambdaContext, withLambdaContext } from "./lambdaContext.js"
import { deliveredDistributions, layerOver } from "./observedClient.js"

describe("contextTags", () => {
  const major = process.versions.node.split(".")[0]
  const runtime = ["18", "20", "22", "24"].includes(major!) ? [`runtime:nodejs${major}.x`] : []
  const arn = "arn:aws:lambda:eu-west-1:123456789012:function:orders"
  const common = ["region:eu-west-1", "account_id:123456789012", "functionname:orders"]

  it.effect("is empty outside an invocation", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Lambda.contextTags, [])
    }))

  for (
    const [arnOfInvocation, overrides, tags] of [
      ["has neither alias nor version", {}, [...common, "resource:orders"]],
      ["has an alias", { invokedFunctionArn: `${arn}:live`, functionVersion: "7" }, [
        ...common,
        "resource:orders:live",
        "executedversion:7"
      ]],
      ["has a version", { invokedFunctionArn: `${arn}:7` }, [...common, "resource:orders:7"]],
      ["has the version $LATEST", { invokedFunctionArn: `${arn}:$LATEST` }, [...common, "resource:orders:LATEST"]],
      ["is not an ARN", { invokedFunctionArn: "local" }, []]
    ] as const
  ) {
    it.effect(`has the tags of Datadog's own library when the function's ARN ${arnOfInvocation}`, () =>
      Effect.gen(function*() {
        const expected = [...tags, "memorysize:128", ...runtime]
        assert.deepStrictEqual(yield* withLambdaContext(1000, overrides)(Lambda.contextTags), expected)
      }))
  }
})

describe("enhancedMetrics", () => {
  /** A handler, and the distributions that it records: name, value, and the tags about the environment's start. */
  const makeRecordedHandler = (clock: Clock.Clock, enhancedMetrics?: Lambda.EnhancedMetrics) => {
    const recorded: Array<string> = []
    const layer = Layer.effect(
      ThreadStats.ThreadStats,
      Effect.map(ThreadStats.ThreadStats, (client): ThreadStats.ThreadStats["Type"] => ({
        ...client,
        unsafeDistribution: (name, value, options) => {
          const tags = (options?.tags ?? []) as ReadonlyArray<string>
          const startTags = tags.filter((tag) => /^(cold_start|proactive)/.test(tag)).join(" ")
          recorded.push([name, value, startTags].join(" "))
          if (name === "user") assert.deepStrictEqual(tags, [])
          else assert.include(tags, "functionname:orders")
        }
      }))
    ).pipe(Layer.provide(layerOver(Reporter.layerNoop)), Layer.provideMerge(Layer.setClock(clock)))
    const handler = Lambda.makeHandler({
      handler: (event: () => Effect.Effect<unknown, string, ThreadStats.ThreadStats>) => event(),
      layer,
      enhancedMetrics
    })
    return { recorded, handler }
  }

  it("records invocations, errors and batch item failures, and adds no tags to the user's own metrics", async () => {
    const { handler, recorded } = makeRecordedHandler(Clock.make(), Lambda.enhancedMetrics)
    const context = await Effect.runPromise(makeLambdaContext(10_000))
    const recordOwnMetric = Effect.map(ThreadStats.ThreadStats, (client) => client.unsafeDistribution("user", 1))
    await handler(() => recordOwnMetric, context)
    await handler(() => Effect.fail("no"), context).catch(() => {})
    await handler(() => Effect.succeed({ statusCode: 503 }), context)
    await handler(() => Effect.succeed({ statusCode: 404 }), context)
    const partial = { batchItemFailures: [{ itemIdentifier: "a" }, { itemIdentifier: "b" }] }
    assert.strictEqual(await handler(() => Effect.succeed(partial), context), partial)
    assert.deepStrictEqual(recorded, [
      "aws.lambda.enhanced.invocations 1 cold_start:true",
      "user 1 ",
      ...[
        "invocations 1",
        "errors 1",
        "invocations 1",
        "errors 1",
        "invocations 1",
        "invocations 1",
        "batch_item_failures 2"
      ].map((line) => `aws.lambda.enhanced.${line} cold_start:false`)
    ])
  })

  it("tags the first invocation proactive_initialization when it comes 10 seconds after the environment", async () => {
    const clock = Clock.make()
    const later = { ...clock, unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis() + 10_001 }
    const { handler, recorded } = makeRecordedHandler(later, Lambda.enhancedMetrics)
    const context = await Effect.runPromise(makeLambdaContext(10_000))
    await handler(() => Effect.void, context)
    await handler(() => Effect.void, context)
    assert.deepStrictEqual(recorded, [
      "aws.lambda.enhanced.invocations 1 cold_start:false proactive_initialization:true",
      "aws.lambda.enhanced.invocations 1 cold_start:false"
    ])
  })

  it("records nothing when a handler does not have the option", async () => {
    const { handler, recorded } = makeRecordedHandler(Clock.make())
    await handler(() => Effect.void, await Effect.runPromise(makeLambdaContext(10_000)))
    assert.deepStrictEqual(recorded, [])
  })

  it.effect("keeps metrics named aws.lambda.enhanced.* out of the namespace", () =>
    Effect.gen(function*() {
      yield* ThreadStats.distribution("aws.lambda.enhanced.invocations", 1)
      yield* ThreadStats.distribution("aws.lambda", 1)
      yield* ThreadStats.flush()
      assert.deepStrictEqual(
        yield* deliveredDistributions,
        ["aws.lambda.enhanced.invocations = 1", "shop.aws.lambda = 1"]
      )
    }).pipe(Effect.provide(ThreadStats.layerTestWith({ namespace: "shop" }))))
})
