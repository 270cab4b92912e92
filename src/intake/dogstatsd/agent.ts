/**
 * What an Agent makes of DogStatsD and sends on to Datadog: what has no time is rolled up in buckets of ten seconds of arrival,
 * what has one is passed on as it is. Histograms become the aggregates that are the Agent's default.
 */
import type { AcceptedDistribution, AcceptedSeries } from "../../LocalIntake.js"
import type { Identity, Memory } from "../store.js"
import type { Metric } from "./parser.js"

/** In seconds. */
export const bucketLength = 10

/** The most members of a set and values of a histogram or distribution that one series has in one bucket. */
const maxValues = 10_000

/** The most series of one bucket. More are sent on before it is over. */
const maxCells = 10_000

/** One series in one bucket. */
interface Cell {
  readonly identity: Omit<Identity, "kind">
  readonly type: Metric["type"]
  /** What counts add up to; of a gauge the last value. */
  value: number
  readonly members: Set<string>
  /** Ascending but for distributions, which stay as they came; each with how many it stands for. */
  readonly values: Array<readonly [value: number, weight: number]>
}

type Outgoing =
  | { readonly _tag: "Series"; readonly item: AcceptedSeries }
  | { readonly _tag: "Distribution"; readonly item: AcceptedDistribution }

const insert = (values: Cell["values"], value: number, weight: number): void => {
  let low = 0
  let high = values.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (values[middle]![0] <= value) low = middle + 1
    else high = middle
  }
  values.splice(low, 0, [value, weight])
}

const weightOf = (values: Cell["values"]): number => values.reduce((sum, [, weight]) => sum + weight, 0)

/** The value below which this part of the weight is. */
const quantile = (values: Cell["values"], part: number, total: number): number => {
  const rank = Math.max(1, Math.ceil(part * total))
  let seen = 0
  for (const [value, weight] of values) {
    seen += weight
    if (seen >= rank) return value
  }
  return values.at(-1)![0]
}

/** The series that there are of a cell: by suffix of the name, kind and value. */
const aggregatesOf = ({ members, type, value, values }: Cell): ReadonlyArray<
  readonly [suffix: string, kind: "gauge" | "rate", value: number]
> => {
  if (type === "c") return [["", "rate", value / bucketLength]]
  if (type === "g") return [["", "gauge", value]]
  if (type === "s") return [["", "gauge", members.size]]
  if (type === "d" || values.length === 0) return []
  const total = weightOf(values)
  return [
    [".max", "gauge", values.at(-1)![0]],
    [".median", "gauge", quantile(values, 0.5, total)],
    [".avg", "gauge", values.reduce((sum, [value, weight]) => sum + value * weight, 0) / total],
    [".count", "rate", total / bucketLength],
    [".95percentile", "gauge", quantile(values, 0.95, total)]
  ]
}

const outgoingOf = (start: number, cell: Cell): ReadonlyArray<Outgoing> => {
  const { device, host, metric, tags } = cell.identity
  const common = {
    tags: tags ?? [],
    ...(host === undefined ? undefined : { host }),
    ...(device === undefined ? undefined : { device }),
    interval: bucketLength
  }
  return cell.type === "d"
    ? [{
      _tag: "Distribution",
      item: { metric, points: [[start, cell.values.map(([value]) => value)]], type: "distribution", ...common }
    }]
    : aggregatesOf(cell).map(([suffix, type, value]): Outgoing => ({
      _tag: "Series",
      item: { metric: `${metric}${suffix}`, points: [[start, value]], type, ...common }
    }))
}

export const make = (memory: Memory) => {
  /** By its start, in seconds. */
  const buckets = new Map<number, Map<string, Cell>>()

  const outgoing = (all: Iterable<readonly [start: number, cells: Map<string, Cell>]>): ReadonlyArray<Outgoing> =>
    Array.from(all).flatMap(([start, cells]) => Array.from(cells.values()).flatMap((cell) => outgoingOf(start, cell)))

  const send = (items: ReadonlyArray<Outgoing>): void => {
    for (const { _tag, item } of items) {
      if (_tag === "Series") memory.acceptSeries(item)
      else memory.acceptDistribution(item)
    }
  }

  /** Sends on the buckets that are over. */
  const close = (now: number): void => {
    for (const [start, cells] of buckets) {
      if (start + bucketLength > now) continue
      buckets.delete(start)
      send(outgoing([[start, cells]]))
    }
  }

  const cellOf = (start: number, metric: Metric): Cell => {
    let cells = buckets.get(start)
    if (cells === undefined) buckets.set(start, cells = new Map())
    const { device, host, name, tags, type } = metric
    const key = JSON.stringify([name, type, host, device, ...new Set(tags.toSorted())])
    let cell = cells.get(key)
    if (cell === undefined) {
      cell = {
        identity: { metric: name, tags, host, device, interval: bucketLength },
        type,
        value: 0,
        members: new Set(),
        values: []
      }
      cells.set(key, cell)
      if (cells.size > maxCells) {
        const [oldest] = cells
        cells.delete(oldest![0])
        send(outgoingOf(start, oldest![1]))
      }
    }
    return cell
  }

  return {
    close,

    /** What would be sent on of the buckets that are open. */
    open: (): ReadonlyArray<Outgoing> => outgoing(buckets),

    clear: (): void => buckets.clear(),

    /** Rolls up values without a time. `put` is told what there is to see of them from now on. */
    roll(
      metric: Metric,
      now: number,
      put: (identity: Identity, second: number, value: number | ReadonlyArray<number>) => void
    ): void {
      const start = Math.floor(now / bucketLength) * bucketLength
      const cell = cellOf(start, metric)
      const added: Array<number> = []
      for (const value of metric.values) {
        if (typeof value === "string") {
          if (cell.members.size < maxValues) cell.members.add(value)
        } else if (metric.type === "c") {
          cell.value += value / metric.rate
        } else if (metric.type === "g") {
          cell.value = value
        } else if (metric.type === "d") {
          // Datadog is sent how often there was each value
          const times = Math.floor(1 / metric.rate)
          const room = Math.min(times, maxValues - cell.values.length)
          memory.forgot(times - room)
          for (let i = 0; i < room; i++) {
            cell.values.push([value, 1])
            added.push(value)
          }
        } else if (cell.values.length < maxValues) {
          insert(cell.values, value, Math.floor(1 / metric.rate))
        } else {
          memory.forgot(1)
        }
      }
      if (metric.type === "d") {
        put({ ...cell.identity, kind: "distribution" }, start, added)
        return
      }
      for (const [suffix, kind, value] of aggregatesOf(cell)) {
        put({ ...cell.identity, metric: `${cell.identity.metric}${suffix}`, kind }, start, value)
      }
    }
  }
}
