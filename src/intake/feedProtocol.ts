/**
 * What the intake tells its page, over server-sent events at `GET /feed`. Both sides are written against these types, and share
 * nothing else.
 *
 * The stream begins with `hello` and `snapshot`; after that come `update`s, some a second while anything happens, and `clear`
 * when everything is to be forgotten. Each has one JSON document as its data. Who connects again starts from the beginning.
 */

/** The names of the events on the stream, and what their data is. */
export interface Messages {
  readonly hello: Hello
  readonly snapshot: Update
  readonly update: Update
  readonly clear: { readonly now: number }
}

export interface Hello {
  /** Another one after the intake was started again. */
  readonly instance: string
  readonly version: string
  /** Milliseconds since the epoch, as all times here that do not say otherwise. */
  readonly now: number
  /** What `DATADOG_HOST` is set to. */
  readonly url: string
  /** What `DD_DOGSTATSD_URL` is set to; `null` where no datagrams are taken. */
  readonly dogstatsd: string | null
  readonly strict: boolean
  /** Each as it was given, such as `status=503 rate=0.2`. */
  readonly faults: ReadonlyArray<string>
  /** How many of each are kept; the oldest go first. */
  readonly limits: {
    readonly series: number
    readonly pointsPerSeries: number
    readonly events: number
    readonly requests: number
  }
}

export interface Update {
  readonly now: number
  /** Series not told of before, or of which something changed but their points. */
  readonly series: ReadonlyArray<SeriesRow>
  /** `[series, seconds since the epoch, value]`. One for the same series and second replaces the earlier one. */
  readonly points: ReadonlyArray<readonly [series: number, timestamp: number, value: number]>
  /** Likewise, of distributions: all that arrived for the series and second so far. */
  readonly distributions: ReadonlyArray<DistributionPoint>
  readonly events: ReadonlyArray<EventRow>
  /** Requests and datagrams not told of before, or answered since. */
  readonly requests: ReadonlyArray<RequestRow>
  readonly health: Health
  /** Series that are not kept any more. */
  readonly forgotten: ReadonlyArray<number>
}

export interface SeriesRow {
  readonly id: number
  readonly metric: string
  readonly kind: "gauge" | "rate" | "count" | "distribution"
  readonly unit: string | null
  readonly tags: ReadonlyArray<string>
  readonly host: string
  readonly device: string
  /** Seconds; 0 where it is not known. */
  readonly interval: number
  /** What Datadog would do to the name or a tag, and the like. */
  readonly verdicts: ReadonlyArray<Verdict>
}

/** A sketch whose bin `i` holds the values from `gamma ** i` up to `gamma ** (i + 1)`, with {@link gamma}. */
export interface DistributionPoint {
  readonly series: number
  /** Seconds since the epoch. */
  readonly timestamp: number
  readonly count: number
  readonly sum: number
  readonly min: number
  readonly max: number
  readonly zeros: number
  /** `[bin, how many]`, by bin. */
  readonly positive: ReadonlyArray<readonly [bin: number, count: number]>
  /** Of the values without their sign. */
  readonly negative: ReadonlyArray<readonly [bin: number, count: number]>
}

/** Quantiles out of bins are within 2 %. */
export const gamma = 1.04

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
  /** `POST /api/v1/series`, or `UDP`. */
  readonly target: string
  readonly userAgent: string
  readonly encoding: string
  /** On the wire. */
  readonly bytes: number
  readonly unpackedBytes: number
  /** Series, distributions, events or lines in it. */
  readonly items: number
  readonly points: number
  /** `null` while there is no answer, and for datagrams. */
  readonly status: number | null
  /** How long the answer took, in milliseconds. */
  readonly duration: number | null
  /** The fault that was played, as it was given. */
  readonly fault: string | null
  /** Why it was refused. */
  readonly reason: string | null
  readonly verdicts: ReadonlyArray<Verdict>
  /** How many verdicts more there were. */
  readonly more: number
}

/** What Datadog would do with a payload, or a part of it, and why. */
export interface Verdict {
  /** `dropped` is what Datadog answers 202 to and does not keep. */
  readonly outcome: "accepted" | "refused" | "dropped" | "rewritten" | "overwritten" | "warning"
  /** A word for it, for machines: `TooOld`, `NotFinite`, `NameRewritten` … */
  readonly code: string
  /** A sentence for it, with the names and numbers. */
  readonly message: string
  readonly metric: string | null
}

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
  /** How often each code was given, but for what was accepted. */
  readonly verdicts: { readonly [code: string]: number }
  /** How many series, points, events and requests were forgotten to stay within the limits. */
  readonly forgotten: number
}

/** Of an intake that has seen nothing. */
export const noHealth: Health = {
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
  forgotten: 0
}
