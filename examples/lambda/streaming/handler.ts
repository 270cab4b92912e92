/**
 * A price list that leaves row by row, behind a function URL that streams. It ends the response first, and delivers then.
 *
 *     npx esbuild handler.ts --bundle --minify --platform=node --format=esm --target=node22 --outfile=dist/index.mjs
 *     cd dist && zip ../function.zip index.mjs
 *
 * The function's handler is `index.handler`, its URL's invoke mode `RESPONSE_STREAM`; its variables are `DD_API_KEY`,
 * `DD_SITE` and `PRICES`, such as `{"lamp":12.5}`.
 */
import type { APIGatewayProxyEventV2 } from "aws-lambda"
import * as Lambda from "effect-threadstats/Lambda"
import * as LambdaExtension from "effect-threadstats/LambdaExtension"
import * as LambdaStream from "effect-threadstats/LambdaStream"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

interface Price {
  readonly item: string
  readonly price: number
}

class NoPrice extends Data.TaggedError("NoPrice")<{ readonly item: string }> {
  override get message() {
    return `${this.item} has no price`
  }
}

/** Stands for a table that is read page by page. */
class Prices extends Context.Tag("prices/Prices")<Prices, Stream.Stream<Price, NoPrice>>() {}

const layerPrices = Layer.effect(
  Prices,
  Effect.map(
    Schema.Config(
      "PRICES",
      Schema.parseJson(Schema.Record({ key: Schema.String, value: Schema.NullOr(Schema.Number) }))
    ),
    (prices) =>
      Stream.mapEffect(
        Stream.fromIterable(Object.entries(prices)),
        ([item, price]) => price === null ? new NoPrice({ item }) : Effect.succeed({ item, price })
      )
  )
)

const rows = Stream.unwrap(Prices).pipe(
  Stream.tap(() => ThreadStats.increment("prices.rows")),
  Stream.map(({ item, price }) => `${item},${price.toFixed(2)}\n`),
  Stream.tapError(({ _tag }) => ThreadStats.increment("prices.failed", 1, { tags: { reason: _tag } }))
)

export const handler = Lambda.streamHandler({
  handler: ({ rawPath }: APIGatewayProxyEventV2) =>
    rawPath === "/prices.csv"
      ? LambdaStream.make(rows, { statusCode: 200, headers: { "content-type": "text/csv" } })
      : LambdaStream.make(Stream.empty, { statusCode: 404 }),
  layer: Layer.merge(layerPrices, ThreadStats.layer),
  flush: LambdaExtension.afterResponse
})
