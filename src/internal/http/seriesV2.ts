import { quote, quoteAll, type Syntax } from "./seriesV1.js"

/** Datadog's Lambda extension counts from zero, against the reference. */
const types = { count: 1, rate: 2, gauge: 3 } as const

/** Suffixes of a histogram whose values have the unit of the metric. Its `count` has no unit. */
const inSameUnit = /\.(?:avg|max|median|min|sum|\d+(?:\.\d+)?percentile)$/

const unitsOf = (units: Readonly<Record<string, string>>) => {
  const byMetric = new Map(Object.entries(units))
  return (metric: string) =>
    byMetric.size === 0 ? undefined : byMetric.get(metric) ?? byMetric.get(metric.replace(inSameUnit, ""))
}

const resourcesOf = (host: string | null | undefined, device: string | null | undefined) =>
  Object.entries({ host, device }).flatMap(([type, name]) => name ? [{ type, name }] : [])

/** Writes lines as `/api/v2/series` takes them, with the unit of each metric if there is one. */
export const syntaxV2 = (units: Readonly<Record<string, string>> = {}): Syntax => {
  const unitOf = unitsOf(units)
  return {
    before: (metric, type, timestamp) =>
      `{"metric":${quote(metric)},"type":${types[type as keyof typeof types]},"points":[{"timestamp":${
        Math.floor(timestamp)
      },"value":`,
    after: () => "}]",
    series: ({ device, interval }, host, tags) => {
      const resources = resourcesOf(host, device).map(({ name, type }) => `{"type":"${type}","name":${quote(name)}}`)
      const list = resources.length === 0 ? "" : `,"resources":[${resources.join()}]`
      return `${list},"tags":${quoteAll(tags)},"interval":${interval}`
    },
    end: (metric) => {
      const unit = unitOf(metric)
      return unit === undefined ? "}" : `,"unit":${quote(unit)}}`
    }
  }
}
