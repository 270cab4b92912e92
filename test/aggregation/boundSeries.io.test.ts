import { describe } from "@effect/vitest"
import { boundSeriesAreEquivalent } from "./boundSeriesProperty.js"

describe("bound series in many runs", () => {
  boundSeriesAreEquivalent(100)
})
