/**
 * An orders service as one Lambda function: orders come from a queue or over HTTP, stock counts from an event bus.
 * `npm run demo` bundles it, invokes it, and shows the metrics that arrive at Datadog.
 */
import type {
  APIGatewayProxyEventV2,
  APIGatewayProxyStructuredResultV2,
  EventBridgeEvent,
  SQSBatchResponse,
  SQSEvent,
  SQSRecord
} from "aws-lambda"
import * as Lambda from "effect-threadstats/Lambda"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Arr from "effect/Array"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

const Order = Schema.Struct({
  orderId: Schema.String,
  customerId: Schema.String,
  currency: Schema.String,
  total: Schema.Number,
  card: Schema.String,
  items: Schema.Array(Schema.Struct({ sku: Schema.String, quantity: Schema.Int }))
})
type Order = typeof Order.Type

const StockCount = Schema.Struct({
  warehouse: Schema.String,
  levels: Schema.Record({ key: Schema.String, value: Schema.Int })
})

class PaymentDeclined extends Data.TaggedError("PaymentDeclined")<{ readonly orderId: string }> {
  override get message() {
    return `the payment of order ${this.orderId} was declined`
  }
}

class UnreadableStockCount extends Data.TaggedError("UnreadableStockCount")<{ readonly eventId: string }> {
  override get message() {
    return `event ${this.eventId} holds no stock count`
  }
}

/** Stands for the payment provider, which is slow and declines the test card 4000 0000 0000 0002. */
const charge = (order: Order) =>
  Effect.sleep("5 millis").pipe(
    Effect.zipRight(order.card.endsWith("0002") ? new PaymentDeclined(order) : Effect.void),
    ThreadStats.timer("payments.duration", {
      tags: (exit) => ({ outcome: Exit.isSuccess(exit) ? "paid" : "declined" })
    }),
    Effect.tapError((declined) =>
      ThreadStats.event("Payment declined", declined.message, {
        alertType: "error",
        aggregationKey: "payments",
        tags: { order: order.orderId }
      })
    )
  )

const place = (order: Order, source: "queue" | "http") =>
  Effect.gen(function*() {
    yield* ThreadStats.increment("orders.received", 1, { tags: { source } })
    yield* ThreadStats.histogram("orders.lines", order.items.length)
    yield* ThreadStats.set("orders.customers", order.customerId)
    yield* Effect.forEach(
      order.items,
      ({ quantity, sku }) => ThreadStats.increment("orders.units", quantity, { tags: { sku } }),
      { discard: true }
    )
    yield* charge(order)
    yield* ThreadStats.distribution("orders.value", order.total, { tags: { currency: order.currency } })
  })

const decodeOrder = Schema.decodeUnknown(Schema.parseJson(Order))

const fromQueue = Effect.fnUntraced(function*(records: ReadonlyArray<SQSRecord>) {
  const failures = yield* Effect.forEach(records, (record) =>
    decodeOrder(record.body).pipe(
      Effect.flatMap((order) => place(order, "queue")),
      Effect.as(Option.none<string>()),
      Effect.catchAll(() => Effect.succeedSome(record.messageId))
    ), { concurrency: "unbounded" })
  return {
    batchItemFailures: Arr.getSomes(failures).map((itemIdentifier) => ({ itemIdentifier }))
  } satisfies SQSBatchResponse
})

const fromHttp = (event: APIGatewayProxyEventV2) =>
  decodeOrder(event.body).pipe(
    Effect.flatMap((order) => place(order, "http")),
    Effect.as(201),
    Effect.catchTags({
      ParseError: () => Effect.succeed(400),
      PaymentDeclined: () => Effect.succeed(402)
    }),
    // A tag with the path would make a series of each path.
    Effect.tap((status) => ThreadStats.increment("http.responses", 1, { tags: { route: "/orders", status } })),
    Effect.map((statusCode): APIGatewayProxyStructuredResultV2 => ({ statusCode }))
  )

const fromBus = (event: EventBridgeEvent<string, unknown>) =>
  ThreadStats.increment("stock.counts").pipe(
    Effect.zipRight(Schema.decodeUnknown(StockCount)(event.detail)),
    Effect.mapError(() => new UnreadableStockCount({ eventId: event.id })),
    Effect.tap(({ levels, warehouse }) =>
      Effect.forEach(
        Object.entries(levels),
        ([sku, level]) => ThreadStats.gauge("stock.level", level, { tags: { warehouse, sku } }),
        { discard: true }
      )
    ),
    Effect.asVoid
  )

type Event = SQSEvent | APIGatewayProxyEventV2 | EventBridgeEvent<string, unknown>

const respond = (
  event: Event
): Effect.Effect<
  SQSBatchResponse | APIGatewayProxyStructuredResultV2 | void,
  UnreadableStockCount,
  ThreadStats.ThreadStats
> => "Records" in event ? fromQueue(event.Records) : "routeKey" in event ? fromHttp(event) : fromBus(event)

export const handler = Lambda.makeHandler({
  handler: respond,
  layer: ThreadStats.layer
})
