/** Ingest of DogStatsD datagrams: parses, validates and stores their lines like an Agent that forwards them to Datadog. */
import { acceptedVerdict, formatCount, plotSeries } from "../ingest.js"
import type { AcceptedDistribution, AcceptedEvent, AcceptedSeries } from "../model.js"
import type { Store } from "../store.js"
import * as Validate from "../validate.js"
import { isLoss, makeVerdict, quoteText, type Verdict } from "../verdict.js"
import { Agent, bucketLength, splitSeriesTags } from "./agent.js"
import * as Parser from "./parser.js"

const toEvent = (line: Parser.EventLine): AcceptedEvent => {
  const { aggregationKey, alertType, host, priority, sourceTypeName, tags, text, timestamp, title } = line
  return {
    title,
    text,
    alert_type: alertType,
    priority,
    tags,
    ...(timestamp === undefined ? undefined : { date_happened: timestamp }),
    ...(aggregationKey === undefined ? undefined : { aggregation_key: aggregationKey }),
    ...(sourceTypeName === undefined ? undefined : { source_type_name: sourceTypeName }),
    ...(host === undefined ? undefined : { host })
  }
}

/** Returns the series of a metric with a timestamp. The Agent forwards each value, without its sample rate, as a rate of ten seconds. */
const toSeries = ({ host, name, tags, type, values }: Parser.MetricLine, at: number): AcceptedSeries => {
  const isCount = type === "c"
  const { device, tags: seriesTags } = splitSeriesTags(tags)
  return {
    metric: name,
    type: isCount ? "rate" : "gauge",
    points: values.flatMap((value) =>
      typeof value === "number" ? [[at, isCount ? value / bucketLength : value] as const] : []
    ),
    tags: seriesTags,
    interval: bucketLength,
    ...(host === undefined ? undefined : { host }),
    ...(device === undefined ? undefined : { device })
  }
}

/** Drops counts that a sample rate of 0 makes infinite. */
const dropInfiniteCounts = (metric: Parser.MetricLine): Parser.MetricLine => {
  const isFinite = (value: number | string) => typeof value === "string" || Number.isFinite(value / metric.rate)
  if (metric.type !== "c" || metric.values.every(isFinite)) return metric
  const message = `a value of ${quoteText(metric.name)} is not finite with the sample rate ${metric.rate}`
  return {
    ...metric,
    values: [],
    verdicts: [...metric.verdicts, makeVerdict("dropped", "NotFinite", metric.name, message)]
  }
}

export class DatagramIngest {
  private readonly store: Store
  private readonly agent: Agent

  constructor(store: Store) {
    this.store = store
    this.agent = new Agent(store)
  }

  /** Ingests a datagram that arrived at `now`, in milliseconds since the epoch. */
  ingest(packet: Uint8Array, now: number): void {
    this.agent.closeBuckets(Math.floor(now / 1000))
    const lines = Parser.splitLines(packet)
    const verdicts: Array<Verdict> = []
    if (packet.byteLength > Parser.bufferSize) {
      const message = `the datagram has ${packet.byteLength} bytes, and the Agent reads ${Parser.bufferSize}`
      verdicts.push(makeVerdict("dropped", "PacketTooLong", null, message))
    }
    let accepted = 0
    for (const line of lines) {
      const lineVerdicts = this.ingestLine(line, now)
      verdicts.push(...lineVerdicts)
      if (!lineVerdicts.some(isLoss)) accepted++
    }
    if (accepted > 0) {
      verdicts.unshift(acceptedVerdict(formatCount(accepted, "line", "lines")))
      this.store.countOutcome("accepted")
    }
    const arrival = this.store.requests.add({
      at: now,
      protocol: "dogstatsd",
      target: "UDP",
      userAgent: "",
      encoding: "identity",
      bytes: packet.byteLength,
      unpackedBytes: packet.byteLength,
      items: lines.length
    }, undefined)
    this.store.requests.update(arrival, {}, verdicts)
    this.store.enforceBudget()
  }

  /** Returns the payloads of open buckets, which the Agent would send when they close. */
  openPayloads(): {
    readonly series: ReadonlyArray<AcceptedSeries>
    readonly distributions: ReadonlyArray<AcceptedDistribution>
  } {
    return this.agent.openPayloads()
  }

  clear(): void {
    this.agent.clear()
  }

  private ingestLine(line: Uint8Array, now: number): ReadonlyArray<Verdict> {
    const parsed = Parser.parseLine(line)
    switch (parsed._tag) {
      case "Invalid":
        return [parsed.verdict]
      case "Metric":
        return this.ingestMetric(parsed, now)
      case "Event": {
        const event = toEvent(parsed)
        const verdicts = [...parsed.verdicts, ...Validate.validateEvent(event, now)]
        this.store.acceptEvent(event, verdicts, now)
        return verdicts
      }
      case "ServiceCheck":
        return this.ingestServiceCheck(parsed, now)
    }
  }

  private ingestMetric(metric: Parser.MetricLine, now: number): ReadonlyArray<Verdict> {
    if (metric.timestamp !== undefined) {
      const item = toSeries(metric, metric.timestamp)
      const result = Validate.validateSeries(item, now)
      this.store.acceptSeries(item)
      return [...metric.verdicts, ...result.verdicts, ...plotSeries(this.store, item, result, now)]
    }
    const counted = dropInfiniteCounts(metric)
    const { name, tags, values } = counted
    const verdicts = [...counted.verdicts, ...Validate.validateName(name), ...Validate.validateTags(name, tags)]
    const isDropped = verdicts.some(({ code, outcome }) => outcome === "dropped" && code !== "NotFinite")
    if (isDropped || values.length === 0) return verdicts
    const { table } = this.store
    this.agent.rollUp(counted, Math.floor(now / 1000), (description, second, value) => {
      const { entry, warnings } = table.resolve(description, verdicts, now)
      verdicts.push(...warnings)
      if (typeof value === "number") table.setPoint(entry, second, value)
      else table.addValues(entry, second, value.values, value.weight)
    })
    return verdicts
  }

  private ingestServiceCheck(check: Parser.ServiceCheckLine, now: number): ReadonlyArray<Verdict> {
    const { host, message, name, status, tags, timestamp } = check
    this.store.acceptServiceCheck({
      name,
      status,
      timestamp: timestamp ?? Math.floor(now / 1000),
      host: host ?? "",
      tags,
      message: message ?? ""
    })
    return Validate.validateTags(null, tags)
  }
}
