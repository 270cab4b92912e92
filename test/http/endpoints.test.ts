import { assert, describe, it } from "@effect/vitest"
import { distributionPoints, events, series, seriesV2 } from "../../src/internal/http/endpoints.js"

describe("endpoints", () => {
  it("have the limits that Datadog documents", () => {
    assert.deepStrictEqual(seriesV2.limits, { bytes: 512_000, unpackedBytes: 5_242_880 })
    for (const { limits } of [series, distributionPoints, events]) {
      assert.deepStrictEqual(limits, { bytes: 3_200_000, unpackedBytes: 62_914_560 })
    }
  })

  it("compress series and distributions with deflate by default, and events not at all", () => {
    assert.deepStrictEqual(
      [series, seriesV2, distributionPoints, events].map(({ compression }) => compression),
      ["deflate", "deflate", "deflate", "identity"]
    )
  })
})
