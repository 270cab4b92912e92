import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import { describe } from "@effect/vitest"
import * as HttpReporter from "effect-threadstats/HttpReporter"
import { LocalIntake } from "effect-threadstats/LocalIntake"
import * as Reporter from "effect-threadstats/Reporter"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { layerIntake } from "./support/intake.js"
import { reporterContract } from "./support/reporterContract.js"

/** An address without a server. */
const unreachableUrl = "http://127.0.0.1:1"

describe.each([
  ["NodeHttpClient", NodeHttpClient.layer],
  ["NodeHttpClient over undici", NodeHttpClient.layerUndici],
  ["FetchHttpClient", FetchHttpClient.layer]
])("HttpReporter over %s", (_, layerClient) => {
  const arrived = Effect.gen(function*() {
    const intake = yield* LocalIntake
    return {
      metrics: yield* intake.series,
      distributions: yield* intake.distributions,
      events: yield* intake.events
    }
  })

  const reporterTo = (apiUrl: string) =>
    HttpReporter.make({
      apiUrl,
      apiKey: Option.some(Redacted.make("key")),
      compress: true,
      delivery: "at-least-once",
      disabled: false,
      requestTimeout: Duration.seconds(3)
    })

  const layerReporter = Layer.effect(Reporter.Reporter, Effect.flatMap(LocalIntake, ({ url }) => reporterTo(url))).pipe(
    Layer.provide(layerClient)
  )

  const dead = Layer.effect(Reporter.Reporter, reporterTo(unreachableUrl)).pipe(Layer.provide(layerClient), Layer.orDie)

  reporterContract(Layer.provideMerge(layerReporter, layerIntake()), { arrived, dead })
})
