import { describe } from "@effect/vitest"
import { ConfigProvider, Effect, Layer, Redacted } from "effect"
import { ThreadStats } from "effect-threadstats"
import { layerInProcess } from "../support/intake.js"
import { apiKey, sweepKeys } from "../support/keySweep.js"
import { checkHostileCalls } from "./calls.js"

const it = sweepKeys(apiKey)

const layer = ThreadStats.layerHttpClientWith({
  apiUrl: "http://127.0.0.1:8080",
  apiKey: Redacted.make(apiKey),
  constantTags: ["suite:hostile"],
  periodicFlush: false,
  maxEvents: 10_000
}).pipe(
  Layer.provideMerge(layerInProcess({ apiKey: Redacted.make(apiKey) })),
  Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map())))
)

describe("ThreadStats calls", () => {
  for (const seed of [1, 4]) {
    it.effect(`counts every hostile call, fails none, and delivers all valid data beside them (seed ${seed})`, () =>
      Effect.provide(checkHostileCalls({ seed, calls: 500, batches: 2 }), layer))
  }
})
