/** Data of a shop during twenty minutes, the same for every run. */
import {
  emptyHealth,
  type EventRow,
  type RequestRow,
  type SeriesRow,
  type Update
} from "../../src/intake/feedProtocol.js"
import type { Verdict } from "../../src/intake/verdict.js"
import { random } from "./hostile.js"
import { distributionPoint } from "./pageState.js"

const interval = 10

/** Returns the messages of the twenty minutes before `now`, a time in seconds. */
export const scene = (now: number): Partial<Update> => {
  const { chance, int } = random(7)
  const uniform = () => (int(10_000) + 0.5) / 10_000
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())
  const end = Math.floor(now / interval) * interval - interval
  const start = end - 20 * 60

  const series: Array<SeriesRow> = []
  const points: Array<Update["points"][number]> = []
  const distributions: Array<Update["distributions"][number]> = []

  const add = (
    kind: SeriesRow["kind"],
    metric: string,
    tags: ReadonlyArray<string>,
    at: (t: number) => number | ReadonlyArray<number> | undefined,
    unit: string | null = null,
    verdicts: ReadonlyArray<Verdict> = []
  ) => {
    const id = series.length + 1
    series.push({ id, metric, kind, unit, tags, host: "web-1", device: "", interval, verdicts })
    for (let t = start; t <= end; t += interval) {
      const value = at(t)
      if (value === undefined) continue
      if (typeof value === "number") points.push([id, t, value])
      else if (value.length > 0) distributions.push(distributionPoint(id, t, value))
    }
  }

  const wave = (t: number, period: number, shift = 0) =>
    0.5 + 0.5 * Math.sin(2 * Math.PI * (t - start) / period + shift)
  const outage = (t: number) => t > end - 420 && t < end - 330
  const slow = (t: number) => t > end - 620 && t < end - 420

  for (const [shop, weight] of [["eu", 1], ["us", 0.8], ["jp", 0.45]] as const) {
    for (const status of ["ok", "failed"]) {
      add("count", "orders.placed", [`shop:${shop}`, `status:${status}`, "env:dev"], (t) =>
        outage(t)
          ? undefined
          : Math.max(
            0,
            Math.round(
              weight * (status === "ok" ? 26 + 14 * wave(t, 700, weight * 5) : slow(t) ? 9 : 1.2) + 2.5 * normal()
            )
          ))
    }
    add("distribution", "orders.duration", [`shop:${shop}`, "env:dev"], (t) =>
      outage(t)
        ? []
        : Array.from({ length: Math.round(40 * weight) }, () =>
          Math.exp(-2.4 + (slow(t) ? 0.9 : 0) + 0.2 * wave(t, 500) + (chance(6) ? 1.3 : 0) + 0.5 * normal())), "second")
    add(
      "distribution",
      "orders.value",
      [`shop:${shop}`, "env:dev"],
      () =>
        Array.from({ length: Math.round(20 * weight) }, () => Math.round(100 * Math.exp(3.4 + 0.7 * normal())) / 100),
      "euro"
    )
  }
  for (const queue of ["mail", "invoice", "stock"]) {
    add(
      "gauge",
      "queue.depth",
      [`queue:${queue}`, "env:dev"],
      (t) => Math.round((slow(t) ? 320 : 40) + 60 * wave(t, 420, queue.length) + 8 * normal()),
      "message"
    )
  }
  add(
    "gauge",
    "process.memory.heap",
    ["env:dev"],
    (t) => 84e6 + 30e6 * ((t - start) % 240) / 240 + 1e6 * normal(),
    "byte"
  )
  add("gauge", "process.cpu", ["env:dev"], (t) => 18 + 22 * wave(t, 610) + 3 * normal() + (slow(t) ? 30 : 0), "percent")
  add("gauge", "event_loop.delay", ["env:dev"], (t) => 1.4 + (slow(t) ? 11 : 0) + Math.abs(normal()), "millisecond")
  for (const route of ["/orders", "/orders/{id}", "/health"]) {
    add(
      "rate",
      "http.requests",
      [`route:${route}`, "method:get", "env:dev"],
      (t) => 12 / route.length * (8 + 5 * wave(t, 800)) + uniform(),
      "request"
    )
  }
  for (const table of ["orders", "customers"]) {
    add(
      "distribution",
      "db.query",
      [`table:${table}`, "env:dev"],
      () => Array.from({ length: 25 }, () => Math.exp(1 + 0.6 * normal())),
      "millisecond"
    )
  }
  add("count", "cache.hits", ["env:dev"], (t) => 400 + Math.round(80 * wave(t, 300) + 20 * normal()))
  add("count", "cache.misses", ["env:dev"], (t) => Math.max(0, 30 + Math.round(10 * normal()) + (slow(t) ? 70 : 0)))
  const rewritten: Verdict = {
    outcome: "rewritten",
    code: "NameRewritten",
    message: "The name mail-sent total will be mail_sent_total.",
    metric: "mail-sent total"
  }
  add("count", "mail-sent total", ["env:dev"], () => 3 + int(5), null, [rewritten])

  const event = (
    id: number,
    ago: number,
    title: string,
    text: string,
    alertType: string,
    tags: ReadonlyArray<string>
  ): EventRow => ({
    id,
    timestamp: end - ago,
    title,
    text,
    alertType,
    priority: "normal",
    tags,
    host: "web-1",
    verdicts: []
  })
  const events = [
    event(1, 1020, "Deployed orders 4.2.0", "12 commits, by the pipeline.", "success", ["service:orders", "env:dev"]),
    event(
      2,
      610,
      "Orders are slow",
      "p95 of orders.duration is over 400 ms:\neu 512 ms, us 488 ms, jp 430 ms",
      "warning",
      ["service:orders", "env:dev"]
    ),
    event(3, 415, "Orders are down", "No order was placed for a minute.", "error", ["service:orders", "env:dev"]),
    event(4, 330, "Rolled back to orders 4.1.7", "", "info", ["service:orders", "env:dev"])
  ]

  const late: Verdict = {
    outcome: "dropped",
    code: "TooOld",
    message: "A point of 16:02:10 is older than an hour.",
    metric: "batch.imported"
  }
  const refused: Verdict = {
    outcome: "refused",
    code: "NotJson",
    message: "The body is not a JSON document: it ends after 1,408 bytes.",
    metric: null
  }
  const overwritten: Verdict = {
    outcome: "overwritten",
    code: "Overwritten",
    message: "26 at 16:20:10 takes the place of 12: the same series was sent with that second before.",
    metric: "orders.placed"
  }
  const requests: Array<RequestRow> = []
  for (let t = start, id = 1; t <= end; t += interval) {
    for (
      const [target, items, size] of [["POST /api/v1/series", 17, 1600], [
        "POST /api/v1/distribution_points",
        8,
        2600
      ]] as const
    ) {
      const fault = outage(t) ? "status=503 rate=0.2" : null
      const odd = id % 37 === 0
        ? [late]
        : id % 41 === 0
        ? [overwritten, overwritten]
        : id % 53 === 0
        ? [rewritten]
        : id % 97 === 0
        ? [refused]
        : []
      const unpacked = size + int(900)
      requests.push({
        id: id++,
        at: (t + interval) * 1000 + int(900),
        protocol: "http",
        target,
        userAgent: "effect-threadstats/0.1.0 (node v22.11.0)",
        encoding: "deflate",
        bytes: Math.round(unpacked / (3.4 + uniform())),
        unpackedBytes: unpacked,
        items,
        points: items + int(20),
        status: fault !== null ? 503 : odd.includes(refused) ? 400 : 202,
        duration: 1.2 + 3 * uniform(),
        fault,
        reason: odd.includes(refused) ? "Payload is not in the expected format" : null,
        verdicts: odd,
        more: 0
      })
    }
    if (chance(20)) {
      requests.push({
        id: id++,
        at: (t + interval) * 1000 + 950,
        protocol: "dogstatsd",
        target: "UDP",
        userAgent: "",
        encoding: "identity",
        bytes: 180 + int(200),
        unpackedBytes: 300,
        items: 6,
        points: 6,
        status: null,
        duration: null,
        fault: null,
        reason: null,
        verdicts: [],
        more: 0
      })
    }
  }
  const codes: { [code: string]: number } = {}
  for (const { verdicts } of requests) for (const { code } of verdicts) codes[code] = (codes[code] ?? 0) + 1
  const sum = (of: (row: RequestRow) => number) => requests.reduce((total, row) => total + of(row), 0)
  return {
    series,
    points,
    distributions,
    events,
    requests,
    health: {
      ...emptyHealth,
      requests: sum(({ protocol }) => protocol === "http" ? 1 : 0),
      datagrams: sum(({ protocol }) => protocol === "http" ? 0 : 1),
      refused: sum(({ status }) => status !== null && status >= 400 ? 1 : 0),
      bytes: sum(({ bytes }) => bytes),
      unpackedBytes: sum(({ unpackedBytes }) => unpackedBytes),
      series: series.length,
      points: points.length,
      values: distributions.reduce((total, { count }) => total + count, 0),
      events: events.length,
      verdicts: codes
    }
  }
}
