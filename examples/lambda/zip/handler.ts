/**
 * Handles orders from a queue, as a zip for AWS's Node.js runtime. It answers first and delivers then.
 *
 *     npx esbuild handler.ts --bundle --minify --platform=node --format=esm --target=node22 --outfile=dist/index.mjs
 *     cd dist && zip ../function.zip index.mjs
 *
 * The function's handler is `index.handler`, its variables are `DD_API_KEY`, `DD_SITE` and `STOCK`, such as `{"lamp":40}`.
 */
import type { SQSBatchResponse, SQSEvent } from "aws-lambda"
import * as Lambda from "effect-threadstats/Lambda"
import * as LambdaExtension from "effect-threadstats/LambdaExtension"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"

const Order = Schema.Struct({ orderId: Schema.String, sku: Schema.String, quantity: Schema.Int })
type Order = typeof Order.Type

class OutOfStock extends Data.TaggedError("OutOfStock")<{ readonly orderId: string; readonly sku: string }> {
  override get message() {
    return `there is not enough of ${this.sku} for order ${this.orderId}`
  }
}

/** Stands for a table: takes from the stock and returns the rest. */
class Stock extends Context.Tag("orders/Stock")<Stock, {
  readonly take: (order: Order) => Effect.Effect<number, OutOfStock>
}>() {}

const layerStock = Layer.effect(
  Stock,
  Effect.map(
    Schema.Config("STOCK", Schema.parseJson(Schema.Record({ key: Schema.String, value: Schema.Int }))),
    (initial) => {
      const levels = new Map(Object.entries(initial))
      return {
        take: ({ orderId, quantity, sku }) =>
          Effect.suspend(() => {
            const left = (levels.get(sku) ?? 0) - quantity
            if (left < 0) return new OutOfStock({ orderId, sku })
            levels.set(sku, left)
            return Effect.succeed(left)
          })
      }
    }
  )
)

const reserve = Effect.fnUntraced(function*(body: string) {
  const order = yield* Schema.decode(Schema.parseJson(Order))(body)
  const stock = yield* Stock
  const left = yield* stock.take(order).pipe(
    ThreadStats.timer("stock.duration", { tags: (exit) => ({ outcome: Exit.isSuccess(exit) ? "taken" : "refused" }) }),
    Effect.tapError(({ message }) => ThreadStats.event("Out of stock", message, { alertType: "warning" }))
  )
  yield* ThreadStats.gauge("stock.level", left, { tags: { sku: order.sku } })
  yield* ThreadStats.increment("reserved", order.quantity, { tags: { sku: order.sku } })
})

export const handler = Lambda.makeHandler({
  handler: ({ Records }: SQSEvent) =>
    Effect.partition(Records, ({ body, messageId }) =>
      reserve(body).pipe(
        Effect.tapError(({ _tag }) => ThreadStats.increment("failed", 1, { tags: { reason: _tag } })),
        Effect.mapError(() => ({ itemIdentifier: messageId }))
      )).pipe(
        Effect.map(([batchItemFailures]): SQSBatchResponse => ({ batchItemFailures }))
      ),
  layer: Layer.merge(
    layerStock,
    ThreadStats.layerWith({ namespace: "orders", service: "orders", flushTimeout: "2 seconds" })
  ),
  flush: LambdaExtension.afterResponse,
  enhancedMetrics: Lambda.enhancedMetrics
})

await handler.ready
