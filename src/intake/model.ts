/** Types that the parts of the intake share. `LocalIntake` re-exports the public ones. */
import type { DistributionPayload, SeriesPayload, SeriesType } from "../Series.js"
import type { EventFromWire } from "./eventPayload.js"
import type { Verdict } from "./verdict.js"

/** The type with members that can be assigned, for state that the public type shows as read-only. */
export type Writable<A> = { -readonly [K in keyof A]: A[K] }

/**
 * One element of an accepted `series` payload. An element of version 2 is converted to the form of version 1 with its unit;
 * the body of its {@link IntakeRequest} stays as received.
 *
 * @since 0.1.0
 * @category models
 */
export type AcceptedSeries = typeof SeriesPayload.Type["series"][number] & {
  /** Unit of an element of version 2. Default: none. */
  readonly unit?: string | undefined
}

/**
 * One element of an accepted `distribution_points` payload.
 *
 * @since 0.1.0
 * @category models
 */
export type AcceptedDistribution = typeof DistributionPayload.Type["series"][number]

/**
 * One accepted event.
 *
 * @since 0.1.0
 * @category models
 */
export type AcceptedEvent = typeof EventFromWire.Type

/**
 * One request and its answer. Requests for the JSON view, the page and the feed are not recorded.
 *
 * @since 0.1.0
 * @category models
 */
export interface IntakeRequest {
  /** Milliseconds since the epoch. */
  readonly receivedAt: number
  /** HTTP method. */
  readonly method: string
  /** Path without the query. */
  readonly path: string
  /** Headers; values of keys, cookies and credentials are replaced by `<redacted>`. */
  readonly headers: Readonly<Record<string, string>>
  /** Length of the body on the wire, in bytes. */
  readonly bytes: number
  /** Length of the uncompressed body, in bytes; the length on the wire if decompression failed. */
  readonly unpackedBytes: number
  /** Value of `content-encoding`, or `identity`. */
  readonly encoding: string
  /** Parsed body; `undefined` if the request has no body, or if decompression or parsing failed. */
  readonly body: unknown
  /** Status of the answer; `undefined` until the intake answers. */
  readonly status: number | undefined
  /** Milliseconds from the request to its answer. */
  readonly duration: number | undefined
  /** Words of the fault that was injected. */
  readonly fault: string | undefined
  /** Reason of the refusal. */
  readonly reason: string | undefined
  /** Treatment by Datadog. A long list is cut off after the first 20. */
  readonly verdicts: ReadonlyArray<Verdict>
}

/**
 * A {@link Verdict} other than `accepted`, with the number of times it was reached for its metric. The message is that of the
 * first time.
 *
 * @since 0.1.0
 * @category models
 */
export interface Finding extends Verdict {
  /** Number of payloads with this verdict. */
  readonly count: number
}

/**
 * A service check.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServiceCheck {
  /** Name. */
  readonly name: string
  /** 0 is OK, 1 is a warning, 2 is critical, 3 is unknown. */
  readonly status: 0 | 1 | 2 | 3
  /** Seconds since the epoch. */
  readonly timestamp: number
  /** Host name; empty if the check has none. */
  readonly host: string
  /** Tags. */
  readonly tags: ReadonlyArray<string>
  /** Message; empty if the check has none. */
  readonly message: string
}

/**
 * Counts of everything that the intake received since it started or was cleared, including evicted data.
 *
 * @since 0.1.0
 * @category models
 */
export interface IntakeSummary {
  /** Number of requests over HTTP. */
  readonly requests: number
  /** Requests and datagrams with data that Datadog keeps. It is 0 while nothing has arrived. */
  readonly accepted: number
  /** Requests that the intake refused. */
  readonly refused: number
  /** Requests that a fault or a scripted answer kept from being accepted. Their data is lost unless the client sends it again. */
  readonly faulted: number
  /** Bytes of all bodies on the wire. */
  readonly bytes: number
  /** Number of accepted series. */
  readonly series: number
  /** Points of all series. */
  readonly points: number
  /** Number of accepted distributions. */
  readonly distributions: number
  /** Values of all distributions. */
  readonly values: number
  /** Number of accepted events. */
  readonly events: number
}

/**
 * Content of the JSON view at `GET /`: all accepted payloads and all requests, in the order of arrival.
 *
 * @since 0.1.0
 * @category models
 */
export interface IntakeView {
  /** Accepted series, oldest first. */
  readonly series: ReadonlyArray<AcceptedSeries>
  /** Accepted distributions, oldest first. */
  readonly distributions: ReadonlyArray<AcceptedDistribution>
  /** Accepted events, oldest first. */
  readonly events: ReadonlyArray<AcceptedEvent>
  /** Requests, oldest first. */
  readonly requests: ReadonlyArray<IntakeRequest>
}

/**
 * A series as Datadog stores it: one value per second, the last one that arrived.
 *
 * @since 0.1.0
 * @category models
 */
export interface StoredSeries {
  /** Name. */
  readonly metric: string
  /** Type in the last payload. */
  readonly type: SeriesType
  /** Host name; empty if the payload has none. */
  readonly host: string
  /** Device name; empty if the payload has none. */
  readonly device: string
  /** Sorted tags without duplicates. */
  readonly tags: ReadonlyArray<string>
  /** Interval in the last payload, in seconds. */
  readonly interval: number
  /** `[seconds since the epoch, value]`, oldest first. */
  readonly points: ReadonlyArray<readonly [timestamp: number, value: number]>
}

/**
 * A distribution as Datadog stores it: all values that arrived.
 *
 * @since 0.1.0
 * @category models
 */
export interface StoredDistribution {
  /** Name. */
  readonly metric: string
  /** Host name; empty if the payload has none. */
  readonly host: string
  /** Device name; empty if the payload has none. */
  readonly device: string
  /** Sorted tags without duplicates. */
  readonly tags: ReadonlyArray<string>
  /** `[seconds since the epoch, values]`, oldest first. */
  readonly points: ReadonlyArray<readonly [timestamp: number, values: ReadonlyArray<number>]>
}

/**
 * Metrics as Datadog stores them. Datadog identifies a series by name, host, device and tags. Two senders of one series
 * overwrite each other; distributions add up. Sources: Datadog's documentation of custom metrics from Lambda, and datadogpy
 * issue 350.
 *
 * @since 0.1.0
 * @category models
 */
export interface StoredMetrics {
  /** Series by name, host and tags. */
  readonly series: ReadonlyArray<StoredSeries>
  /** Distributions by name, host and tags. */
  readonly distributions: ReadonlyArray<StoredDistribution>
}

/**
 * Limits of the intake's memory. The oldest data is evicted first, and counted.
 *
 * @since 0.1.0
 * @category models
 */
export interface IntakeLimits {
  /** Series and distributions that the page shows. Default: 5,000. */
  readonly series: number
  /** Points per series that the page shows. Default: 720. */
  readonly pointsPerSeries: number
  /** Elements of accepted payloads, for `series` and for `distributions` each. Default: unlimited. */
  readonly accepted: number
  /** Default: unlimited. */
  readonly events: number
  /** Requests and datagrams. Default: unlimited. */
  readonly requests: number
  /**
   * Memory of everything that is kept, in bytes. The kind that takes most of it loses its oldest entry: bodies of requests, requests,
   * accepted payloads, events, service checks, and series of the page. A request stays when its body is evicted. The intake
   * estimates the sizes. Default: unlimited.
   */
  readonly bytes: number
}

/** Limits of an intake without the option `limits`. */
export const defaultLimits: IntakeLimits = {
  series: 5000,
  pointsPerSeries: 720,
  accepted: Number.POSITIVE_INFINITY,
  events: Number.POSITIVE_INFINITY,
  requests: Number.POSITIVE_INFINITY,
  bytes: Number.POSITIVE_INFINITY
}
