/**
 * Computes the price of a parcel, as a container image with the library's own runtime. `Dockerfile` builds it.
 *
 * Its variables are `DD_API_KEY`, `DD_SITE` and `RATES`, the price of a kilogram by country, such as `{"DE":4.5}`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Lambda from "effect-threadstats/Lambda"
import * as LambdaRuntime from "effect-threadstats/LambdaRuntime"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"

const Parcel = Schema.Struct({ country: Schema.String, kilograms: Schema.Positive })

class NoRate extends Data.TaggedError("NoRate")<{ readonly country: string }> {
  override get message() {
    return `there is no rate for ${this.country}`
  }
}

class Rates extends Context.Tag("quotes/Rates")<Rates, {
  readonly of: (country: string) => Effect.Effect<number, NoRate>
}>() {}

const layerRates = Layer.effect(
  Rates,
  Effect.map(
    Schema.Config("RATES", Schema.parseJson(Schema.Record({ key: Schema.String, value: Schema.Number }))),
    (rates) => ({
      of: (country) => Object.hasOwn(rates, country) ? Effect.succeed(rates[country]!) : new NoRate({ country })
    })
  )
)

const quote = Effect.fnUntraced(function*(event: unknown) {
  const { country, kilograms } = yield* Schema.decodeUnknown(Parcel)(event)
  const rates = yield* Rates
  const rate = yield* rates.of(country)
  const price = Math.round(rate * kilograms * 100) / 100
  yield* ThreadStats.distribution("quotes.price", price, { tags: { country } })
  return { price }
})

const handler = (event: unknown) =>
  quote(event).pipe(
    ThreadStats.timer("quotes.duration"),
    Effect.tap(() => ThreadStats.increment("quotes.made")),
    Effect.tapError(({ _tag }) =>
      Effect.flatMap(Lambda.contextTags, (tags) =>
        ThreadStats.increment("quotes.refused", 1, { tags: [`reason:${_tag}`, ...tags] }))
    )
  )

NodeRuntime.runMain(LambdaRuntime.run({ handler, layer: Layer.merge(layerRates, ThreadStats.layer) }))
