import { type PayloadLimits, payloadLimitsV1, payloadLimitsV2 } from "./payloadLimits.js"

/** Content encoding of a body. HTTP calls the format of zlib (RFC 1950) deflate. */
export type Encoding = "identity" | "deflate" | "gzip"

/** Endpoint of Datadog's API that receives metrics or events. Source: Datadog API reference, v1 and v2 metrics, v1 events. */
export interface Endpoint {
  readonly name: "series" | "distribution_points" | "events"
  readonly path: `/${string}`
  /** Encoding of bodies when compression is on. */
  readonly compression: Encoding
  /** Encodings that the endpoint accepts. */
  readonly encodings: ReadonlyArray<Encoding>
  /** Text before and after the items of a body, which commas separate. Undefined if a body has exactly one item. */
  readonly envelope: readonly [before: string, after: string] | undefined
  /** True if an item that arrives twice counts once: Datadog keeps the last value of a series and timestamp. */
  readonly idempotent: boolean
  readonly limits: PayloadLimits
}

/** Endpoint whose bodies have many items. */
export interface EnvelopedEndpoint extends Endpoint {
  readonly envelope: readonly [before: string, after: string]
}

const seriesEnvelope = ["{\"series\":[", "]}"] as const

export const series: EnvelopedEndpoint = {
  name: "series",
  path: "/api/v1/series",
  compression: "deflate",
  encodings: ["identity", "deflate", "gzip"],
  envelope: seriesEnvelope,
  idempotent: true,
  limits: payloadLimitsV1
}

/** Second version of the endpoint for series, with smaller limits. */
export const seriesV2: EnvelopedEndpoint = {
  ...series,
  path: "/api/v2/series",
  limits: payloadLimitsV2
}

export const distributionPoints: EnvelopedEndpoint = {
  name: "distribution_points",
  path: "/api/v1/distribution_points",
  compression: "deflate",
  encodings: ["identity", "deflate"],
  envelope: seriesEnvelope,
  idempotent: false,
  limits: payloadLimitsV1
}

/** One event per request. The reference client never compresses it. */
export const events: Endpoint = {
  name: "events",
  path: "/api/v1/events",
  compression: "identity",
  encodings: ["identity", "deflate", "gzip"],
  envelope: undefined,
  idempotent: false,
  limits: payloadLimitsV1
}

export const validatePath = "/api/v1/validate"

/** Header of the API key. No other part of a request contains the key. */
export const keyHeader = "dd-api-key"
