/** Models of the Datadog Agent and of the Lambda extension: the totals that a receiver has after lines arrived. */
import { type EventLine, parse } from "./lineParser.js"

/** Identity of a series at the receiver: its name and its set of tags. */
export const seriesKey = ({ name, tags }: { readonly name: string; readonly tags: ReadonlyArray<string> }): string =>
  JSON.stringify([name, Array.from(new Set(tags)).sort()])

const entry = <K, V>(map: Map<K, V>, key: K, make: () => V): V => {
  const present = map.get(key)
  if (present !== undefined) return present
  const value = make()
  map.set(key, value)
  return value
}

/**
 * The totals that Datadog has after an Agent. The Agent adds up lines without a time in buckets of ten seconds of arrival, and
 * forwards a line with a time unchanged. Datadog keeps the last of two points for one series and second.
 * Sources: the Agent's parse.go and no_aggregation_stream_worker.go.
 */
export const makeAgent = (now: () => number) => {
  const sums = new Map<string, Map<number, number>>()
  const dated = new Map<string, Map<number, number>>()
  const gauges = new Map<string, Map<number, number>>()
  const histograms = new Map<string, { count: number; readonly values: Array<number> }>()
  const distributions = new Map<string, Array<number>>()
  const sets = new Map<string, Set<string>>()
  const events: Array<EventLine> = []
  const receive = (line: string) => {
    const parsed = parse(line)
    if (parsed.sort === "event") {
      events.push(parsed)
      return
    }
    const { rate, time, type } = parsed
    const series = seriesKey(parsed)
    const arrival = Math.floor(now() / 10) * 10
    for (const text of parsed.values) {
      const value = Number(text)
      switch (type) {
        case "c":
          if (time === undefined) {
            const points = entry(sums, series, () => new Map<number, number>())
            points.set(arrival, (points.get(arrival) ?? 0) + value / rate)
          } else {
            if (time > now()) throw new Error(`a time in the future: ${line}`)
            entry(dated, series, () => new Map()).set(time, value)
          }
          break
        case "g":
          entry(gauges, series, () => new Map()).set(time ?? arrival, value)
          break
        case "h":
        case "ms": {
          const histogram = entry(histograms, series, () => ({ count: 0, values: [] }))
          histogram.count += Math.floor(1 / rate)
          histogram.values.push(value)
          break
        }
        case "d":
          entry(distributions, series, () => []).push(value)
          break
        case "s":
          entry(sets, series, () => new Set()).add(text)
      }
    }
  }
  return {
    receive,
    events,
    histograms,
    distributions,
    sets,
    gauges,
    /** Totals by series. If a forwarded point and an added up point have the same second, Datadog loses one of them. */
    counts: (): Map<string, number> => {
      const totals = new Map<string, number>()
      for (const series of new Set([...sums.keys(), ...dated.keys()])) {
        const points = new Map([...(sums.get(series) ?? []), ...(dated.get(series) ?? [])])
        totals.set(series, Array.from(points.values()).reduce((sum, value) => sum + value, 0))
      }
      return totals
    }
  }
}

/**
 * The totals that the Lambda extension has. It knows counts, gauges and distributions, reads the first value of a line only,
 * ignores rates, rounds times down to ten seconds, and drops metrics with too many tags.
 * Sources: its dogstatsd.rs and metric.rs.
 */
export const makeExtension = (now: () => number) => {
  const counts = new Map<string, number>()
  const gauges = new Map<string, Map<number, number>>()
  const distributions = new Map<string, Map<number, Array<number>>>()
  const dropped: Array<string> = []
  const receive = (line: string) => {
    const parsed = parse(line)
    if (
      parsed.sort === "event" || parsed.tags.length > 100 || !["c", "g", "d"].includes(parsed.type) ||
      parsed.name.startsWith("aws.lambda.enhanced.invocations")
    ) {
      dropped.push(line)
      return
    }
    const time = Math.floor(Math.min(parsed.time ?? now(), now()) / 10) * 10
    const series = seriesKey(parsed)
    const value = Number(parsed.values[0])
    if (parsed.type === "c") counts.set(series, (counts.get(series) ?? 0) + value)
    else if (parsed.type === "g") entry(gauges, series, () => new Map()).set(time, value)
    else entry(entry(distributions, series, () => new Map()), time, () => []).push(value)
  }
  return { receive, counts, gauges, distributions, dropped }
}
