import { describe } from "@effect/vitest"
import { connectInProcess, simulations } from "./simulation.js"

describe("totals at a receiver of encoded DogStatsD lines", () => {
  simulations(2, connectInProcess)
})
