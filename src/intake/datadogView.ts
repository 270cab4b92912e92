/** The view of Datadog on accepted payloads: metrics as it stores them. */
import type { AcceptedDistribution, AcceptedSeries, StoredDistribution, StoredMetrics, StoredSeries } from "./model.js"

interface StoredDraft<Value> {
  readonly metric: string
  readonly host: string
  readonly device: string
  readonly tags: ReadonlyArray<string>
  readonly points: Map<number, Value>
  type: string
  interval: number
}

/** Returns the identity of a series at Datadog. The type belongs to the name and not to the series. */
const identityOf = (item: AcceptedSeries | AcceptedDistribution) => ({
  metric: item.metric,
  host: item.host ?? "",
  device: item.device ?? "",
  tags: Array.from(new Set(item.tags ?? [])).sort()
})

const groupByIdentity = <I extends AcceptedSeries | AcceptedDistribution, Value>(
  items: ReadonlyArray<I>,
  addPoint: (points: Map<number, Value>, point: I["points"][number]) => void
): ReadonlyArray<StoredDraft<Value>> => {
  const drafts = new Map<string, StoredDraft<Value>>()
  for (const item of items) {
    const identity = identityOf(item)
    const key = JSON.stringify(Object.values(identity))
    let draft = drafts.get(key)
    if (draft === undefined) {
      draft = { ...identity, points: new Map(), type: "", interval: 0 }
      drafts.set(key, draft)
    }
    draft.type = item.type ?? ""
    draft.interval = item.interval ?? 0
    for (const point of item.points) addPoint(draft.points, point)
  }
  return Array.from(drafts.values())
}

const sortByTime = <Value>(points: Map<number, Value>) => Array.from(points).sort(([a], [b]) => a - b)

/** Returns the metrics that Datadog stores when payloads arrive in this order. */
export const storedMetrics = (
  series: ReadonlyArray<AcceptedSeries>,
  distributions: ReadonlyArray<AcceptedDistribution>
): StoredMetrics => ({
  series: groupByIdentity<AcceptedSeries, number>(series, (points, [timestamp, value]) => {
    points.set(Math.floor(timestamp), value)
  }).map((draft): StoredSeries => ({
    ...draft,
    type: draft.type === "rate" || draft.type === "count" ? draft.type : "gauge",
    points: sortByTime(draft.points)
  })),
  distributions: groupByIdentity<AcceptedDistribution, ReadonlyArray<number>>(
    distributions,
    (points, [timestamp, values]) => {
      const second = Math.floor(timestamp)
      points.set(second, (points.get(second) ?? []).concat(values))
    }
  ).map(({ device, host, metric, points, tags }): StoredDistribution => ({
    metric,
    host,
    device,
    tags,
    points: sortByTime(points)
  }))
})
