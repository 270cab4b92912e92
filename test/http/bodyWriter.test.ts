import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { testEqualBodies, writeLarge } from "./bodyWriterBodies.js"

describe("bodyWriter", () => {
  testEqualBodies(30)

  for (const [outcome, limit] of [["one body", 3_200_000], ["several bodies", 10_000]] as const) {
    it.effect(`compresses while it writes when ${outcome} result${outcome === "one body" ? "s" : ""}`, () =>
      writeLarge(4_000, limit, Effect.void))
  }
})
