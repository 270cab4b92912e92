import { describe } from "@effect/vitest"
import { ConfigProvider, Effect, Layer, Redacted } from "effect"
import { LocalIntake, ThreadStats } from "effect-threadstats"
import { layerIntake } from "../support/intake.js"
import { apiKey, sweepKeys } from "../support/keySweep.js"
import { checkHostileCalls } from "./calls.js"

const it = sweepKeys(apiKey)

/** A client that sends to an intake over a socket. */
const layer = Layer.unwrapEffect(
  Effect.map(LocalIntake.LocalIntake, ({ url }) =>
    ThreadStats.layerWith({
      apiUrl: url,
      apiKey: Redacted.make(apiKey),
      constantTags: ["suite:hostile"],
      periodicFlush: false,
      maxEvents: 10_000
    }))
).pipe(
  Layer.provideMerge(layerIntake({ apiKey: Redacted.make(apiKey) })),
  Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map())))
)

/** `HOSTILE_SEED=7` runs another seed. */
const seeds = process.env["HOSTILE_SEED"] === undefined ? [1, 2] : [Number(process.env["HOSTILE_SEED"])]

describe("ThreadStats calls", () => {
  for (const seed of seeds) {
    it.effect(`counts 6000 hostile calls, fails none, and delivers all valid data beside them (seed ${seed})`, () =>
      Effect.provide(checkHostileCalls({ seed, calls: 6000, batches: 2 }), layer))
  }
})
