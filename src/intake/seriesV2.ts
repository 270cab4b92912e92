import type { SeriesV2Payload } from "../Series.js"
import type { AcceptedSeries } from "./model.js"

const typeNames = ["", "count", "rate", "gauge"] as const

/** Converts an element of a version 2 payload to the form of version 1. Resources other than host and device are left out. */
export const toSeriesV1 = (
  { points, resources, type, ...rest }: typeof SeriesV2Payload.Type["series"][number]
): AcceptedSeries => {
  const findResource = (type: string) => resources?.find((candidate) => candidate.type === type)?.name
  const host = findResource("host")
  const device = findResource("device")
  return {
    ...rest,
    points: points.map(({ timestamp, value }) => [timestamp, value]),
    type: typeNames[type ?? 0],
    ...(host === undefined ? undefined : { host }),
    ...(device === undefined ? undefined : { device })
  }
}
