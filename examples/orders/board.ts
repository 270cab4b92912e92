/** Compares the metrics that Datadog would show with those that the invocations must have recorded. */
import type * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Arr from "effect/Array"
import { documents, type Name } from "./documents.js"

export interface Invocation {
  readonly name: Name
  readonly outcome: { readonly result: unknown } | { readonly error: string }
}

export interface Distribution {
  readonly count: number
  readonly sum: number
  readonly min: number
  readonly avg: number
  readonly max: number
}

export interface Row {
  readonly metric: string
  readonly kind: "count" | "gauge" | "distribution"
  readonly tags: ReadonlyArray<string>
  readonly value: number | Distribution
}

export interface Board {
  readonly invocations: ReadonlyArray<Invocation>
  readonly metrics: ReadonlyArray<Row>
  readonly events: ReadonlyArray<
    { readonly title: string; readonly text: string; readonly tags: ReadonlyArray<string> }
  >
  readonly requests: ReadonlyArray<{
    readonly method: string
    readonly endpoint: string
    readonly status: number | undefined
    readonly bytes: number
    readonly encoding: string
  }>
  /** Recorded metrics that did not arrive, or arrived with another value. */
  readonly missing: ReadonlyArray<string>
}

export const make = (invocations: ReadonlyArray<Invocation>, view: LocalIntake.IntakeView): Board => {
  const metrics = [...fromSeries(view.series), ...fromDistributions(view.distributions)]
    .sort((a, b) => keyOf(a.metric, a.tags) < keyOf(b.metric, b.tags) ? -1 : 1)
  const events = view.events.map(({ tags, text, title }) => ({ title, text, tags: tags ?? [] }))
  return {
    invocations,
    metrics,
    events,
    requests: view.requests.map(({ bytes, encoding, method, path, status }) => ({
      method,
      endpoint: path,
      status,
      bytes,
      encoding
    })),
    missing: compare(expected(invocations.map(({ name }) => name)), { metrics, events })
  }
}

const constantTags = ["env:demo", "service:orders"]

const keyOf = (name: string, tags: ReadonlyArray<string>): string => [name, ...[...tags].sort()].join(" ")

const add = (to: Map<string, number>, value: number, name: string, ...tags: ReadonlyArray<string>) => {
  const key = keyOf(name, tags)
  to.set(key, (to.get(key) ?? 0) + value)
}

const tidy = (value: number): number => Number(value.toPrecision(12))

/** Datadog keeps the last value of a series and time. A rate is per second of its interval. */
const fromSeries = (series: ReadonlyArray<LocalIntake.AcceptedSeries>): ReadonlyArray<Row> => {
  const rows = new Map<string, { readonly first: LocalIntake.AcceptedSeries; readonly values: Map<number, number> }>()
  for (const one of series) {
    const key = keyOf(one.metric, one.tags ?? [])
    const row = rows.get(key) ?? { first: one, values: new Map<number, number>() }
    for (const [time, value] of one.points) row.values.set(time, value)
    rows.set(key, row)
  }
  return [...rows.values()].map(({ first, values }) => {
    const isRate = first.type === "rate"
    const all = [...values.values()]
    return {
      metric: first.metric,
      kind: isRate ? "count" : "gauge",
      tags: first.tags ?? [],
      value: tidy(isRate ? all.reduce((sum, rate) => sum + rate * (first.interval ?? 1), 0) : all.at(-1) ?? 0)
    }
  })
}

/** Distributions add up. */
const fromDistributions = (distributions: ReadonlyArray<LocalIntake.AcceptedDistribution>): ReadonlyArray<Row> =>
  Object.values(Arr.groupBy(distributions, ({ metric, tags }) => keyOf(metric, tags ?? []))).map((group) => {
    const values = group.flatMap(({ points }) => points.flatMap(([, values]) => values))
    return {
      metric: group[0].metric,
      kind: "distribution",
      tags: group[0].tags ?? [],
      value: {
        count: values.length,
        sum: tidy(values.reduce((sum, value) => sum + value, 0)),
        min: Math.min(...values),
        avg: tidy(values.reduce((sum, value) => sum + value, 0) / values.length),
        max: Math.max(...values)
      }
    }
  })

interface Order {
  readonly orderId: string
  readonly currency: string
  readonly total: number
  readonly card: string
  readonly items: ReadonlyArray<{ readonly sku: string; readonly quantity: number }>
}

/** Metrics that follow from the documents. On Lambda, counters, histograms and timings arrive as distributions. */
export const expected = (names: ReadonlyArray<Name>): ReadonlyMap<string, number> => {
  const totals = new Map<string, number>()
  const order = (body: string, source: string) => {
    const { card, currency, items, orderId, total }: Order = JSON.parse(body)
    const declined = card.endsWith("0002")
    add(totals, 1, "orders.received sum", `source:${source}`)
    add(totals, 1, "orders.lines count")
    for (const { quantity, sku } of items) add(totals, quantity, "orders.units sum", `sku:${sku}`)
    add(totals, 1, "payments.duration count", `outcome:${declined ? "declined" : "paid"}`)
    if (declined) add(totals, 1, "event Payment declined", `order:${orderId}`)
    else {
      add(totals, 1, "orders.value count", `currency:${currency}`)
      add(totals, total, "orders.value sum", `currency:${currency}`)
    }
    return declined
  }
  for (const name of names) {
    switch (name) {
      case "queue": {
        for (const { body } of documents.queue.Records) order(body, "queue")
        break
      }
      case "http": {
        const declined = order(documents.http.body ?? "", "http")
        add(totals, 1, "http.responses sum", "route:/orders", `status:${declined ? 402 : 201}`)
        break
      }
      case "stock":
      case "stock-unreadable": {
        add(totals, 1, "stock.counts sum")
        const { levels, warehouse } = documents[name].detail as {
          readonly warehouse: string
          readonly levels?: Record<string, number>
        }
        for (const [sku, level] of Object.entries(levels ?? {})) {
          totals.set(keyOf("stock.level", [`sku:${sku}`, `warehouse:${warehouse}`]), level)
        }
      }
    }
  }
  return totals
}

/** Names metrics that are absent or have another value. */
export const compare = (
  expected: ReadonlyMap<string, number>,
  arrived: Pick<Board, "metrics" | "events">
): ReadonlyArray<string> => {
  const totals = new Map<string, number>()
  const own = (tags: ReadonlyArray<string>) => tags.filter((tag) => !constantTags.includes(tag))
  for (const { metric, tags, value } of arrived.metrics) {
    if (typeof value === "number") add(totals, value, metric, ...own(tags))
    else {
      add(totals, value.count, `${metric} count`, ...own(tags))
      add(totals, value.sum, `${metric} sum`, ...own(tags))
    }
  }
  for (const { tags, title } of arrived.events) add(totals, 1, `event ${title}`, ...own(tags))
  return [...expected]
    .filter(([key, value]) => Math.abs((totals.get(key) ?? 0) - value) > 1e-6)
    .map(([key, value]) => `${key}: ${tidy(value)} recorded, ${tidy(totals.get(key) ?? 0)} arrived`)
}

const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)))
  return [head, widths.map((width) => "─".repeat(width)), ...rows]
    .map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ").trimEnd())
    .join("\n")
}

const number = (value: number): string => String(Number(value.toPrecision(5)))

export const render = (board: Board): string =>
  [
    "What the function was asked",
    table(
      ["invocation", "outcome"],
      board.invocations.map(({ name, outcome }) => [
        name,
        "error" in outcome ? `failed: ${outcome.error}` : JSON.stringify(outcome.result) ?? "no result"
      ])
    ),
    "What Datadog would show",
    table(
      ["metric", "kind", "tags", "value"],
      board.metrics.map(({ kind, metric, tags, value }) => [
        metric,
        kind,
        tags.join(" "),
        typeof value === "number"
          ? number(value)
          : (Object.keys(value) as ReadonlyArray<keyof Distribution>).map((key) => `${key} ${number(value[key])}`).join(
            "  "
          )
      ])
    ),
    table(["event", "text", "tags"], board.events.map(({ tags, text, title }) => [title, text, tags.join(" ")])),
    "The requests it took",
    table(
      ["endpoint", "status", "bytes", "encoding"],
      board.requests.map(({ bytes, encoding, endpoint, method, status }) => [
        `${method} ${endpoint}`,
        String(status ?? "none"),
        String(bytes),
        encoding
      ])
    ),
    board.missing.length === 0
      ? "Everything that was recorded arrived."
      : ["Recorded, but not arrived:", ...board.missing].join("\n")
  ].join("\n\n")
