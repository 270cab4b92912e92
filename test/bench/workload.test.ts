import { assert, describe, it } from "@effect/vitest"
import { difference, make, totalsOf } from "../../bench/children/workload.js"

const totals = { counts: 116_000_000, gauges: 100, histograms: 400_000, distributions: 400_000, sum: 58_000_000 }

describe("bench/workload difference", () => {
  it("names the first total that differs from the recorded one by as little as 1", () => {
    for (const key of Object.keys(totals) as Array<keyof typeof totals>) {
      const expected = `${key}: ${totals[key] - 1} came out of ${totals[key]}`
      assert.strictEqual(difference(totals, { [key]: totals[key] - 1 }), expected)
      assert.strictEqual(difference(totals, { [key]: Number.NaN }), `${key}: NaN came out of ${totals[key]}`)
    }
  })

  it("returns undefined for equal totals and for rounding errors of a rate", () => {
    assert.strictEqual(difference(totals, { ...totals }), undefined)
    assert.strictEqual(difference(totals, { counts: totals.counts * (1 + 1e-12) }), undefined)
  })

  it("names the lack of any total", () => {
    assert.strictEqual(difference(totals, {}), "nothing could be checked")
    assert.strictEqual(difference(totals, { counts: undefined }), "nothing could be checked")
  })
})

describe("bench/workload make", () => {
  it("creates 40 % counts and 20 % each of gauges, histograms and distributions, with three tags, as documented", () => {
    const { series } = make(100, 0)
    const share = (kind: string) => series.filter((one) => one.kind === kind).length
    assert.deepStrictEqual(["count", "gauge", "histogram", "distribution"].map(share), [40, 20, 20, 20])
    assert.isTrue(series.every(({ tags }) => tags.length === 3))
    assert.strictEqual(new Set(series.map(({ name, tags }) => [name, ...tags].join())).size, 100)
    const { counts, distributions, gauges, histograms, sum } = totalsOf(make(100, 10_000))
    assert.isAbove(Math.min(counts, gauges, sum), 0)
    assert.isTrue(Math.abs(histograms - 2000) < 200 && Math.abs(distributions - 2000) < 200)
  })
})
