/**
 * The yardstick: a plain port of the reference's `MetricsAggregator.add_point` and roll-ups (datadogpy 0.53,
 * `datadog/threadstats/metrics.py`), with its 10 s buckets, its sample of 1000 values, and no check of anything.
 */
import { recordAll, type Recorder, totalsOfBodies, type Workload, type WorkloadSeries } from "../children/workload.js"
import type { MakeSubject } from "./subject.js"

const interval = 10
const sampleSize = 1000
const percentiles = [0.75, 0.85, 0.95, 0.99]

type Point = readonly [suffix: string, type: string, value: number | ReadonlyArray<number>]

export interface Metric {
  readonly name: string
  readonly tags: ReadonlyArray<string>
  readonly host: string | undefined
  addPoint(value: number): void
  flush(): ReadonlyArray<Point>
}

class Base {
  readonly name: string
  readonly tags: ReadonlyArray<string>
  readonly host: string | undefined
  constructor(name: string, tags: ReadonlyArray<string>, host: string | undefined) {
    this.name = name
    this.tags = tags
    this.host = host
  }
}

export class Counter extends Base implements Metric {
  count = 0
  addPoint(value: number): void {
    this.count += value
  }
  flush(): ReadonlyArray<Point> {
    return [["", "rate", this.count / interval]]
  }
}

export class Gauge extends Base implements Metric {
  value = 0
  addPoint(value: number): void {
    this.value = value
  }
  flush(): ReadonlyArray<Point> {
    return [["", "gauge", this.value]]
  }
}

export class Distribution extends Base implements Metric {
  readonly values: Array<number> = []
  addPoint(value: number): void {
    this.values.push(value)
  }
  flush(): ReadonlyArray<Point> {
    return [["", "distribution", this.values]]
  }
}

export class Histogram extends Base implements Metric {
  max = -Infinity
  min = Infinity
  sum = 0
  count = 0
  readonly samples: Array<number> = []
  addPoint(value: number): void {
    this.max = this.max > value ? this.max : value
    this.min = this.min < value ? this.min : value
    this.sum += value
    if (this.count < sampleSize) this.samples.push(value)
    else this.samples[Math.floor(Math.random() * sampleSize)] = value
    this.count++
  }
  flush(): ReadonlyArray<Point> {
    const points: Array<Point> = [
      [".min", "gauge", this.min],
      [".max", "gauge", this.max],
      [".count", "rate", this.count / interval],
      [".avg", "gauge", this.sum / this.count]
    ]
    this.samples.sort((a, b) => a - b)
    for (const p of percentiles) {
      points.push([
        `.${p * 100}percentile`,
        "gauge",
        this.samples[Math.max(0, Math.round(p * this.samples.length - 1))]!
      ])
    }
    return points
  }
}

type Type = new(name: string, tags: ReadonlyArray<string>, host: string | undefined) => Metric

export const makeAggregator = () => {
  const metrics = new Map<number, Map<string, Metric>>()
  return {
    addPoint(name: string, tags: ReadonlyArray<string>, value: number, type: Type, host?: string) {
      const timestamp = Date.now() / 1000
      const start = timestamp - timestamp % interval
      const key = `${name}|${host ?? ""}|${tags.slice().sort().join(",")}`
      let bucket = metrics.get(start)
      if (bucket === undefined) metrics.set(start, bucket = new Map())
      let metric = bucket.get(key)
      if (metric === undefined) bucket.set(key, metric = new type(name, tags, host))
      metric.addPoint(value)
    },
    /** The text of the two requests. */
    flush(): ReadonlyArray<string> {
      const series: Array<unknown> = []
      const distributions: Array<unknown> = []
      for (const [start, bucket] of metrics) {
        for (const metric of bucket.values()) {
          for (const [suffix, type, value] of metric.flush()) {
            ;(type === "distribution" ? distributions : series).push({
              metric: `${metric.name}${suffix}`,
              points: [[start, value]],
              type,
              host: metric.host,
              tags: metric.tags,
              interval
            })
          }
        }
      }
      metrics.clear()
      return [series, distributions].map((lines) => JSON.stringify({ series: lines }))
    }
  }
}

const makeWith = (tagsOf: (series: WorkloadSeries) => ReadonlyArray<string>): MakeSubject => async () => {
  const { addPoint, flush } = makeAggregator()
  const recorder: Recorder = {
    count: (series, value) => addPoint(series.name, tagsOf(series), value, Counter),
    gauge: (series, value) => addPoint(series.name, tagsOf(series), value, Gauge),
    histogram: (series, value) => addPoint(series.name, tagsOf(series), value, Histogram),
    distribution: (series, value) => addPoint(series.name, tagsOf(series), value, Distribution)
  }
  return {
    record: (workload: Workload) => recordAll(recorder, workload),
    flush: async () => {
      const bodies = flush()
      const bytes = bodies.reduce((sum, body) => sum + Buffer.byteLength(body), 0)
      return { bytes, check: () => ({ totals: totalsOfBodies(bodies), jsonBytes: bytes }) }
    }
  }
}

export const make: MakeSubject = makeWith(({ tags: [a, b, c] }) => [a, b, c])

/** With tags whose text is put together for the call, as programs do. */
export const makeBuilt: MakeSubject = makeWith((
  { labels: [a, b, c] }
) => [`service:${a}`, `route:${b}`, `customer:${c}`])
