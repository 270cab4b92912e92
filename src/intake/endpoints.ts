/**
 * The endpoints of Datadog's API as the intake serves them. The client has a description of its own: a mistake in one of the
 * two fails a test. Source: Datadog API reference, v1 and v2 metrics, v1 events and service checks.
 */

import { parseSeriesV2 } from "./protobuf.js"

/** Format of a body: plain, zlib (RFC 1950, which HTTP calls deflate), gzip or Zstandard. */
export type BodyEncoding = "identity" | "deflate" | "gzip" | "zstd"

/** Maximum size of a body, on the wire and uncompressed, in bytes. */
export interface BodyLimits {
  readonly bytes: number
  readonly unpackedBytes: number
}

/** An endpoint that takes a payload. */
export interface IntakeEndpoint {
  readonly path: `/${string}`
  readonly encodings: ReadonlyArray<BodyEncoding>
  readonly limits: BodyLimits
  /** Parses a body of the type `application/x-protobuf` to its form in JSON. Without it every body is JSON. */
  readonly protobuf?: (bytes: Uint8Array) => unknown
}

/** Limits that Datadog documents for series. The intake assumes them for distribution points and events. */
export const defaultBodyLimits: BodyLimits = { bytes: 3_200_000, unpackedBytes: 62_914_560 }

export const series: IntakeEndpoint = {
  path: "/api/v1/series",
  encodings: ["identity", "deflate", "gzip"],
  limits: defaultBodyLimits
}

export const seriesV2: IntakeEndpoint = {
  path: "/api/v2/series",
  encodings: ["identity", "deflate", "gzip", "zstd"],
  limits: { bytes: 512_000, unpackedBytes: 5_242_880 },
  protobuf: parseSeriesV2
}

export const distributionPoints: IntakeEndpoint = {
  path: "/api/v1/distribution_points",
  encodings: ["identity", "deflate"],
  limits: defaultBodyLimits
}

export const events: IntakeEndpoint = {
  path: "/api/v1/events",
  encodings: ["identity", "deflate", "gzip"],
  limits: defaultBodyLimits
}

export const serviceChecks: IntakeEndpoint = {
  path: "/api/v1/check_run",
  encodings: ["identity", "deflate", "gzip"],
  limits: defaultBodyLimits
}

export const validatePath = "/api/v1/validate"

/** Header with the API key. */
export const keyHeader = "dd-api-key"

/** Parameter of the query with the API key, which some clients send in place of the header. */
export const keyParameter = "api_key"
