import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { RollUp } from "effect-threadstats"
import { ThreadStats } from "effect-threadstats"
import * as Testing from "effect-threadstats/testing"
import { kinds, kindsOf } from "../../src/internal/model/metricKinds.js"

type Operation = (name: string, value: never) => Effect.Effect<void, never, ThreadStats.ThreadStats>

/** The types require a function of the module for each kind. */
const accessors: { readonly [K in Exclude<RollUp.Kind, "counter">]: Operation } & { readonly increment: Operation } =
  ThreadStats

const operationOf = (kind: RollUp.Kind): "increment" | Exclude<RollUp.Kind, "counter"> =>
  kind === "counter" ? "increment" : kind

describe("metricKinds", () => {
  it.effect("has the kind of every accessor and of every operation of the client", () =>
    Effect.gen(function*() {
      const client = yield* ThreadStats.ThreadStats
      for (const kind of kinds) {
        yield* accessors[operationOf(kind)](kind, 1 as never)
        yield* client[operationOf(kind)](kind, 2 as never)
      }
      const { metrics } = yield* Testing.recording
      assert.sameDeepMembers(
        metrics.map(({ kind, name, values }) => [kind, name, ...values]),
        [
          ["counter", "counter", 3],
          ["gauge", "gauge", 2],
          ["set", "set", 1, 2],
          ["histogram", "histogram", 1, 2],
          ["timing", "timing", 1, 2],
          ["distribution", "distribution", 1, 2]
        ]
      )
    }).pipe(Effect.provide(Testing.layer)))

  it("has every kind once when the kinds are grouped by accumulation", () => {
    const grouped = (["sum", "last", "unique", "summary", "values"] as const).flatMap((one) => kindsOf(one))
    assert.deepStrictEqual(grouped.toSorted(), kinds.toSorted())
    assert.deepStrictEqual(kindsOf("summary", "values"), ["histogram", "timing", "distribution"])
  })
})
