/**
 * The workload: calls over a number of series, drawn by a linear congruential generator. The kind belongs to a
 * series: 40 % counts, 20 % gauges, 20 % histograms, 20 % distributions. Every series has three tags.
 */

export type Kind = "count" | "gauge" | "histogram" | "distribution"

export interface WorkloadSeries {
  readonly index: number
  readonly kind: Kind
  readonly name: string
  /** Tags in the form of Datadog's clients. */
  readonly tags: readonly [string, string, string]
  /** Their values, for clients that take keys and values apart. */
  readonly labels: readonly [string, string, string]
}

export interface Workload {
  readonly calls: number
  readonly series: ReadonlyArray<WorkloadSeries>
}

/** The keys of the tags, in the order in which they are given, which is not the sorted one. */
export const keys = ["service", "route", "customer"] as const

/** One name for each kind's share of ten. */
export const names: ReadonlyArray<{ readonly name: string; readonly kind: Kind }> = [
  { name: "orders.received", kind: "count" },
  { name: "orders.accepted", kind: "count" },
  { name: "orders.refused", kind: "count" },
  { name: "orders.retried", kind: "count" },
  { name: "orders.waiting", kind: "gauge" },
  { name: "stock.level", kind: "gauge" },
  { name: "db.query.rows", kind: "histogram" },
  { name: "db.query.time", kind: "histogram" },
  { name: "http.request.time", kind: "distribution" },
  { name: "http.response.size", kind: "distribution" }
]

const services = ["checkout", "catalog", "billing", "search", "mail"]

export const make = (series: number, calls: number, prefix = ""): Workload => ({
  calls,
  series: Array.from({ length: series }, (_, index): WorkloadSeries => {
    const { kind, name } = names[index % names.length]!
    const group = Math.floor(index / names.length)
    const labels = [services[group % services.length]!, `/v1/items/${group % 97}`, `c${group}`] as const
    const tags = labels.map((label, i) => flat(`${keys[i]!}:${label}`)) as [string, string, string]
    return { index, kind, name: flat(`${prefix}${name}`), tags, labels }
  })
})

/** Flattens a string, like a literal or a string from a file. */
const flat = (text: string): string => Buffer.from(text).toString()

/** Durations in whole milliseconds from 1 to 1000, as many below 10 as from 10 to 100 as above. */
const values: ReadonlyArray<number> = Array.from(
  { length: 1024 },
  (_, i) => Math.round(10 ** (3 * ((i * 619) % 1024) / 1023))
)

/** From the bits of a draw that do not tell the series. */
export const valueOf = (seed: number): number => values[seed >>> 22]!

/** Calls of a client. Each creates its tags anew per call. */
export interface Recorder {
  readonly count: (series: WorkloadSeries, value: number) => void
  readonly gauge: (series: WorkloadSeries, value: number) => void
  readonly histogram: (series: WorkloadSeries, value: number) => void
  readonly distribution: (series: WorkloadSeries, value: number) => void
}

/** Every client is measured in a process of its own, so that the compiler sees this loop with that client alone. */
export const recordAll = (recorder: Recorder, { calls, series }: Workload): void => {
  let seed = 1
  const size = series.length
  for (let i = 0; i < calls; i++) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
    const drawn = series[(seed >>> 8) % size]!
    const value = valueOf(seed)
    switch (drawn.kind) {
      case "count":
        recorder.count(drawn, value)
        break
      case "gauge":
        recorder.gauge(drawn, value)
        break
      case "histogram":
        recorder.histogram(drawn, value)
        break
      case "distribution":
        recorder.distribution(drawn, value)
    }
  }
}

/** Totals that must arrive. A client omits totals that it does not report. */
export interface Totals {
  /** Sum of all counts. */
  readonly counts?: number | undefined
  /** Sum of the last value of every gauge. */
  readonly gauges?: number | undefined
  /** How many values went into histograms. */
  readonly histograms?: number | undefined
  /** How many values went into distributions, and their sum. */
  readonly distributions?: number | undefined
  readonly sum?: number | undefined
}

/** Totals of a client that reports everything. */
export type AllTotals = { readonly [K in keyof Totals]-?: number }

export const totalsOf = (workload: Workload): AllTotals => {
  let [counts, histograms, distributions, sum] = [0, 0, 0, 0]
  const last = new Map<number, number>()
  recordAll({
    count: (_, value) => {
      counts += value
    },
    gauge: ({ index }, value) => {
      last.set(index, value)
    },
    histogram: () => {
      histograms++
    },
    distribution: (_, value) => {
      distributions++
      sum += value
    }
  }, workload)
  let gauges = 0
  for (const value of last.values()) gauges += value
  return { counts, gauges, histograms, distributions, sum }
}

/** Returns the first difference, if there is one. All values are whole numbers, so that one call that is lost is one at least. */
export const difference = (expected: AllTotals, actual: Totals): string | undefined => {
  for (const key of Object.keys(actual) as Array<keyof Totals>) {
    const value = actual[key]
    if (value !== undefined && !(Math.abs(value - expected[key]) < 0.5)) {
      return `${key}: ${value} came out of ${expected[key]}`
    }
  }
  return Object.values(actual).some((value) => value !== undefined) ? undefined : "nothing could be checked"
}

interface Line {
  readonly metric: string
  readonly points: ReadonlyArray<readonly [number, number | ReadonlyArray<number>]>
  readonly type: string
  readonly tags: ReadonlyArray<string>
  readonly interval?: number
}

/** Returns Datadog's totals of the bodies. Of two points of a gauge the later one counts. */
export const totalsOfBodies = (bodies: ReadonlyArray<string>): Totals => {
  let [counts, histograms, distributions, sum] = [0, 0, 0, 0]
  const last = new Map<string, readonly [number, number]>()
  const kinds = new Map(names.map(({ kind, name }) => [name, kind]))
  for (const body of bodies) {
    for (const { interval, metric, points, tags } of (JSON.parse(body) as { series: ReadonlyArray<Line> }).series) {
      const kind = kinds.get(metric)
      for (const [time, value] of points) {
        if (Array.isArray(value)) {
          distributions += value.length
          for (const one of value) sum += one
        } else if (kind === "count") {
          counts += value as number * (interval ?? 1)
        } else if (kind === "gauge") {
          const key = `${metric} ${tags.join()}`
          if ((last.get(key)?.[0] ?? 0) <= time) last.set(key, [time, value as number])
        } else if (metric.endsWith(".count") && kinds.get(metric.slice(0, -".count".length)) === "histogram") {
          histograms += value as number * (interval ?? 1)
        }
      }
    }
  }
  let gauges = 0
  for (const [, value] of last.values()) gauges += value
  return { counts, gauges, histograms, distributions, sum }
}
