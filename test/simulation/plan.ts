/**
 * The plan of a run, drawn from its seed at the start.
 */
import { Redacted } from "effect"
import type { ThreadStatsConfig } from "effect-threadstats"
import type { Draw } from "./random.js"

export type Mode = "http" | "total" | "delta"

export interface Plan {
  /** `http` uses the HTTP reporter over a simulated network. The others use a simulated reporter of that temporality. */
  readonly mode: Mode
  /** Whether limits may drop points. If they may, only the totals are compared. */
  readonly bounded: boolean
  /** Whether answers occur that make the client drop the items of a request. */
  readonly lossy: boolean
  /** Whether items that may have arrived are never sent again. */
  readonly atMostOnce: boolean
  /** Number of times that the process is killed and restarted with its store. */
  readonly restarts: number
  /** Whether the intake refuses some names. */
  readonly poison: boolean
  /** Size of a body above which the intake answers 413, in bytes. */
  readonly bodyLimit: number
  /** Whether the intake recovers before the scope closes. */
  readonly waits: boolean
  readonly steps: number
  /** Number of names of each kind, and number of sets of tags. */
  readonly names: number
  readonly tagSets: number
  readonly aggregates: ReadonlyArray<ThreadStatsConfig.Aggregate>
  readonly percentiles: ReadonlyArray<number>
  readonly sampleSize: number
  /** With `distributions`, the receiver adds up the values of counters, histograms and timings. */
  readonly counters: ThreadStatsConfig.SubmissionType
  readonly prefix: string
  readonly constantTag: string | undefined
  readonly ownHost: string | undefined
  readonly attachHost: boolean
  /** In milliseconds. */
  readonly interval: number
  readonly flushTimeout: number
  readonly requestTimeout: number
  readonly periodic: boolean
  readonly maxSeries: number
  readonly maxValues: number
  readonly maxEvents: number
  readonly options: ThreadStatsConfig.ThreadStatsOptions
}

/** Draws a plan. `later` draws the choices that were added later, so that the older choices of a seed stay the same. */
export const make = (draw: Draw, later: Draw): Plan => {
  const mode = draw.weighted<Mode>({ http: 6.5, total: 1.5, delta: 2 })
  const bounded = draw.chance(0.18)
  const atMostOnce = draw.chance(0.2)
  const small = draw.chance(0.6)
  const aggregates: Plan["aggregates"] = small ? ["count", "max"] : ["min", "max", "count", "avg", "sum", "median"]
  const percentiles = small ? [0.95] : [0.5, 0.75, 0.95]
  const sampleSize = draw.chance(0.1) ? 3 : 1000
  const namespace = draw.chance(0.3) ? "shop" : ""
  const constantTag = draw.chance(0.3) ? "env:sim" : undefined
  const ownHost = draw.chance(0.3) ? "own" : undefined
  const attachHost = draw.chance(0.3)
  const interval = draw.pick([10, 10, 10, 1, 30]) * 1000
  const flushTimeout = draw.pick([5000, 5000, 2000])
  const requestTimeout = draw.pick([3000, 3000, 1000, 8000])
  const periodic = draw.chance(0.4)
  const maxSeries = bounded && draw.chance(0.6) ? draw.between(3, 12) : 100_000
  const maxValues = bounded && draw.chance(0.6) ? draw.between(3, 20) : 1_000_000
  const maxEvents = bounded && draw.chance(0.6) ? draw.between(2, 8) : 1000
  const bodyLimit = draw.chance(0.25) ? draw.pick([180, 700, 700, 1500, 3000]) : Infinity
  const lossy = draw.chance(0.12)
  const restarts = mode !== "delta" && draw.chance(0.2) ? draw.between(1, 2) : 0
  const counters = restarts === 0 && later.chance(0.2) ? "distributions" : "series"
  return {
    mode,
    bounded,
    lossy,
    atMostOnce,
    restarts,
    poison: draw.chance(0.25),
    bodyLimit,
    waits: draw.chance(0.7),
    steps: draw.between(20, 45),
    names: draw.between(1, 2),
    tagSets: draw.pick([1, 1, 2, 3]),
    aggregates,
    percentiles,
    sampleSize,
    counters,
    prefix: namespace === "" ? "" : `${namespace}.`,
    constantTag,
    ownHost,
    attachHost,
    interval,
    flushTimeout,
    requestTimeout,
    periodic,
    maxSeries,
    maxValues,
    maxEvents,
    options: {
      namespace,
      // An empty name keeps the name of the machine out of the expectations.
      hostname: ownHost ?? "",
      attachHost,
      constantTags: constantTag === undefined ? [] : [constantTag],
      rollUpInterval: interval,
      flushInterval: draw.pick([10_000, 10_000, 3000]),
      periodicFlush: periodic,
      flushTimeout,
      requestTimeout,
      compress: draw.chance(0.1),
      aggregates,
      percentiles,
      sampleSize,
      submitAs: counters,
      maxSeries,
      maxValues,
      maxEvents,
      delivery: atMostOnce ? "at-most-once" : "at-least-once",
      apiKey: Redacted.make("simulated"),
      apiUrl: "https://intake.example"
    }
  }
}
