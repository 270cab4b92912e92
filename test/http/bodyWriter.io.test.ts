import { describe, it } from "@effect/vitest"
import { nextTurn } from "../support/wait.js"
import { testEqualBodies, writeLarge } from "./bodyWriterBodies.js"

describe("bodyWriter", () => {
  testEqualBodies(300)

  for (const [outcome, limit] of [["one body", 3_200_000], ["several bodies", 20_000]] as const) {
    // The turns give the compressing thread time to return memory, which the writer fills again.
    it.effect(`fills memory again while it compresses ${outcome}`, () => writeLarge(12_000, limit, nextTurn))
  }
})
