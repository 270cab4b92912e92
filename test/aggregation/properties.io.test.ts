import { describe } from "@effect/vitest"
import {
  identitiesDiffer,
  memoryIsExact,
  olderValuesComeFirst,
  pointsNeverUndercut,
  tagOrderIsIrrelevant
} from "./properties.js"

describe("MetricsAggregator in many runs", () => {
  identitiesDiffer(1000)
  tagOrderIsIrrelevant(500)
  memoryIsExact(500)
  pointsNeverUndercut(1000)
})

describe("RollUp mergeOlder in many runs", () => {
  olderValuesComeFirst(50)
})
