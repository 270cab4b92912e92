/** Limits of the body of one request, in bytes. Source: Datadog API reference, v1 and v2 metrics. */
export interface PayloadLimits {
  /** Limit of the body as it is sent. */
  readonly bytes: number
  /** Limit of the body before compression. */
  readonly unpackedBytes: number
}

/** Documented for series v1. Distribution points and events have no documented limits, so these hold for them too. */
export const payloadLimitsV1: PayloadLimits = { bytes: 3_200_000, unpackedBytes: 62_914_560 }

/** Documented for series v2. */
export const payloadLimitsV2: PayloadLimits = { bytes: 512_000, unpackedBytes: 5_242_880 }
