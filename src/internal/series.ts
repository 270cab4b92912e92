import type { RolledUp } from "../MetricsAggregator.js"
import type { DistributionSeries, SampleSeries, Series } from "../Series.js"
import type { ThreadStatsConfig } from "../ThreadStatsConfig.js"
import { withConstant } from "./tags.js"

/** What the client adds to what was rolled up. */
export interface Dress {
  readonly prefix: string
  readonly tags: ReadonlyArray<string>
  readonly host: string | undefined
  readonly attachHost: boolean
  readonly device: string | undefined
  /** In seconds. */
  readonly interval: number
}

export const dress = (
  config: Pick<ThreadStatsConfig, "namespace" | "tags" | "host" | "attachHost" | "device">,
  interval: number
): Dress => ({
  prefix: config.namespace === "" ? "" : `${config.namespace}.`,
  tags: config.tags,
  host: config.host,
  attachHost: config.attachHost,
  device: config.device,
  interval
})

const common = (self: Dress, item: RolledUp) => {
  const host = item.host === "" || (item.host === null && self.attachHost) ? self.host ?? item.host : item.host
  return {
    ...(host === null ? undefined : { host }),
    ...(self.device === undefined ? undefined : { device: self.device }),
    tags: withConstant(item.tags, self.tags),
    interval: self.interval
  }
}

/** Datadog's own names stand without a namespace. */
const nameOf = (self: Dress, name: string): string =>
  self.prefix === "" || name.startsWith(ownPrefix) ? name : `${self.prefix}${name}`

const ownPrefix = "aws.lambda.enhanced."

export const toSeries = (self: Dress, item: RolledUp): ReadonlyArray<Series> => {
  const shared = common(self, item)
  const name = nameOf(self, item.name)
  return item.points.map(({ suffix, type, value }) => ({
    metric: suffix === "" ? name : `${name}.${suffix}`,
    points: [[item.timestamp, value]],
    type,
    ...shared
  }))
}

export const toDistribution = (self: Dress, item: RolledUp): DistributionSeries => ({
  metric: nameOf(self, item.name),
  points: [[item.timestamp, item.values]],
  type: "distribution",
  ...common(self, item)
})

export const toSamples = (self: Dress, item: RolledUp): SampleSeries => ({
  metric: nameOf(self, item.name),
  points: [[item.timestamp, item.samples!.values]],
  weight: item.samples!.weight,
  type: item.kind as SampleSeries["type"],
  ...common(self, item)
})

/** From so many values on sorting saves more, in packing, than it takes. */
const worthSorting = 50

/** A distribution's values as they travel: their order means nothing to the receiver, and in order they pack far better. */
export const wireValues = (values: ReadonlyArray<number>): ReadonlyArray<number> =>
  values.length < worthSorting ? values : Array.from(Float64Array.from(values).sort())

/** As {@link wireValues} has the values. The item itself keeps the order of recording. */
export const sorted = (item: DistributionSeries): DistributionSeries =>
  item.points.every(([, values]) => values.length < worthSorting)
    ? item
    : { ...item, points: item.points.map(([time, values]) => [time, wireValues(values)]) }
