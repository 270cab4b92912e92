import type { AcceptedDistribution, AcceptedSeries, Stored, StoredDistribution, StoredSeries } from "../LocalIntake.js"

interface Building<Value> {
  readonly metric: string
  readonly host: string
  readonly device: string
  readonly tags: ReadonlyArray<string>
  readonly points: Map<number, Value>
  type: string
  interval: number
}

/** What Datadog tells series apart by: not their type, which it knows once for each name. */
const identityOf = (item: AcceptedSeries | AcceptedDistribution) => ({
  metric: item.metric,
  host: item.host ?? "",
  device: item.device ?? "",
  tags: Array.from(new Set(item.tags ?? [])).sort()
})

const collect = <I extends AcceptedSeries | AcceptedDistribution, Value>(
  items: ReadonlyArray<I>,
  put: (points: Map<number, Value>, point: I["points"][number]) => void
): ReadonlyArray<Building<Value>> => {
  const all = new Map<string, Building<Value>>()
  for (const item of items) {
    const identity = identityOf(item)
    const key = JSON.stringify(Object.values(identity))
    let found = all.get(key)
    if (found === undefined) {
      found = { ...identity, points: new Map(), type: "", interval: 0 }
      all.set(key, found)
    }
    found.type = item.type ?? ""
    found.interval = item.interval ?? 0
    for (const point of item.points) put(found.points, point)
  }
  return Array.from(all.values())
}

const byTime = <Value>(points: Map<number, Value>) => Array.from(points).sort(([a], [b]) => a - b)

/** What there would be to see of payloads that arrived in this order. */
export const storedOf = (
  series: ReadonlyArray<AcceptedSeries>,
  distributions: ReadonlyArray<AcceptedDistribution>
): Stored => ({
  series: collect<AcceptedSeries, number>(series, (points, [timestamp, value]) => {
    points.set(Math.floor(timestamp), value)
  }).map((item): StoredSeries => ({
    ...item,
    type: item.type === "rate" || item.type === "count" ? item.type : "gauge",
    points: byTime(item.points)
  })),
  distributions: collect<AcceptedDistribution, ReadonlyArray<number>>(distributions, (points, [timestamp, values]) => {
    const second = Math.floor(timestamp)
    points.set(second, (points.get(second) ?? []).concat(values))
  }).map(({ device, host, metric, points, tags }): StoredDistribution => ({
    metric,
    host,
    device,
    tags,
    points: byTime(points)
  }))
})
