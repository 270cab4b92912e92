/**
 * Compares the recorded data with the data that arrived and with the client's counters.
 *
 * The intake keeps what Datadog would: of a series the last value of each timestamp, of distributions every value, and
 * every event. Each value that arrives is looked up among the totals its series has had: a value that never was a total,
 * or that undercuts one that arrived before, is a fault at once.
 */
import type { Event, MetricsAggregator, RetainedStore, RollUp, Series, ThreadStats } from "effect-threadstats"
import type { WireItem } from "../support/wireReporter.js"
import type { Plan } from "./plan.js"

/** One call of `flush`. Flushes that the client starts itself have none. */
export interface Flush {
  readonly id: number
  /** Only buckets before this one, in seconds. */
  readonly before: number
  /** Time of the simulated clock, in milliseconds. */
  readonly startedAt: number
  endedAt: number | undefined
  /** Whether its caller gave up, so that the client may not know which items arrived. */
  interrupted: boolean
  readonly values: Set<number>
  readonly series: Set<string>
  readonly events: Set<number>
  lastEvent: number
}

/** One batch that the intake accepted. */
export interface Delivery {
  readonly flush: Flush | undefined
  /** Time of the simulated clock, in milliseconds. */
  readonly at: number
  /** Whether the client has the answer. */
  answered: boolean
}

/** Whether the client knows that it arrived. Otherwise the client must send it again. */
const isCertain = ({ answered, flush }: Delivery): boolean => answered && flush?.interrupted !== true

export interface Verdict {
  readonly lost: number
  readonly duplicated: number
  /** Number of series and timestamps that were compared with their exact total. */
  readonly exact: number
  readonly faults: ReadonlyArray<string>
}

type Value = number | string

/** One series of one bucket. */
interface RecordedSeries {
  readonly key: string
  readonly kind: RollUp.Kind
  /** In seconds. */
  readonly bucket: number
  readonly values: Array<Value>
  /** Smallest and largest number of the values that the intake can hold. */
  low: number
  high: number
  /** Last value of each suffix. */
  readonly held: Map<string, number>
  readonly deliveries: Set<Delivery>
  /** Values of a counter that arrived, if the receiver adds values up. */
  readonly deltas: Array<{ readonly value: number; readonly delivery: Delivery }>
  /** Whether an answer may have made the client give it up. */
  refusable: boolean
  /** Whether a part of it arrived without the others. */
  torn: boolean
  /** Number of the values that were delivered or are in the store. */
  safe: number
}

interface Mark {
  /** Time after which the client drops it, in milliseconds. */
  readonly expiresAt: number
  readonly arrivals: Array<Delivery>
  refusable: boolean
}

interface ValueMark extends Mark {
  readonly series: RecordedSeries
}

const kinds: { readonly [letter: string]: RollUp.Kind } = {
  c: "counter",
  g: "gauge",
  s: "set",
  h: "histogram",
  t: "timing",
  d: "distribution"
}

const hour = 3_600_000

export const isPoison = (name: string): boolean => name.includes("poison")

/** Drop reasons that are decided when a point is recorded. */
const early = new Set([
  "InvalidValue",
  "InvalidName",
  "InvalidHost",
  "InvalidTimestamp",
  "InvalidTags",
  "InvalidEvent",
  "NameTooLong",
  "TooOld",
  "TooNew",
  "Late"
])

const roundHalfEven = (x: number): number => {
  const rounded = Math.round(x)
  return Math.abs(x % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded
}

export const make = (plan: Plan) => {
  const seconds = plan.interval / 1000
  const total = plan.mode !== "delta"
  const distributions = plan.counters === "distributions"
  const allSeries = new Map<string, RecordedSeries>()
  const values = new Map<number, ValueMark>()
  const events = new Map<number, Mark>()
  const predicted = { metrics: new Map<string, number>(), events: new Map<string, number>() }
  const recorded = { metrics: 0, events: 0 }
  const faults: Array<string> = []
  /** Recent deliveries. A killed process may not have processed their answers. */
  let recent: Array<Delivery> = []
  /** Counters of earlier processes. `gone` counts drops, and pending data that was not in the store at the kill. */
  const past = {
    metrics: { received: 0, gone: 0, dropped: new Map<string, number>() },
    events: { received: 0, gone: 0, dropped: new Map<string, number>() }
  }
  /** Number of points that were recorded after the last write of the store. */
  let cutOff = 0
  const suffixes = [
    ...plan.aggregates,
    ...plan.percentiles.map((p) => `${Number((p * 100).toPrecision(12))}percentile`)
  ]

  const fault = (what: string) => {
    if (faults.length < 20) faults.push(what)
  }

  const count = (where: Map<string, number>, key: string) => where.set(key, (where.get(key) ?? 0) + 1)

  const keyOf = (name: string, host: string | null | undefined, tags: ReadonlyArray<string>, bucket: number) =>
    `${name}|${host ?? ""}|${tags.filter((tag) => tag !== plan.constantTag).sort().join(",")}|${bucket}`

  /** Returns the numbers of first values that have this total. */
  const candidates = (series: RecordedSeries, suffix: string, value: number): ReadonlyArray<number> => {
    const found: Array<number> = []
    const recorded = series.values
    switch (series.kind) {
      case "counter": {
        let sum = 0
        for (let i = 0; i < recorded.length; i++) {
          sum += recorded[i] as number
          if (sum / seconds === value) found.push(i + 1)
        }
        return found
      }
      case "gauge":
        return recorded.flatMap((one, i) => one === value ? [i + 1] : [])
      case "set": {
        const members = new Set<Value>()
        for (let i = 0; i < recorded.length; i++) {
          members.add(recorded[i]!)
          if (members.size === value) found.push(i + 1)
        }
        return found
      }
      default: {
        if (suffix !== "count") return []
        const n = Math.round(value * seconds)
        return n > 0 && n <= recorded.length && n / seconds === value ? [n] : []
      }
    }
  }

  /** Returns the values that the intake must hold once all points arrived. */
  const finalOf = (series: RecordedSeries): ReadonlyArray<readonly [suffix: string, value: number]> => {
    const numbers = series.values as ReadonlyArray<number>
    const sum = numbers.reduce((a, b) => a + b, 0)
    switch (series.kind) {
      case "counter":
        return [["", sum / seconds]]
      case "gauge":
        return [["", numbers.at(-1)!]]
      case "set":
        return [["", new Set(series.values).size]]
      case "distribution":
        return []
      default: {
        const sorted = numbers.slice().sort((a, b) => a - b)
        const n = sorted.length
        const sampled = n > plan.sampleSize
        const aggregates = plan.aggregates.flatMap((name): ReadonlyArray<readonly [string, number]> =>
          name === "min"
            ? [[name, sorted[0]!]]
            : name === "max"
            ? [[name, sorted[n - 1]!]]
            : name === "count"
            ? [[name, n / seconds]]
            : name === "avg"
            ? [[name, sum / n]]
            : name === "sum"
            ? [[name, sum]]
            : sampled
            ? []
            : [[name, (sorted[(n - 1) >> 1]! + sorted[n >> 1]!) / 2]]
        )
        const percentiles = sampled ? [] : plan.percentiles.map((p, i) =>
          [
            suffixes[plan.aggregates.length + i]!,
            sorted[Math.min(n - 1, Math.max(0, roundHalfEven(p * n - 1)))]!
          ] as const
        )
        return [...aggregates, ...percentiles]
      }
    }
  }

  /** Whether the intake holds all points. */
  const isWhole = (series: RecordedSeries): boolean =>
    finalOf(series).every(([suffix, value]) => series.held.get(suffix) === value)

  const parse = (item: Series.Series | Series.DistributionSeries) => {
    const [name, suffix = ""] = item.metric.slice(plan.prefix.length).split(".") as [string, string?]
    const bucket = item.points[0]![0]
    return { name, suffix, bucket, series: allSeries.get(keyOf(name, item.host, item.tags, bucket)) }
  }

  const sequenceOf = (event: Event.Event) => Number(/\d+$/.exec(event.title)![0])

  const isEvent = (item: WireItem): item is Event.Event => "title" in item

  /** An item of a batch. A receiver of series gets no samples. */
  type Sent = Exclude<WireItem, Series.SampleSeries>

  const checkSent = (batch: ReadonlyArray<WireItem>, flush: Flush | undefined, now: number) => {
    const batchSeries = new Set<string>()
    let batchValues = 0
    for (const item of batch as ReadonlyArray<Sent>) {
      if (isEvent(item)) {
        const sequence = sequenceOf(item)
        if (flush !== undefined && !flush.events.has(sequence)) {
          if (sequence < flush.lastEvent) fault(`event ${sequence} was sent after event ${flush.lastEvent}`)
          flush.lastEvent = sequence
          flush.events.add(sequence)
          if (flush.events.size > plan.maxEvents) fault("a flush had more events than may be held")
        }
        continue
      }
      const { bucket, series } = parse(item)
      if (series === undefined) {
        fault(`${item.metric} at ${bucket} was never recorded`)
        continue
      }
      batchSeries.add(series.key)
      flush?.series.add(series.key)
      if (item.points.length !== 1 || item.interval !== seconds) fault(`${item.metric}: wrong points or interval`)
      if (bucket >= (flush?.before ?? Infinity)) fault(`${item.metric}: bucket ${bucket} is behind upTo`)
      if (bucket * 1000 < now - hour) fault(`${item.metric} at ${bucket} is too old to be sent`)
      if (item.type === "distribution" && series.kind === "distribution") {
        const sent = item.points[0]![1]
        batchValues += sent.length
        for (const value of sent) flush?.values.add(value)
        if (sent.some((value, i) => i > 0 && value <= sent[i - 1]!)) fault(`${item.metric}: values out of order`)
      }
    }
    if (Math.max(batchValues, flush?.values.size ?? 0) > plan.maxValues) {
      fault("a flush had more values than may be held")
    }
    if (Math.max(batchSeries.size, flush?.series.size ?? 0) > plan.maxSeries) {
      fault("a flush had more series than may be held")
    }
  }

  const isDistribution = (kind: RollUp.Kind) => kind === "distribution" || (distributions && kind === "counter")

  /** Adds a value of a counter that the receiver adds up. */
  const acceptSum = (series: RecordedSeries, value: number, delivery: Delivery) => {
    series.deliveries.add(delivery)
    series.high = series.values.length
    series.deltas.push({ value, delivery })
  }

  const acceptSeries = (series: RecordedSeries, item: Series.Series, suffix: string, delivery: Delivery) => {
    const value = item.points[0]![1]
    const isRate = series.kind === "counter" || suffix === "count"
    if (item.type !== (isRate ? "rate" : "gauge")) fault(`${item.metric} is a ${item.type}`)
    series.held.set(suffix, value)
    series.deliveries.add(delivery)
    if (plan.bounded) {
      series.high = series.values.length
      return
    }
    if (!total) {
      series.high = series.values.length
      if (isRate) series.deltas.push({ value: Math.round(value * seconds), delivery })
      return
    }
    if (suffix !== "" && suffix !== "count") return
    const all = candidates(series, suffix, value)
    const found = all.filter((n) => n >= series.low)
    if (found.length === 0) {
      fault(`${series.key} ${suffix}: ${value} ${all.length > 0 ? "undercuts an earlier total" : "never was a total"}`)
      return
    }
    series.low = found[0]!
    series.high = found.at(-1)!
  }

  const accept = (batch: ReadonlyArray<WireItem>, delivery: Delivery) => {
    if (plan.restarts > 0) recent.push(delivery)
    const parts = new Map<RecordedSeries, number>()
    for (const item of batch as ReadonlyArray<Sent>) {
      if (isEvent(item)) {
        const mark = events.get(sequenceOf(item))
        if (mark === undefined) fault(`event ${item.title} was never recorded`)
        else mark.arrivals.push(delivery)
        continue
      }
      const { series, suffix } = parse(item)
      if (series === undefined) continue
      if ((item.type === "distribution") !== isDistribution(series.kind)) fault(`${item.metric} is a ${item.type}`)
      if (item.type === "distribution" && series.kind === "counter") {
        acceptSum(series, item.points[0]![1].reduce((a, b) => a + b, 0), delivery)
        continue
      }
      if (item.type === "distribution") {
        for (const value of item.points[0]![1]) {
          const mark = values.get(value)
          if (mark?.series !== series) fault(`${item.metric}: ${value} belongs elsewhere`)
          else mark.arrivals.push(delivery)
        }
        continue
      }
      parts.set(series, (parts.get(series) ?? 0) + 1)
      acceptSeries(series, item, suffix, delivery)
    }
    for (const [series, n] of parts) {
      if ((series.kind === "histogram" || series.kind === "timing") && n !== suffixes.length) series.torn = true
    }
  }

  /** Marks items that the client may drop. */
  const refuse = (batch: ReadonlyArray<WireItem>, onlyWhatAddsUp = false) => {
    for (const item of batch as ReadonlyArray<Sent>) {
      if (isEvent(item)) {
        const mark = events.get(sequenceOf(item))
        if (mark !== undefined) mark.refusable = true
        continue
      }
      const { series } = parse(item)
      if (series === undefined) continue
      if (item.type === "distribution" || !onlyWhatAddsUp || !total) series.refusable = true
      if (series.kind === "distribution" && item.type === "distribution") {
        for (const value of item.points[0]![1]) {
          const mark = values.get(value)
          if (mark !== undefined) mark.refusable = true
        }
      }
    }
  }

  const wireHost = (host: string | null) =>
    host === "" || (host === null && plan.attachHost) ? plan.ownHost ?? host : host

  const prefixesOf = (
    series: RecordedSeries,
    { kind, state }: MetricsAggregator.SerializedSeries
  ): ReadonlyArray<number> =>
    kind === "counter"
      ? candidates(series, "", (state as number) / seconds)
      : kind === "gauge"
      ? candidates(series, "", state as number)
      : kind === "set"
      ? candidates(series, "", (state as ReadonlyArray<Value>).length)
      : candidates(series, "count", (state as { readonly count: number }).count / seconds)

  /** Takes over the counters of a process that was killed and left this in its store. */
  const kill = (stats: ThreadStats.Stats, held: RetainedStore.Loaded, since: number, now: number) => {
    for (const delivery of recent) if (delivery.at >= since) delivery.answered = false
    recent = []
    const stored = new Map<RecordedSeries, MetricsAggregator.SerializedSeries>()
    const storedValues = new Set<number>()
    for (const item of held.metrics) {
      const series = allSeries.get(keyOf(item.name, wireHost(item.host), item.tags, item.start / 1000))
      if (series === undefined) fault(`${item.name} is in the store and was never recorded`)
      else if (item.kind === "distribution") {
        for (const value of item.state as Array<number>) storedValues.add(value)
      } else stored.set(series, item)
    }
    for (const [value, mark] of values) {
      if (!storedValues.has(value) && !mark.arrivals.some(isCertain)) mark.refusable = true
    }
    const storedEvents = new Set(held.events.map(sequenceOf))
    for (const [sequence, mark] of events) {
      if (!storedEvents.has(sequence) && !mark.arrivals.some(isCertain)) mark.refusable = true
    }
    for (const series of allSeries.values()) {
      if (series.kind === "distribution" || plan.bounded) continue
      const item = stored.get(series)
      if (item === undefined) {
        const isSafe = series.high >= series.safe && (series.safe < series.values.length || isWhole(series))
        const isOwed = !series.refusable && !isPoison(series.key) && series.bucket * 1000 >= now - hour
        if (!isSafe && isOwed) fault(`${series.key} is not in the store`)
        // It was recorded later, or a part of its series arrived later.
        if (series.high < series.values.length || !isWhole(series)) series.refusable = true
        continue
      }
      const found = prefixesOf(series, item)
      if (found.length === 0) {
        fault(`${series.key}: ${JSON.stringify(item.state)} is in the store and never was its total`)
        continue
      }
      const n = found.at(-1)!
      if (n < series.low) fault(`${series.key}: what is in the store undercuts what arrived`)
      if (n < series.safe) fault(`${series.key}: ${series.safe - n} points are missing from the store`)
      cutOff += series.values.length - n
      series.values.length = n
    }
    for (const what of ["metrics", "events"] as const) {
      const adopted = what === "events" ? held.events.length : held.metrics.reduce((n, item) => n + item.recorded, 0)
      const counts: ThreadStats.Counts<string> = stats[what]
      past[what].received += counts.received - adopted
      past[what].gone += sumOf(counts.dropped) + Math.max(0, counts.pending - adopted)
      for (const [reason, n] of Object.entries(counts.dropped)) {
        past[what].dropped.set(reason, (past[what].dropped.get(reason) ?? 0) + n!)
      }
    }
  }

  /** Remembers the recorded points. The returned function marks them as stored. */
  const keeping = (): () => void => {
    if (plan.restarts === 0) return () => {}
    const numbers = Array.from(allSeries.values(), (series) => [series, series.values.length] as const)
    return () => {
      for (const [series, n] of numbers) series.safe = Math.max(series.safe, n)
    }
  }

  const sumOf = (counts: { readonly [reason: string]: number | undefined }) =>
    Object.entries(counts).reduce((sum, [reason, n]) => early.has(reason) ? sum : sum + n!, 0)

  const checkEarly = (what: "metrics" | "events", dropped: { readonly [reason: string]: number | undefined }) => {
    for (
      const reason of new Set([...Object.keys(dropped).filter((one) => early.has(one)), ...predicted[what].keys()])
    ) {
      const n = predicted[what].get(reason) ?? 0
      const is = (dropped[reason] ?? 0) + (past[what].dropped.get(reason) ?? 0)
      if (is !== n) fault(`${what}: ${is} dropped as ${reason} instead of ${n}`)
    }
  }

  /** Counts arrivals after the first one that the client knows of. */
  const duplicates = ({ arrivals }: Mark) => {
    if (plan.atMostOnce) return Math.max(0, arrivals.length - 1)
    const first = arrivals.findIndex(isCertain)
    return first < 0 ? 0 : arrivals.length - 1 - first
  }

  /** Whether the certain arrivals and some of the uncertain ones add up to the total. */
  const addsUp = (series: RecordedSeries): boolean => {
    let sums = new Set([0])
    for (const { delivery, value } of series.deltas) {
      const certain = isCertain(delivery)
      sums = new Set(Array.from(sums).flatMap((sum) => certain ? [sum + value] : [sum, sum + value]))
    }
    const wanted = series.kind === "counter"
      ? (series.values as ReadonlyArray<number>).reduce((a, b) => a + b, 0)
      : series.values.length
    return sums.has(wanted)
  }

  /** Compares everything at the end of a run. `now` is the latest time, in milliseconds. */
  const verdict = (stats: ThreadStats.Stats, now: number, flushes: ReadonlyArray<Flush>): Verdict => {
    // An interrupted flush gives up its whole batch, also items that it did not send.
    const isInterrupted = plan.atMostOnce && flushes.some(({ interrupted }) => interrupted)
    // The client counts the points of recorders that go on after its scope has closed, and does not deliver them.
    const isClosed = { ...stats.metrics.dropped, ...stats.events.dropped }.Closed !== undefined
    const spent = isInterrupted || isClosed
    const gone = {
      metrics: sumOf(stats.metrics.dropped) + stats.metrics.pending + past.metrics.gone,
      events: sumOf(stats.events.dropped) + stats.events.pending + past.events.gone
    }
    /** Least and largest number of points that did not arrive, and points whose arrival is uncertain. */
    let least = cutOff
    let most = cutOff
    let slack = 0
    let lost = 0
    let duplicated = 0
    let exact = 0
    const allHere = stats.metrics.pending === 0
    for (const series of allSeries.values()) {
      if (series.kind === "distribution") continue
      const n = series.values.length
      const doubtful = series.refusable || series.torn ||
        Array.from(series.deliveries).some((one) => !isCertain(one))
      least += n - series.high
      most += n - series.low
      if (doubtful) slack += n
      const name = series.key.split("|")[0]!
      const asTotal = total && !isDistribution(series.kind) && !isClosed
      const strict = !plan.bounded && (!spent || asTotal) && allHere && !series.refusable && !isPoison(name) &&
        series.bucket * 1000 >= now - hour
      if (!strict) continue
      exact++
      if (series.high < n) {
        lost += n - series.high
        fault(`${series.key}: ${series.high} of ${n} arrived`)
        continue
      }
      if (asTotal || series.kind === "gauge") {
        for (const [suffix, value] of finalOf(series)) {
          const is = series.held.get(suffix)
          if (is !== value) fault(`${series.key} ${suffix}: ${is} instead of ${value}`)
        }
      } else if (series.kind !== "set" && !addsUp(series)) {
        lost++
        fault(`${series.key}: ${JSON.stringify(series.deltas.map((one) => one.value))} do not add up to its total`)
      }
    }
    let waiting = 0
    for (const [value, mark] of values) {
      duplicated += duplicates(mark)
      if (mark.arrivals.length > 0) {
        if (mark.refusable || !mark.arrivals.some(isCertain)) slack++
        continue
      }
      waiting++
      const name = mark.series.key.split("|")[0]!
      if (!plan.bounded && !spent && allHere && !mark.refusable && !isPoison(name) && mark.expiresAt >= now) {
        lost++
        fault(`${mark.series.key}: value ${value} did not arrive`)
      }
    }
    exact += plan.bounded ? 0 : values.size
    least += waiting
    most += waiting
    if (least > gone.metrics) {
      lost += least - gone.metrics
      fault(`${least} points did not arrive, and the books know of ${gone.metrics}`)
    }
    if (!plan.bounded && plan.restarts === 0 && total && gone.metrics > most + slack) {
      fault(`the books have ${gone.metrics} points held or dropped, of which only ${most} did not arrive`)
    }

    let missing = 0
    let eventSlack = 0
    for (const [sequence, mark] of events) {
      duplicated += duplicates(mark)
      if (mark.arrivals.length > 0) {
        if (mark.refusable || !mark.arrivals.some(isCertain)) eventSlack++
        continue
      }
      missing++
      if (plan.maxEvents >= 1000 && !spent && stats.events.pending === 0 && !mark.refusable && mark.expiresAt >= now) {
        lost++
        fault(`event ${sequence} did not arrive`)
      }
    }
    if (missing > gone.events) {
      lost += missing - gone.events
      fault(`${missing} events did not arrive, and the books know of ${gone.events}`)
    }
    if (plan.restarts === 0 && gone.events > missing + eventSlack) {
      fault(`the books have ${gone.events} events held or dropped, of which only ${missing} did not arrive`)
    }

    for (const what of ["metrics", "events"] as const) {
      const received = stats[what].received + past[what].received
      if (received !== recorded[what]) fault(`${received} ${what} received of ${recorded[what]}`)
    }
    checkEarly("metrics", stats.metrics.dropped)
    checkEarly("events", stats.events.dropped)
    if (duplicated > 0) fault(`${duplicated} arrived again although the client knew`)
    return { lost, duplicated, exact, faults }
  }

  /** Checks the counters and limits at any moment. */
  const balance = ({ series, events, metrics }: ThreadStats.Stats) => {
    for (const [what, counts] of [["metrics", metrics], ["events", events]] as const) {
      const dropped = Object.values(counts.dropped).reduce((a, b) => a + b, 0)
      if (counts.received !== counts.delivered + counts.pending + dropped) fault(`${what} do not add up`)
    }
    if (series > plan.maxSeries) fault(`${series} series are pending`)
    // The events of a running flush count as well.
    if (events.pending > 2 * plan.maxEvents) fault(`${events.pending} events are pending`)
  }

  return {
    /** Records a valid point, at a time in milliseconds. */
    point(name: string, value: Value, time: number, host: string | null, tags: ReadonlyArray<string>) {
      recorded.metrics++
      const bucket = Math.floor(time / plan.interval) * seconds
      const key = keyOf(name, wireHost(host), tags, bucket)
      let series = allSeries.get(key)
      if (series === undefined) {
        const own = kinds[name[0]!]!
        const kind = distributions && (own === "histogram" || own === "timing") ? "distribution" : own
        series = {
          key,
          kind,
          bucket,
          values: [],
          low: 0,
          high: 0,
          held: new Map(),
          deliveries: new Set(),
          deltas: [],
          refusable: false,
          torn: false,
          safe: 0
        }
        allSeries.set(key, series)
      }
      series.values.push(value)
      if (series.kind === "distribution") {
        values.set(value as number, {
          series,
          expiresAt: bucket * 1000 + hour,
          arrivals: [],
          refusable: false
        })
      }
    },
    event(sequence: number, time: number, poison: boolean) {
      recorded.events++
      events.set(sequence, { expiresAt: time + 18 * hour, arrivals: [], refusable: poison })
    },
    /** Records a point or event that the client must drop at once. */
    invalid(what: "metrics" | "events", reason: string) {
      recorded[what]++
      count(predicted[what], reason)
    },
    /** Marks items whose arrival the client does not know, so that it may give them up. */
    doubt(batch: ReadonlyArray<WireItem>) {
      if (plan.atMostOnce) refuse(batch, true)
    },
    kill,
    keeping,
    recorded,
    checkSent,
    accept,
    refuse,
    fault,
    balance,
    verdict
  }
}

export type Oracle = ReturnType<typeof make>
