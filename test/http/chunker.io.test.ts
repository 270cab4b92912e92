import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { LocalIntake } from "effect-threadstats"
import { seriesV2 } from "../../src/internal/http/endpoints.js"
import { layerInProcess } from "../support/intake.js"
import { sized, testLimits } from "./chunkerLimits.js"
import { gauge } from "./deliveryRun.js"
import { reporterToIntake } from "./fakeClient.js"

describe("chunker with the limits of series v2", () => {
  testLimits(seriesV2, 8)
})

describe("HttpReporter with the limits of series v2", () => {
  const { bytes: onWire, unpackedBytes } = seriesV2.limits

  it.effect("sends bodies at both limits, and refuses a series that exceeds them", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const plain = yield* reporterToIntake({ compress: false })
      const two = [sized(300_000, "🚀", 0), sized(onWire - 14 - 300_000, "ü", 1)]
      assert.deepInclude(yield* plain.flushMetrics(two), { items: 2, payloads: 1, bytes: onWire })
      const one = [sized(onWire - 13, "名", 2), sized(onWire - 12, "x", 3)]
      const error = yield* Effect.flip(plain.flushMetrics(one))
      assert.deepInclude(error, { reason: "PayloadTooLarge", refused: [one[1]!], undelivered: [] })
      assert.include(error.description, "512000 bytes")
      assert.deepInclude(error.receipt, { items: 1, payloads: 1, bytes: onWire })

      const packed = yield* reporterToIntake()
      const five = Array.from({ length: 5 }, (_, i) => sized(i < 4 ? 1_000_000 : unpackedBytes - 4_000_017, "名", i))
      assert.deepInclude(yield* packed.flushMetrics(five), { items: 5, payloads: 1 })
      assert.deepInclude(yield* packed.flushMetrics([...five, gauge("m")]), { items: 6, payloads: 2 })
      const requests = yield* intake.requests
      assert.deepStrictEqual(requests.map(({ status }) => status), Array(5).fill(202))
      assert.strictEqual((yield* intake.series).length, 14)
    }).pipe(Effect.provide(layerInProcess())))
})
