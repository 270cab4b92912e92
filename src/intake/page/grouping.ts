/** Groups of series by the value of a tag. */
import type { Frame } from "./lines.js"
import { findFirstIndex, type Metric, type Series } from "./state.js"

export interface SeriesGroup {
  /** Value of the tag; `undefined` for the group of all series. */
  readonly label: string | undefined
  readonly series: ReadonlyArray<Series>
}

/** Label of the series without the tag. */
const untagged = "(without)"

const { compare } = new Intl.Collator("en", { numeric: true })

/** Compares texts with numbers in numeric order. Different texts are never equal. */
export const collate = (a: string, b: string): number => compare(a, b) || (a < b ? -1 : a > b ? 1 : 0)

const keyOf = (tag: string): string => {
  const colon = tag.indexOf(":")
  return colon < 0 ? tag : tag.slice(0, colon)
}

/** Returns the tag keys of a metric and the number of their values. A tag without a colon is a key. */
export const tagKeysOf = (metric: Metric): ReadonlyArray<readonly [key: string, values: number]> => {
  const valuesByKey = new Map<string, Set<string>>()
  const add = (key: string, value: string) => {
    const values = valuesByKey.get(key)
    if (values === undefined) valuesByKey.set(key, new Set([value]))
    else values.add(value)
  }
  for (const { row, tags } of metric.series) {
    for (const { kept } of tags) add(keyOf(kept), kept)
    if (row.host !== "") add("host", row.host)
    if (row.device !== "") add("device", row.device)
  }
  return [...valuesByKey].map(([key, values]) => [key, values.size] as const).sort(([a], [b]) => a < b ? -1 : 1)
}

/** Returns all values of a tag key as one label. Datadog groups by them in the same way. */
const labelOf = ({ row, tags }: Series, key: string): string => {
  const values = tags.filter(({ kept }) => keyOf(kept) === key).map(({ kept }) =>
    kept === key ? key : kept.slice(key.length + 1)
  )
  if (values.length === 0 && key === "host" && row.host !== "") return row.host
  if (values.length === 0 && key === "device" && row.device !== "") return row.device
  return values.length === 0 ? untagged : values.sort().join(", ")
}

/** Groups the series of a metric by a tag key, ordered by label. Without a key all series are one group. */
export const groupSeries = (metric: Metric, key: string | undefined): ReadonlyArray<SeriesGroup> => {
  if (key === undefined) return [{ label: undefined, series: [...metric.series] }]
  const groups = new Map<string, Array<Series>>()
  for (const series of metric.series) {
    const label = labelOf(series, key)
    const group = groups.get(label)
    if (group === undefined) groups.set(label, [series])
    else group.push(series)
  }
  return [...groups].map(([label, series]) => ({ label, series })).sort((a, b) => collate(a.label, b.label))
}

/** Selects the groups with the largest totals in the frame, and keeps their order. */
export const selectLargest = (
  groups: ReadonlyArray<SeriesGroup>,
  frame: Frame,
  maxGroups: number
): ReadonlyArray<SeriesGroup> => {
  if (groups.length <= maxGroups) return groups
  const end = frame.from + frame.step * frame.steps
  const withTotals = groups.map((group) => {
    let total = 0
    for (const { distributions, times, values } of group.series) {
      for (let i = findFirstIndex(times, frame.from); i < times.length && times[i]! < end; i++) {
        total += distributions[i]?.count ?? Math.abs(values[i]!)
      }
    }
    return { group, total }
  })
  const selected = new Set(
    withTotals.sort((a, b) => b.total - a.total).slice(0, maxGroups).map(({ group }) => group)
  )
  return groups.filter((group) => selected.has(group))
}
