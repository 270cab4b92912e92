/**
 * A function for a queue: it reports the messages `bad` as failed, and fails as a whole for a message `poison`, and for `tagged` and
 * `bare` with values that are not errors.
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import type { Context, SQSBatchResponse, SQSEvent } from "aws-lambda"
import * as Lambda from "effect-threadstats/Lambda"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

class OutOfStock extends Error {
  override readonly name = "OutOfStock"
}

export const handler = Lambda.makeHandler({
  handler: (event: SQSEvent, context: Context) =>
    Effect.gen(function*() {
      const failed = event.Records.filter(({ body }) => body === "bad")
      yield* ThreadStats.increment("messages", event.Records.length)
      if (event.Records.some(({ body }) => body === "poison")) {
        yield* ThreadStats.increment("poisoned")
        return yield* Effect.fail(new OutOfStock(`no stock for ${context.functionName}`))
      }
      if (event.Records.some(({ body }) => body === "tagged")) {
        return yield* Effect.fail({ _tag: "NotFound", message: "no such order" })
      }
      if (event.Records.some(({ body }) => body === "bare")) {
        return yield* Effect.fail(Object.assign(Object.create(null) as object, { _tag: "Bare", balance: 10n }))
      }
      const result: SQSBatchResponse = {
        batchItemFailures: failed.map(({ messageId }) => ({ itemIdentifier: messageId }))
      }
      return result
    }),
  layer: Layer.provide(ThreadStats.layerHttpClient, FetchHttpClient.layer)
})
