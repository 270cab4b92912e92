import { assert, describe, it } from "@effect/vitest"
import type { DistributionSeries, Series, SeriesV2 } from "effect-threadstats/Series"
import {
  DistributionPayload,
  DistributionSeriesFromWire,
  SeriesFromWire,
  SeriesPayload,
  SeriesV2FromWire,
  SeriesV2Payload
} from "effect-threadstats/Series"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import wire from "./fixtures/wire.json" with { type: "json" }
import { distributions, metrics } from "./support/reporterContract.js"

const accepts = <A, I>(schema: Schema.Schema<A, I>, input: unknown) =>
  Either.isRight(Schema.decodeUnknownEither(schema)(input))

const series = { metric: "a.b", points: [[1_700_000_000, 1]] }
const distribution = { metric: "a.b", points: [[1_700_000_000, [1, 2]]] }

describe("SeriesFromWire", () => {
  it("requires a name and points, and no other field", () => {
    assert.isTrue(accepts(SeriesFromWire, series))
    assert.isFalse(accepts(SeriesFromWire, { points: series.points }))
    assert.isFalse(accepts(SeriesFromWire, { metric: "a.b" }))
    assert.isFalse(accepts(SeriesFromWire, { ...series, metric: "" }))
  })

  it("accepts null fields and fractions of a second, which the reference client sends", () => {
    assert.isTrue(accepts(SeriesFromWire, { ...series, host: null, device: null, tags: null, interval: null }))
    assert.isTrue(accepts(SeriesFromWire, { ...series, points: [[1_580_746_696.581371, 0.5]] }))
  })

  it("refuses values that are not finite numbers, and points that are not pairs", () => {
    for (const value of [null, "1", Number.NaN, Number.POSITIVE_INFINITY, [1]]) {
      assert.isFalse(accepts(SeriesFromWire, { ...series, points: [[1_700_000_000, value]] }), String(value))
    }
    assert.isFalse(accepts(SeriesFromWire, { ...series, points: [[1_700_000_000]] }))
    assert.isFalse(accepts(SeriesFromWire, { ...series, points: [[1_700_000_000, 1, 2]] }))
    assert.isFalse(accepts(SeriesFromWire, { ...series, points: [[null, 1]] }))
  })

  it("accepts the types gauge, rate, count and the empty type only", () => {
    for (const type of ["", "gauge", "rate", "count"]) assert.isTrue(accepts(SeriesFromWire, { ...series, type }))
    for (const type of ["distribution", "histogram", 1]) assert.isFalse(accepts(SeriesFromWire, { ...series, type }))
  })
})

describe("DistributionSeriesFromWire", () => {
  it("accepts points with lists of finite values, and the type distribution only", () => {
    assert.isTrue(accepts(DistributionSeriesFromWire, distribution))
    assert.isTrue(accepts(DistributionSeriesFromWire, { ...distribution, type: "distribution" }))
    assert.isFalse(accepts(DistributionSeriesFromWire, series))
    assert.isFalse(accepts(DistributionSeriesFromWire, { ...distribution, points: [[1_700_000_000, [1, null]]] }))
    assert.isFalse(accepts(DistributionSeriesFromWire, { ...distribution, type: "gauge" }))
  })
})

describe("SeriesV2FromWire", () => {
  const seriesV2 = { metric: "a.b", points: [{ timestamp: 1_700_000_000, value: 1 }] }

  it("requires a name and points in the form of version 2, and no other field", () => {
    assert.isTrue(accepts(SeriesV2FromWire, seriesV2))
    assert.isFalse(accepts(SeriesV2FromWire, { points: seriesV2.points }))
    assert.isFalse(accepts(SeriesV2FromWire, { metric: "a.b" }))
    assert.isFalse(accepts(SeriesV2FromWire, { ...seriesV2, metric: "" }))
    assert.isFalse(accepts(SeriesV2FromWire, series))
  })

  it("refuses values that are not finite numbers, and times that are not whole seconds", () => {
    const at = (timestamp: unknown, value: unknown) =>
      accepts(SeriesV2FromWire, { ...seriesV2, points: [{ timestamp, value }] })
    assert.isTrue(at(1_700_000_000, -0.5))
    for (const value of [null, "1", Number.NaN, Number.POSITIVE_INFINITY, [1], undefined]) {
      assert.isFalse(at(1_700_000_000, value), String(value))
    }
    for (const timestamp of [1_700_000_000.5, null, "1700000000", undefined]) {
      assert.isFalse(at(timestamp, 1), String(timestamp))
    }
  })

  it("accepts the numbers 0 to 3 as types, and nothing else", () => {
    for (const type of [0, 1, 2, 3]) assert.isTrue(accepts(SeriesV2FromWire, { ...seriesV2, type }))
    for (const type of ["", "gauge", "3", 4, -1, 1.5, null]) {
      assert.isFalse(accepts(SeriesV2FromWire, { ...seriesV2, type }), String(type))
    }
  })

  it("requires a type and a name in each resource", () => {
    const resources = [{ type: "host", name: "web-1" }, { type: "device", name: "" }]
    assert.isTrue(accepts(SeriesV2FromWire, { ...seriesV2, resources }))
    assert.isFalse(accepts(SeriesV2FromWire, { ...seriesV2, resources: [{ type: "host" }] }))
    assert.isFalse(accepts(SeriesV2FromWire, { ...seriesV2, resources: { host: "web-1" } }))
  })

  it("preserves a series of version 2 in a round trip through its payload", () => {
    const sent: SeriesV2 = {
      ...seriesV2,
      type: 2,
      resources: [{ type: "host", name: "web-1" }],
      tags: ["名:値"],
      interval: 10,
      unit: "byte"
    }
    const payload = { series: [sent] }
    assert.deepStrictEqual<unknown>(
      Schema.decodeUnknownSync(SeriesV2Payload)(JSON.parse(JSON.stringify(payload))),
      payload
    )
    assert.isFalse(accepts(SeriesV2Payload, [sent]))
  })
})

describe("SeriesPayload and DistributionPayload", () => {
  it("requires an object with the field series", () => {
    assert.isTrue(accepts(SeriesPayload, { series: [] }))
    assert.isFalse(accepts(SeriesPayload, {}))
    assert.isFalse(accepts(SeriesPayload, [series]))
    assert.isFalse(accepts(DistributionPayload, { series: [series] }))
  })

  it("accepts every payload that the reference client sends", () => {
    for (const request of [...wire.plain, ...wire.compressed]) {
      if (request.path === "/api/v1/series") assert.isTrue(accepts(SeriesPayload, request.body))
      if (request.path === "/api/v1/distribution_points") assert.isTrue(accepts(DistributionPayload, request.body))
    }
  })

  it("preserves series and distributions in a round trip", () => {
    const roundTrip = <A, I>(schema: Schema.Schema<A, I>, input: unknown) =>
      Schema.decodeUnknownSync(schema)(JSON.parse(JSON.stringify(input)))
    const sent: ReadonlyArray<Series> = metrics
    const sentDistributions: ReadonlyArray<DistributionSeries> = distributions
    assert.deepStrictEqual<unknown>(roundTrip(SeriesPayload, { series: sent }), { series: sent })
    assert.deepStrictEqual<unknown>(roundTrip(DistributionPayload, { series: sentDistributions }), {
      series: sentDistributions
    })
  })
})
