/**
 * The feed at `GET /feed`: server-sent events from the intake to its page.
 *
 * The stream begins with `hello` and `snapshot`. An `update` follows every 250 milliseconds while the intake receives data, and
 * `clear` when the intake is cleared. The data of each event is one JSON document. A page that reconnects starts over.
 */
import type { Verdict } from "./verdict.js"

/** Data of each event, by the name of the event. */
export interface Messages {
  readonly hello: Hello
  readonly snapshot: Update
  readonly update: Update
  readonly clear: { readonly now: number }
}

export interface Hello {
  /** Identifier of the running intake. A restart changes it. */
  readonly instance: string
  readonly version: string
  /** Milliseconds since the epoch, like every time of the feed without another unit. */
  readonly now: number
  /** Value for `DATADOG_HOST`. */
  readonly url: string
  /** Value for `DD_DOGSTATSD_URL`; `null` if the intake takes no datagrams. */
  readonly dogstatsd: string | null
  /** Whether every API key is valid. */
  readonly isAnyKeyValid: boolean
  readonly strict: boolean
  /** Words of each fault, such as `status=503 rate=0.2`. */
  readonly faults: ReadonlyArray<string>
  /** Maximum numbers of rows. The oldest rows are evicted first. */
  readonly limits: {
    readonly series: number
    readonly pointsPerSeries: number
    readonly events: number
    readonly requests: number
  }
}

export interface Update {
  readonly now: number
  /** Series that are new or changed in anything but their points. */
  readonly series: ReadonlyArray<SeriesRow>
  /** `[series, seconds since the epoch, value]`. A point replaces an earlier one of its series and second. */
  readonly points: ReadonlyArray<readonly [series: number, timestamp: number, value: number]>
  /** Points of distributions. Each one contains all values of its series and second, and replaces an earlier one. */
  readonly distributions: ReadonlyArray<DistributionPoint>
  readonly events: ReadonlyArray<EventRow>
  /** Requests and datagrams that are new or were answered since the last update. */
  readonly requests: ReadonlyArray<RequestRow>
  readonly health: Health
  /** Identifiers of evicted series. */
  readonly evicted: ReadonlyArray<number>
}

export interface SeriesRow {
  readonly id: number
  readonly metric: string
  readonly kind: "gauge" | "rate" | "count" | "distribution"
  readonly unit: string | null
  readonly tags: ReadonlyArray<string>
  readonly host: string
  readonly device: string
  /** Seconds; 0 if unknown. */
  readonly interval: number
  /** Verdicts about the name, the tags and the kind. */
  readonly verdicts: ReadonlyArray<Verdict>
}

/** Values of a distribution in one second, counted in the bins of a `LogHistogram`. */
export interface DistributionPoint {
  readonly series: number
  /** Seconds since the epoch. */
  readonly timestamp: number
  readonly count: number
  readonly sum: number
  readonly min: number
  readonly max: number
  readonly zeros: number
  /** `[bin, count]` of the values above zero, ordered by bin. */
  readonly positive: ReadonlyArray<readonly [bin: number, count: number]>
  /** `[bin, count]` of the absolute values below zero, ordered by bin. */
  readonly negative: ReadonlyArray<readonly [bin: number, count: number]>
}

export interface EventRow {
  readonly id: number
  /** Seconds since the epoch. */
  readonly timestamp: number
  readonly title: string
  readonly text: string
  readonly alertType: string
  readonly priority: string
  readonly tags: ReadonlyArray<string>
  readonly host: string
  readonly verdicts: ReadonlyArray<Verdict>
}

export interface RequestRow {
  readonly id: number
  readonly at: number
  readonly protocol: "http" | "dogstatsd"
  /** Method and path, such as `POST /api/v1/series`, or `UDP`. */
  readonly target: string
  readonly userAgent: string
  readonly encoding: string
  /** Bytes on the wire. */
  readonly bytes: number
  readonly unpackedBytes: number
  /** Number of series, distributions, events or lines. */
  readonly items: number
  readonly points: number
  /** Status of the answer; `null` until the intake answers, and for datagrams. */
  readonly status: number | null
  /** Milliseconds from the request to its answer. */
  readonly duration: number | null
  /** Words of the fault that was injected. */
  readonly fault: string | null
  /** Reason of the refusal. */
  readonly reason: string | null
  readonly verdicts: ReadonlyArray<Verdict>
  /** Number of verdicts that are left out of `verdicts`. */
  readonly more: number
}

/** Totals since the intake started or was cleared. */
export interface Health {
  readonly requests: number
  readonly refused: number
  readonly bytes: number
  readonly unpackedBytes: number
  readonly series: number
  readonly points: number
  readonly values: number
  readonly events: number
  readonly datagrams: number
  /** Number of verdicts by code, without accepted ones. */
  readonly verdicts: { readonly [code: string]: number }
  /** Number of series, points, events and requests that were evicted. */
  readonly evicted: number
}

/** Totals of an intake that has received nothing. */
export const emptyHealth: Health = {
  requests: 0,
  refused: 0,
  bytes: 0,
  unpackedBytes: 0,
  series: 0,
  points: 0,
  values: 0,
  events: 0,
  datagrams: 0,
  verdicts: {},
  evicted: 0
}
