import { assert, describe, it } from "@effect/vitest"
import type { SampleSeries } from "effect-threadstats/Series"
import type { LineFormat } from "../../src/internal/dogstatsd/format.js"
import { makeEncoder, sample } from "./encoding.js"

const base = 1_700_000_000
const count = sample("counter", "c", [1])
const next = sample("counter", "c", [1], { points: [[base + 10, [1]]] })

/** Sends batches with one encoder. Returns the times of the lines, in seconds after the base. */
const makeSender = (timestamps: LineFormat["timestamps"]) => {
  const encode = makeEncoder({ timestamps })
  return (now: number, ...batch: ReadonlyArray<SampleSeries>) => {
    const { lines, markSent } = encode(batch, base + now)
    markSent()
    return lines.map((line) => {
      const time = /\|T(\d+)$/.exec(line)?.[1]
      return time === undefined ? undefined : Number(time) - base
    })
  }
}

describe("timestampAllocator", () => {
  it("dates each part of an interval with a second of its own, except the seconds of the Agent's own points", () => {
    const send = makeSender("always")
    const times = Array.from({ length: 11 }, () => send(12, count)).flat()
    assert.deepStrictEqual(times, [1, 2, 3, 4, 5, 6, 7, 8, 9, undefined, undefined])
  })

  it("dates two series of one batch with different seconds when sanitizing makes them equal", () => {
    const send = makeSender("always")
    assert.deepStrictEqual(
      send(12, { ...next, tags: ["a b"] }, { ...next, tags: ["a_b"] }, { ...next, tags: ["c"] }),
      [11, 12, 11]
    )
    // seconds in the future stay unused
    assert.deepStrictEqual(send(12, { ...next, tags: ["a b"] }), [undefined])
  })

  it("allocates no second for a batch that was not sent", () => {
    const encode = makeEncoder({ timestamps: "always" })
    for (let i = 0; i < 20; i++) assert.deepStrictEqual(encode([count], base + 12).lines, ["c:1|c|T1700000001"])
  })

  it("dates gauges, and counts only a minute after the end of their interval, when `timestamps` is \"late\"", () => {
    const send = makeSender("late")
    assert.deepStrictEqual(
      send(12, count, sample("gauge", "g", [1]), sample("distribution" as "set", "d", [1])),
      [undefined, 0, undefined]
    )
    assert.deepStrictEqual(send(70, count), [undefined])
    assert.deepStrictEqual(send(71, count), [1])
  })

  it("dates a gauge of the future with the current second", () => {
    const send = makeSender("late")
    assert.deepStrictEqual(send(71, sample("gauge", "g", [1], { points: [[base + 100, [1]]] })), [71])
  })

  it("dates nothing when `timestamps` is \"never\"", () => {
    assert.deepStrictEqual(makeSender("never")(12, count, sample("gauge", "g", [1])), [undefined, undefined])
  })
})
