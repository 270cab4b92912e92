/** Content encoding of a body. HTTP calls zlib's format (RFC 1950) deflate. */
export type Encoding = "identity" | "deflate" | "gzip"

/**
 * What there is to know about an endpoint of Datadog's API before anything is sent to it.
 * Source: Datadog API reference, v1 and v2 metrics, v1 events.
 */
export interface Endpoint {
  readonly name: "series" | "distribution_points" | "events"
  readonly path: `/${string}`
  /** What bodies are packed with where compression is on. */
  readonly compression: Encoding
  /** What it takes. */
  readonly encodings: ReadonlyArray<Encoding>
  /** What stands before and after the items of one body, which commas separate; without it a body is one item. */
  readonly envelope: readonly [before: string, after: string] | undefined
  /** Whether the same item may arrive twice and count once: Datadog keeps the last value of a series and timestamp. */
  readonly idempotent: boolean
  readonly limits: Limits
}

/** One whose bodies have many items. */
export interface EnvelopedEndpoint extends Endpoint {
  readonly envelope: readonly [before: string, after: string]
}

/** The most a body may have, as it travels and unpacked, in bytes. */
export interface Limits {
  readonly bytes: number
  readonly unpackedBytes: number
}

/** Documented for series, assumed for distribution points and events. */
export const limits: Limits = { bytes: 3_200_000, unpackedBytes: 62_914_560 }

const seriesEnvelope = ["{\"series\":[", "]}"] as const

export const series: EnvelopedEndpoint = {
  name: "series",
  path: "/api/v1/series",
  compression: "deflate",
  encodings: ["identity", "deflate", "gzip"],
  envelope: seriesEnvelope,
  idempotent: true,
  limits
}

/** Another form of series, with smaller limits. */
export const seriesV2: EnvelopedEndpoint = {
  ...series,
  path: "/api/v2/series",
  limits: { bytes: 512_000, unpackedBytes: 5_242_880 }
}

export const distributionPoints: EnvelopedEndpoint = {
  name: "distribution_points",
  path: "/api/v1/distribution_points",
  compression: "deflate",
  encodings: ["identity", "deflate"],
  envelope: seriesEnvelope,
  idempotent: false,
  limits
}

/** One event per request. The reference never compresses it. */
export const events: Endpoint = {
  name: "events",
  path: "/api/v1/events",
  compression: "identity",
  encodings: ["identity", "deflate", "gzip"],
  envelope: undefined,
  idempotent: false,
  limits
}

export const validatePath = "/api/v1/validate"

/** The header that carries the key, and nothing else does. */
export const keyHeader = "dd-api-key"
