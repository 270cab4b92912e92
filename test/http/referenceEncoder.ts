/** Wire forms and a batch encoder, with which tests compare the writer, and a function that writes items line by line. */
import { Effect } from "effect"
import type { Series } from "effect-threadstats"
import { makeBodyWriter } from "../../src/internal/http/bodyWriter.js"
import { chunk, type Encoded, type Entry } from "../../src/internal/http/chunker.js"
import { encodingOf } from "../../src/internal/http/compression.js"
import type { Encoding, Endpoint, EnvelopedEndpoint } from "../../src/internal/http/endpoints.js"
import { stringify } from "../../src/internal/http/json.js"
import { wireValues } from "../../src/internal/http/seriesV1.js"

/** Numbers of the types in the reference. */
const types = { count: 1, rate: 2, gauge: 3 } as const

/** Suffixes of a histogram whose values have the unit of the metric. */
const inSameUnit = /\.(?:avg|max|median|min|sum|\d+(?:\.\d+)?percentile)$/

/** Returns the form in which v2 takes a series, with the unit of its metric. */
export const toV2 = (units: Readonly<Record<string, string>> = {}) => {
  const byMetric = new Map(Object.entries(units))
  return ({ device, host, interval, metric, points, tags, type }: Series.Series): Series.SeriesV2 => {
    const resources = Object.entries({ host, device }).flatMap(([type, name]) => name ? [{ type, name }] : [])
    return {
      metric,
      type: types[type],
      points: points.map(([timestamp, value]) => ({ timestamp: Math.floor(timestamp), value })),
      ...(resources.length === 0 ? undefined : { resources }),
      tags,
      interval,
      unit: byMetric.get(metric) ?? byMetric.get(metric.replace(inSameUnit, ""))
    }
  }
}

/** Returns a distribution with its values in the order in which they are sent. */
export const sorted = (item: Series.DistributionSeries): Series.DistributionSeries => ({
  ...item,
  points: item.points.map(([time, values]) => [time, wireValues(values)])
})

const toEntry = <A>(item: A, form: (item: A) => unknown): Entry<A> => {
  const json = stringify(form(item))
  return { item, json, bytes: Buffer.byteLength(json) }
}

/** Groups entries into bodies, each as full as the limit for uncompressed bytes allows. */
const groupBySize = <A>(endpoint: Endpoint, entries: ReadonlyArray<Entry<A>>, encoding: Encoding) => {
  const { bytes, unpackedBytes } = endpoint.limits
  const limit = encoding === "identity" ? Math.min(bytes, unpackedBytes) : unpackedBytes
  const [before, after] = endpoint.envelope ?? ["", ""]
  const envelope = before.length + after.length
  const groups: Array<Array<Entry<A>>> = []
  let size = Infinity
  for (const entry of entries) {
    if (size + 1 + entry.bytes > limit) {
      groups.push([])
      size = envelope - 1
    }
    groups.at(-1)!.push(entry)
    size += 1 + entry.bytes
  }
  return groups
}

/** Encodes a whole batch, without the writer. */
export const encodeBatch = <A>(
  endpoint: Endpoint,
  items: ReadonlyArray<A>,
  options: { readonly compress: boolean; readonly form: (item: A) => unknown }
): Effect.Effect<Encoded<A>> => {
  const encoding = encodingOf(endpoint, options.compress)
  const groups = groupBySize(endpoint, items.map((item) => toEntry(item, options.form)), encoding)
  return Effect.map(Effect.forEach(groups, (group) => chunk(endpoint, group, encoding)), (parts) => ({
    chunks: parts.flatMap(({ chunks }) => chunks),
    unencodable: parts.flatMap(({ unencodable }) => unencodable)
  }))
}

/** Writes items line by line. */
export const writeItems = <A extends Series.Series>(
  endpoint: EnvelopedEndpoint,
  items: ReadonlyArray<A>,
  { compress, form = (item) => item }: { readonly compress: boolean; readonly form?: (item: A) => unknown }
): Effect.Effect<Encoded<A>> =>
  Effect.suspend(() => {
    const writer = makeBodyWriter<A>(endpoint, encodingOf(endpoint, compress))
    for (const item of items) {
      const { bytes, json } = toEntry(item, form)
      writer.add(item, item.points[0]![0], json, bytes)
    }
    return writer.end
  })
