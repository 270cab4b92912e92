import { describe } from "@effect/vitest"
import { deliveredEqualsRegistry, histogramsKeepCounts } from "./properties.js"

describe("EffectMetrics in many runs", () => {
  histogramsKeepCounts(100)
  deliveredEqualsRegistry(100)
})
