import { identity } from "effect/Function"
import type { SeriesOptions, Value } from "../model/AggregatedSeries.js"
import type { DropReason } from "../model/AggregatorStats.js"
import { hostLength } from "../model/datadogLimits.js"
import { type Kind, metricKinds } from "../model/metricKinds.js"
import { decodeTags, tagsOfOptions } from "../model/tags.js"

/** Host and tags of a series, copied and valid. */
export interface ValidSeries {
  readonly host: string | null
  readonly tags: ReadonlyArray<string>
}

const isLetter = (code: number): boolean => (code >= 97 && code <= 122) || (code >= 65 && code <= 90)

export const isValidName = (name: unknown): boolean => typeof name === "string" && isLetter(name.charCodeAt(0))

export const isValidHost = (host: unknown): boolean =>
  host === null || (typeof host === "string" && host.length <= hostLength)

/** Returns true for a finite number, and for a string if the kind takes members of a set. */
export const isValidValue = (kind: Kind, value: Value): boolean =>
  Number.isFinite(value) || (typeof value === "string" && metricKinds[kind] === "unique")

/** Validates name, host and tags, and returns the first drop reason if they are invalid. */
export const validateSeries = (name: unknown, point: SeriesOptions | undefined): ValidSeries | DropReason => {
  try {
    const host = point?.host ?? null
    if (!isValidHost(host)) return "InvalidHost"
    const input = tagsOfOptions(point)
    if (!isValidName(name)) return "InvalidName"
    // The index cuts long tags, and counts them with each new series.
    const tags = decodeTags(input, identity)
    return typeof tags === "string" ? tags : { host, tags }
  } catch {
    // A getter of the caller's threw.
    return "InvalidTags"
  }
}
