import type { Counts, Stats } from "../model/Stats.js"

/** One point about the client itself. */
export interface SelfPoint {
  readonly kind: "counter" | "gauge"
  readonly name: string
  readonly value: number
  readonly tags?: ReadonlyArray<string>
}

/** Goes before every name, after the namespace. */
export const prefix = "threadstats.client"

const countsOf = (what: string, before: Counts<string>, now: Counts<string>): ReadonlyArray<SelfPoint> => [
  { kind: "counter", name: `${what}.received`, value: now.received - before.received },
  { kind: "counter", name: `${what}.delivered`, value: now.delivered - before.delivered },
  { kind: "gauge", name: `${what}.pending`, value: now.pending },
  ...Object.entries(now.dropped).map(([reason, count]): SelfPoint => ({
    kind: "counter",
    name: `${what}.dropped`,
    value: (count ?? 0) - (before.dropped[reason] ?? 0),
    tags: [`reason:${reason}`]
  }))
]

/** What happened between two looks at the numbers. Counters that did not move are left out. */
export const pointsOf = (before: Stats, now: Stats): ReadonlyArray<SelfPoint> =>
  [
    ...countsOf("points", before.metrics, now.metrics),
    ...countsOf("events", before.events, now.events),
    { kind: "gauge", name: "series", value: now.series } as const,
    ...(["flushes", "payloads", "bytes", "retries"] as const).map((name): SelfPoint => ({
      kind: "counter",
      name,
      value: now[name] - before[name]
    })),
    { kind: "gauge", name: "breaker.open", value: now.breaker === "open" ? 1 : 0 } as const
  ]
    .filter(({ kind, value }) => kind === "gauge" || value !== 0)
    .map((point) => ({ ...point, name: `${prefix}.${point.name}` }))
