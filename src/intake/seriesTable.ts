/** Series by their identity at Datadog, with the points and distributions that the page plots. */
import { type Budget, sizeOfText } from "./budget.js"
import type { PendingChanges } from "./changes.js"
import type { SeriesEntry } from "./entries.js"
import type { Health, SeriesRow } from "./feedProtocol.js"
import * as LogHistogram from "./logHistogram.js"
import type { IntakeLimits, Writable } from "./model.js"
import { findWidestTag, normalizeName, normalizeTag, reportCardinality, reportKindConflict } from "./validate.js"
import type { Verdict } from "./verdict.js"

/** Identity and metadata of a series in a payload or datagram. */
export interface SeriesDescription {
  readonly metric: string
  readonly kind: SeriesRow["kind"]
  readonly unit?: string | undefined
  readonly tags?: ReadonlyArray<string> | null | undefined
  readonly host?: string | null | undefined
  readonly device?: string | null | undefined
  readonly interval?: number | null | undefined
}

/** All series of one name. */
interface MetricEntries {
  readonly distributions: Set<SeriesEntry>
  /** Gauges, rates and counts. */
  readonly others: Set<SeriesEntry>
  /** Start of the window in which new series are counted, in milliseconds since the epoch. */
  windowStart: number
  /** Number of series that are new in the window. */
  recentSeries: number
}

/** Number of new series of one name within {@link cardinalityWindow} that causes a warning. */
const cardinalityThreshold = 100

/** Milliseconds. */
const cardinalityWindow = 60_000

/** Maximum number of verdicts of one series. */
const maxVerdicts = 20

/** Maximum number of datapoints in all series: each point and each bin of a distribution counts as one. */
const maxDatapoints = 1_000_000

/** Estimated memory of a datapoint, in bytes. */
const datapointBytes = 48

/** Estimated memory of an entry besides its texts, in bytes. */
const baseBytes = 4096

/** Estimates the memory of an entry without its datapoints. The key contains the name and all tags. */
const memoryOf = ({ key }: SeriesEntry): number => baseBytes + 2 * sizeOfText(key)

const isEqual = (a: Verdict, b: Verdict): boolean => a.code === b.code && a.message === b.message

/** Returns whether a verdict concerns the series itself and not one of its points. */
const concernsSeries = ({ outcome }: Verdict): boolean => outcome === "rewritten" || outcome === "warning"

const countSeconds = ({ histograms, points }: SeriesEntry): number => points.size + histograms.size

const countDatapoints = ({ histograms, points }: SeriesEntry): number => {
  let count = points.size
  for (const histogram of histograms.values()) count += LogHistogram.sizeOf(histogram)
  return count
}

const entriesOfKind = (siblings: MetricEntries, isDistribution: boolean): Set<SeriesEntry> =>
  isDistribution ? siblings.distributions : siblings.others

const keyOf = ({ device, host, kind, metric, tags }: SeriesDescription): string =>
  JSON.stringify([
    normalizeName(metric),
    kind === "distribution",
    host ?? "",
    device ?? "",
    ...new Set(Array.from(tags ?? [], normalizeTag).sort())
  ])

export class SeriesTable {
  private readonly limits: IntakeLimits
  private readonly health: Writable<Health>
  private readonly changes: PendingChanges
  private readonly nextId: () => number
  /** Entries in the order of their last use. */
  private readonly entries = new Map<string, SeriesEntry>()
  private readonly metrics = new Map<string, MetricEntries>()
  private datapoints = 0
  /** Estimated memory of all entries without their datapoints, in bytes. */
  private entryBytes = 0

  constructor(
    limits: IntakeLimits,
    health: Writable<Health>,
    changes: PendingChanges,
    budget: Budget,
    nextId: () => number
  ) {
    this.limits = limits
    this.health = health
    this.changes = changes
    this.nextId = nextId
    budget.add({
      bytes: () => this.entryBytes + datapointBytes * this.datapoints,
      evictOldest: () => {
        const [oldest] = this.entries.values()
        if (oldest !== undefined) this.evict(oldest)
        return oldest !== undefined
      }
    })
  }

  /** Returns all series, least recently used first. */
  all(): Iterable<SeriesEntry> {
    return this.entries.values()
  }

  /** Finds the entry of a series or creates it. A new series can cause warnings about its name. */
  resolve(
    description: SeriesDescription,
    verdicts: ReadonlyArray<Verdict>,
    now: number
  ): { readonly entry: SeriesEntry; readonly warnings: ReadonlyArray<Verdict> } {
    const key = keyOf(description)
    const entry = this.entries.get(key)
    if (entry === undefined) return this.create(key, description, verdicts, now)
    this.markUsed(entry)
    this.refresh(entry, description, verdicts)
    return { entry, warnings: [] }
  }

  /** Sets the value of a second, and returns the value that it replaces. */
  setPoint(entry: SeriesEntry, second: number, value: number): number | undefined {
    const before = entry.points.get(second)
    if (before === undefined) this.datapoints++
    entry.points.set(second, value)
    this.changes.addPoint(entry, second)
    this.enforceLimits(entry)
    return before
  }

  /** Adds values of a distribution to those of their second. Each one stands for `weight` values. */
  addValues(entry: SeriesEntry, second: number, values: ReadonlyArray<number>, weight = 1): void {
    let histogram = entry.histograms.get(second)
    if (histogram === undefined) entry.histograms.set(second, histogram = LogHistogram.make())
    else this.datapoints -= LogHistogram.sizeOf(histogram)
    for (const value of values) LogHistogram.add(histogram, value, weight)
    this.datapoints += LogHistogram.sizeOf(histogram)
    this.changes.addPoint(entry, second)
    this.enforceLimits(entry)
  }

  /** Publishes the first verdict of a code about points of a series. Each of many points may have one. */
  publishVerdict(entry: SeriesEntry, verdict: Verdict): void {
    const { verdicts } = entry.published
    if (verdicts.some(({ code }) => code === verdict.code)) return
    entry.published = { ...entry.published, verdicts: [verdict, ...verdicts].slice(0, maxVerdicts) }
    this.changes.addSeries(entry)
  }

  clear(): void {
    this.entries.clear()
    this.metrics.clear()
    this.datapoints = 0
    this.entryBytes = 0
  }

  private create(
    key: string,
    { device, host, interval, kind, metric, tags, unit }: SeriesDescription,
    verdicts: ReadonlyArray<Verdict>,
    now: number
  ): { readonly entry: SeriesEntry; readonly warnings: ReadonlyArray<Verdict> } {
    const row: SeriesRow = {
      id: this.nextId(),
      metric,
      kind,
      unit: unit ?? null,
      tags: Array.from(new Set(tags ?? [])).sort(),
      host: host ?? "",
      device: device ?? "",
      interval: interval ?? 0,
      verdicts: []
    }
    const entry: SeriesEntry = { key, published: row, points: new Map(), histograms: new Map() }
    const name = normalizeName(metric)
    let siblings = this.metrics.get(name)
    if (siblings === undefined) {
      this.metrics.set(
        name,
        siblings = { distributions: new Set(), others: new Set(), windowStart: now, recentSeries: 0 }
      )
    }
    const conflicts = this.findKindConflict(siblings, row)
    this.entries.set(key, entry)
    this.entryBytes += memoryOf(entry)
    entriesOfKind(siblings, kind === "distribution").add(entry)
    const growth = this.trackCardinality(siblings, metric, now)
    entry.published = { ...row, verdicts: [...verdicts.filter(concernsSeries), ...conflicts].slice(0, maxVerdicts) }
    this.changes.addSeries(entry)
    while (this.entries.size > this.limits.series) this.evict(this.entries.values().next().value!)
    this.health.series = this.entries.size
    return { entry, warnings: [...conflicts, ...growth] }
  }

  /** Publishes the metadata of the latest payload if it differs from the published one. */
  private refresh(entry: SeriesEntry, description: SeriesDescription, verdicts: ReadonlyArray<Verdict>): void {
    const { published } = entry
    const { kind, unit } = description
    const interval = description.interval ?? 0
    const added = verdicts.filter((verdict) =>
      concernsSeries(verdict) && !published.verdicts.some((known) => isEqual(verdict, known))
    )
    const isUnchanged = published.kind === kind && published.interval === interval &&
      (unit === undefined || published.unit === unit) &&
      (added.length === 0 || published.verdicts.length >= maxVerdicts)
    if (isUnchanged) return
    entry.published = {
      ...published,
      kind,
      interval,
      unit: unit ?? published.unit,
      verdicts: [...published.verdicts, ...added].slice(0, maxVerdicts)
    }
    this.changes.addSeries(entry)
  }

  private findKindConflict(siblings: MetricEntries, { kind, metric }: SeriesRow): ReadonlyArray<Verdict> {
    const [other] = entriesOfKind(siblings, kind !== "distribution")
    return other === undefined ? [] : [reportKindConflict(metric, kind, other.published.kind)]
  }

  private trackCardinality(siblings: MetricEntries, metric: string, now: number): ReadonlyArray<Verdict> {
    if (now - siblings.windowStart > cardinalityWindow) {
      siblings.windowStart = now
      siblings.recentSeries = 0
    }
    siblings.recentSeries++
    if (siblings.recentSeries !== cardinalityThreshold) return []
    const entries = [...siblings.distributions, ...siblings.others]
    const widest = findWidestTag(entries.map(({ published }) => published.tags))
    return [reportCardinality(metric, siblings.recentSeries, widest)]
  }

  private markUsed(entry: SeriesEntry): void {
    this.entries.delete(entry.key)
    this.entries.set(entry.key, entry)
  }

  private evict(entry: SeriesEntry): void {
    this.entries.delete(entry.key)
    this.datapoints -= countDatapoints(entry)
    this.entryBytes -= memoryOf(entry)
    const name = normalizeName(entry.published.metric)
    const siblings = this.metrics.get(name)
    if (siblings !== undefined) {
      entriesOfKind(siblings, entry.published.kind === "distribution").delete(entry)
      if (siblings.distributions.size + siblings.others.size === 0) this.metrics.delete(name)
    }
    this.changes.evictSeries(entry)
    this.health.series = this.entries.size
    this.health.evicted++
  }

  private evictOldestPoint(entry: SeriesEntry): void {
    const [oldest] = entry.points.size > 0 ? entry.points.keys() : entry.histograms.keys()
    if (oldest === undefined) return
    const histogram = entry.histograms.get(oldest)
    this.datapoints -= histogram === undefined ? 1 : LogHistogram.sizeOf(histogram)
    entry.points.delete(oldest)
    entry.histograms.delete(oldest)
    this.changes.evictPoint(entry, oldest)
    this.health.evicted++
  }

  /** Evicts points beyond the limit of the series, and then the least recently used series beyond the limit of the table. */
  private enforceLimits(entry: SeriesEntry): void {
    while (countSeconds(entry) > this.limits.pointsPerSeries) this.evictOldestPoint(entry)
    while (this.datapoints > maxDatapoints) {
      const [oldest] = this.entries.values()
      if (oldest === undefined || (oldest === entry && countSeconds(entry) < 2)) return
      if (oldest === entry) this.evictOldestPoint(entry)
      else this.evict(oldest)
    }
  }
}
