/**
 * What an intake remembers, within limits: what it accepted, what there is to plot of it, and what it said.
 *
 * There are two views of the same. The accepted payloads are kept as they came; the rows are what Datadog would show, by series, with
 * one value for each second.
 */
import type {
  AcceptedDistribution,
  AcceptedEvent,
  AcceptedSeries,
  Finding,
  IntakeRequest,
  Limits
} from "../LocalIntake.js"
import {
  type EventRow,
  type Health,
  noHealth,
  type RequestRow,
  type SeriesRow,
  type Update,
  type Verdict
} from "./feedProtocol.js"
import * as Sketch from "./logHistogram.js"
import * as Judge from "./validate.js"

export type Writable<A> = { -readonly [K in keyof A]: A[K] }

/** What came at once: a request, or a datagram. */
export interface Arrival {
  readonly row: Writable<RequestRow>
  isKept: boolean
  /** `undefined` for a datagram. */
  readonly request: Writable<IntakeRequest> | undefined
}

/** What tells series apart, and what is known of them. */
export interface Identity {
  readonly metric: string
  readonly kind: SeriesRow["kind"]
  readonly unit?: string | undefined
  readonly tags?: ReadonlyArray<string> | null | undefined
  readonly host?: string | null | undefined
  readonly device?: string | null | undefined
  readonly interval?: number | null | undefined
}

interface Row {
  readonly key: string
  told: SeriesRow
  readonly points: Map<number, number>
  readonly sketches: Map<number, Sketch.Sketch>
}

/** All there is under one name. */
interface Name {
  readonly rows: Set<Row>
  /** When the first of the new series was seen, and how many were since then. */
  since: number
  fresh: number
}

/** What happened since somebody was told. */
interface Changes {
  readonly rows: Set<Row>
  readonly seconds: Map<Row, Set<number>>
  readonly events: Set<EventRow>
  readonly arrivals: Set<Arrival>
  readonly forgotten: Set<number>
}

/** The most verdicts that are told of one request, and of one series. */
const maxVerdicts = 20

/** The most findings that are kept apart. */
const maxFindings = 1000

/** The most numbers that are kept to plot: of points, and of the bins of distributions. */
const maxCells = 1_000_000

/** How often the same is to be said of a series: once. */
const sameVerdict = (a: Verdict, b: Verdict): boolean => a.code === b.code && a.message === b.message

export const make = (limits: Limits) => {
  const series: Array<AcceptedSeries> = []
  const distributions: Array<AcceptedDistribution> = []
  const events: Array<AcceptedEvent> = []
  const arrivals: Array<Arrival> = []
  const eventRows: Array<EventRow> = []
  /** The one that was heard of last is the last one. */
  const rows = new Map<string, Row>()
  const names = new Map<string, Name>()
  const findings = new Map<string, Writable<Finding>>()
  let health: Writable<Health> = emptyHealth()
  let cells = 0
  let bodyBytes = 0
  let changes: Changes | undefined
  let nextId = 1

  const forgot = (count: number) => {
    health.forgotten += count
  }

  const keep = <A>(list: Array<A>, item: A, limit: number, onForget?: (item: A) => void): void => {
    list.push(item)
    while (list.length > limit) {
      const gone = list.shift()!
      onForget?.(gone)
      forgot(1)
    }
  }

  const touch = (row: Row): void => {
    rows.delete(row.key)
    rows.set(row.key, row)
  }

  const sizeOf = (row: Row): number => {
    let size = row.points.size
    for (const sketch of row.sketches.values()) size += Sketch.sizeOf(sketch)
    return size
  }

  const forgetRow = (row: Row): void => {
    rows.delete(row.key)
    cells -= sizeOf(row)
    const known = Judge.datadogName(row.told.metric)
    const name = names.get(known)
    name?.rows.delete(row)
    if (name?.rows.size === 0) names.delete(known)
    if (changes !== undefined) {
      // who was not told of it need not be told that it is gone; but nobody knows who was
      changes.rows.delete(row)
      changes.seconds.delete(row)
      changes.forgotten.add(row.told.id)
    }
    health.series = rows.size
    forgot(1)
  }

  const forgetOldestPoint = (row: Row): void => {
    const [oldest] = row.points.size > 0 ? row.points.keys() : row.sketches.keys()
    if (oldest === undefined) return
    const sketch = row.sketches.get(oldest)
    cells -= sketch === undefined ? 1 : Sketch.sizeOf(sketch)
    row.points.delete(oldest)
    row.sketches.delete(oldest)
    changes?.seconds.get(row)?.delete(oldest)
    forgot(1)
  }

  const stayWithin = (row: Row): void => {
    while (row.points.size + row.sketches.size > limits.pointsPerSeries) forgetOldestPoint(row)
    while (cells > maxCells) {
      const [oldest] = rows.values()
      if (oldest === undefined || (oldest === row && row.points.size + row.sketches.size < 2)) return
      if (oldest === row) forgetOldestPoint(row)
      else forgetRow(oldest)
    }
  }

  const changed = (row: Row, second?: number): void => {
    if (changes === undefined) return
    if (second === undefined) {
      changes.rows.add(row)
      return
    }
    const seconds = changes.seconds.get(row)
    if (seconds === undefined) changes.seconds.set(row, new Set([second]))
    else seconds.add(second)
  }

  /** Counts a series of a name that was not there before, and says so where there are many. */
  const grow = (name: Name, row: Row, now: number): ReadonlyArray<Verdict> => {
    if (now - name.since > Judge.growthWindow) {
      name.since = now
      name.fresh = 0
    }
    name.fresh++
    return name.fresh !== Judge.fastGrowth ? [] : [
      Judge.growing(row.told.metric, name.fresh, Judge.widestTag(Array.from(name.rows, ({ told }) => told.tags)))
    ]
  }

  const conflictIn = (name: Name, row: Row): ReadonlyArray<Verdict> => {
    const isDistribution = row.told.kind === "distribution"
    for (const other of name.rows) {
      if ((other.told.kind === "distribution") !== isDistribution) {
        return [Judge.kindConflict(row.told.metric, row.told.kind, other.told.kind)]
      }
    }
    return []
  }

  /** The row of a series, which Datadog knows by what it makes of name and tags. */
  const rowOf = (identity: Identity, verdicts: ReadonlyArray<Verdict>, now: number): [Row, ReadonlyArray<Verdict>] => {
    const { device, host, interval, kind, metric, unit } = identity
    const tags = Array.from(new Set(identity.tags ?? [])).sort()
    const known = Judge.datadogName(metric)
    const key = JSON.stringify([
      known,
      kind === "distribution",
      host ?? "",
      device ?? "",
      ...new Set(tags.map(Judge.datadogTag))
    ])
    const found = rows.get(key)
    if (found !== undefined) {
      touch(found)
      const { told } = found
      const news = verdicts.filter((one) => isLasting(one) && !told.verdicts.some((other) => sameVerdict(one, other)))
      if (
        told.kind !== kind || told.interval !== (interval ?? 0) || (unit !== undefined && told.unit !== unit) ||
        (news.length > 0 && told.verdicts.length < maxVerdicts)
      ) {
        found.told = {
          ...told,
          kind,
          interval: interval ?? 0,
          unit: unit ?? told.unit,
          verdicts: [...told.verdicts, ...news].slice(0, maxVerdicts)
        }
        changed(found)
      }
      return [found, []]
    }
    const row: Row = {
      key,
      told: {
        id: nextId++,
        metric,
        kind,
        unit: unit ?? null,
        tags,
        host: host ?? "",
        device: device ?? "",
        interval: interval ?? 0,
        verdicts: []
      },
      points: new Map(),
      sketches: new Map()
    }
    let name = names.get(known)
    if (name === undefined) names.set(known, name = { rows: new Set(), since: now, fresh: 0 })
    const conflicts = conflictIn(name, row)
    rows.set(key, row)
    name.rows.add(row)
    const growth = grow(name, row, now)
    row.told = { ...row.told, verdicts: [...verdicts.filter(isLasting), ...conflicts].slice(0, maxVerdicts) }
    changed(row)
    while (rows.size > limits.series) forgetRow(rows.values().next().value!)
    health.series = rows.size
    return [row, [...conflicts, ...growth]]
  }

  /** Puts a value, and returns the one that it replaced. */
  const put = (row: Row, second: number, value: number): number | undefined => {
    const before = row.points.get(second)
    if (before === undefined) cells++
    row.points.set(second, value)
    changed(row, second)
    stayWithin(row)
    return before
  }

  const record = (found: ReadonlyArray<Verdict>): void => {
    const counts: Record<string, number> = { ...health.verdicts }
    for (const verdict of found) {
      if (verdict.outcome === "accepted") continue
      counts[verdict.code] = (counts[verdict.code] ?? 0) + 1
      const key = JSON.stringify([verdict.outcome, verdict.code, verdict.metric])
      const known = findings.get(key)
      if (known !== undefined) {
        known.count++
        continue
      }
      findings.set(key, { ...verdict, count: 1 })
      if (findings.size > maxFindings) findings.delete(findings.keys().next().value!)
    }
    health.verdicts = counts
  }

  /** All that is to be told to somebody who knows nothing. */
  const everything = (): Changes => ({
    rows: new Set(rows.values()),
    seconds: new Map(
      Array.from(rows.values(), (row) => [row, new Set([...row.points.keys(), ...row.sketches.keys()])])
    ),
    events: new Set(eventRows),
    arrivals: new Set(arrivals),
    forgotten: new Set()
  })

  const updateOf = ({ arrivals, events, forgotten, rows, seconds }: Changes, now: number): Update => {
    const points: Array<Update["points"][number]> = []
    const distributions: Array<Update["distributions"][number]> = []
    for (const [row, some] of seconds) {
      for (const second of some) {
        const value = row.points.get(second)
        const sketch = row.sketches.get(second)
        if (value !== undefined) points.push([row.told.id, second, value])
        if (sketch !== undefined) distributions.push(Sketch.toPoint(row.told.id, second, sketch))
      }
    }
    return {
      now,
      series: Array.from(rows, ({ told }) => told),
      points,
      distributions,
      events: Array.from(events),
      requests: Array.from(arrivals, ({ row }) => row),
      health,
      forgotten: Array.from(forgotten)
    }
  }

  const nothing = (): Changes => ({
    rows: new Set(),
    seconds: new Map(),
    events: new Set(),
    arrivals: new Set(),
    forgotten: new Set()
  })

  const forgetBody = (arrival: Arrival): void => {
    if (arrival.request?.body === undefined) return
    bodyBytes -= arrival.row.unpackedBytes
    arrival.request.body = undefined
  }

  return {
    series: series as ReadonlyArray<AcceptedSeries>,
    distributions: distributions as ReadonlyArray<AcceptedDistribution>,
    events: events as ReadonlyArray<AcceptedEvent>,
    arrivals: arrivals as ReadonlyArray<Arrival>,
    findings: (): ReadonlyArray<Finding> => Array.from(findings.values(), (finding) => ({ ...finding })),
    health: (): Health => health,
    forgot,
    rowOf,
    put,

    /** Adds values of a distribution to those of a second. */
    add(row: Row, second: number, values: ReadonlyArray<number>): void {
      let sketch = row.sketches.get(second)
      if (sketch === undefined) row.sketches.set(second, sketch = Sketch.make())
      else cells -= Sketch.sizeOf(sketch)
      for (const value of values) Sketch.add(sketch, value)
      cells += Sketch.sizeOf(sketch)
      changed(row, second)
      stayWithin(row)
    },

    arrived(row: Omit<RequestRow, "id">, request: Writable<IntakeRequest> | undefined): Arrival {
      const arrival: Arrival = { row: { id: nextId++, ...row }, isKept: true, request }
      if (request === undefined) health.datagrams++
      else health.requests++
      health.bytes += row.bytes
      health.unpackedBytes += row.unpackedBytes
      keep(arrivals, arrival, limits.requests, (gone) => {
        gone.isKept = false
        changes?.arrivals.delete(gone)
        forgetBody(gone)
      })
      if (request?.body !== undefined) {
        bodyBytes += row.unpackedBytes
        for (let i = 0; bodyBytes > limits.bodyBytes && i < arrivals.length; i++) {
          if (arrivals[i]!.request?.body === undefined) continue
          forgetBody(arrivals[i]!)
          forgot(1)
        }
      }
      changes?.arrivals.add(arrival)
      return arrival
    },

    /** Says of what arrived how it was answered, or what came of it. */
    answered(arrival: Arrival, answer: Partial<Writable<RequestRow>>, found: ReadonlyArray<Verdict> = []): void {
      const { request, row } = arrival
      Object.assign(row, answer)
      if (found.length > 0) {
        record(found)
        const all = [...row.verdicts, ...found]
        row.more += Math.max(0, all.length - maxVerdicts)
        row.verdicts = all.slice(0, maxVerdicts)
      }
      if (request !== undefined) {
        request.status = row.status ?? undefined
        request.duration = row.duration ?? undefined
        request.fault = row.fault ?? undefined
        request.reason = row.reason ?? undefined
        request.verdicts = row.verdicts
        if (answer.status !== undefined && answer.status !== null && (answer.status < 200 || answer.status > 299)) {
          health.refused++
        }
      }
      if (arrival.isKept) changes?.arrivals.add(arrival)
    },

    acceptSeries(item: AcceptedSeries): void {
      health.points += item.points.length
      keep(series, item, limits.accepted)
    },

    acceptDistribution(item: AcceptedDistribution): void {
      for (const [, values] of item.points) health.values += values.length
      keep(distributions, item, limits.accepted)
    },

    acceptEvent(event: AcceptedEvent, verdicts: ReadonlyArray<Verdict>, now: number): void {
      health.events++
      keep(events, event, limits.events)
      const row: EventRow = {
        id: nextId++,
        timestamp: event.date_happened ?? Math.floor(now / 1000),
        title: event.title,
        text: event.text,
        alertType: event.alert_type ?? "info",
        priority: event.priority ?? "normal",
        tags: event.tags ?? [],
        host: event.host ?? "",
        verdicts
      }
      eventRows.push(row)
      if (eventRows.length > limits.events) changes?.events.delete(eventRows.shift()!)
      changes?.events.add(row)
    },

    clear(): void {
      for (const arrival of arrivals) arrival.isKept = false
      for (const list of [series, distributions, events, arrivals, eventRows]) list.length = 0
      rows.clear()
      names.clear()
      findings.clear()
      health = emptyHealth()
      cells = 0
      bodyBytes = 0
      if (changes !== undefined) changes = nothing()
    },

    /** From now on, what changes is noted, for {@link takeChanges}; until that is told to stop. */
    noteChanges(): void {
      changes ??= nothing()
    },

    ignoreChanges(): void {
      changes = undefined
    },

    /** What changed since the last time, or nothing if nothing did. */
    takeChanges(now: number): Update | undefined {
      if (changes === undefined) return undefined
      const { arrivals, events, forgotten, rows, seconds } = changes
      if (arrivals.size + events.size + forgotten.size + rows.size + seconds.size === 0) return undefined
      const update = updateOf(changes, now)
      changes = nothing()
      return update
    },

    snapshot: (now: number): Update => updateOf(everything(), now)
  }
}

export type Memory = ReturnType<typeof make>

/** What is a trait of a series, and not of a single point of it. */
const isLasting = ({ outcome }: Verdict): boolean => outcome === "rewritten" || outcome === "warning"

const emptyHealth = (): Writable<Health> => ({ ...noHealth, verdicts: {} })
