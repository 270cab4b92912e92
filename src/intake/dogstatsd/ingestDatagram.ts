/** Ingest of DogStatsD datagrams: parses, validates and stores their lines like an Agent that forwards them to Datadog. */
import { acceptedVerdict, formatCount, plotSeries } from "../ingest.js"
import type { AcceptedDistribution, AcceptedEvent, AcceptedSeries, ServiceCheck } from "../model.js"
import type { Store } from "../store.js"
import * as Validate from "../validate.js"
import { isLoss, makeVerdict, type Verdict } from "../verdict.js"
import { Agent, bucketLength } from "./agent.js"
import * as Parser from "./parser.js"

const toEvent = (line: Parser.EventLine): AcceptedEvent => {
  const { aggregationKey, alertType, device, host, priority, sourceTypeName, tags, text, timestamp, title } = line
  return {
    title,
    text,
    alert_type: alertType,
    priority,
    tags,
    ...(timestamp === undefined ? undefined : { date_happened: timestamp }),
    ...(aggregationKey === undefined ? undefined : { aggregation_key: aggregationKey }),
    ...(sourceTypeName === undefined ? undefined : { source_type_name: sourceTypeName }),
    ...(host === undefined ? undefined : { host }),
    ...(device === undefined ? undefined : { device_name: device })
  }
}

/** Returns the series of a metric with a timestamp. The Agent forwards it without rolling it up. */
const toSeries = ({ device, host, name, rate, tags, type, values }: Parser.MetricLine, at: number): AcceptedSeries => ({
  metric: name,
  type: type === "c" ? "count" : "gauge",
  points: values.flatMap((value) => typeof value === "number" ? [[at, value / rate] as const] : []),
  tags,
  interval: bucketLength,
  ...(host === undefined ? undefined : { host }),
  ...(device === undefined ? undefined : { device })
})

export class DatagramIngest {
  private readonly store: Store
  private readonly maxServiceChecks: number
  private readonly agent: Agent
  private readonly receivedChecks: Array<ServiceCheck> = []

  constructor(store: Store, maxServiceChecks: number) {
    this.store = store
    this.maxServiceChecks = maxServiceChecks
    this.agent = new Agent(store)
  }

  get serviceChecks(): ReadonlyArray<ServiceCheck> {
    return this.receivedChecks
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
    this.receivedChecks.length = 0
  }

  private ingestLine(line: string, now: number): ReadonlyArray<Verdict> {
    const parsed = Parser.parseLine(line)
    switch (parsed._tag) {
      case "Invalid":
        return [parsed.verdict]
      case "Metric":
        return this.ingestMetric(parsed, now)
      case "Event": {
        const event = toEvent(parsed)
        const verdicts = Validate.validateEvent(event, now)
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
    const { name, tags, values } = metric
    const verdicts = [...metric.verdicts, ...Validate.validateName(name), ...Validate.validateTags(name, tags)]
    const isDropped = verdicts.some(({ code, outcome }) => outcome === "dropped" && code !== "NotFinite")
    if (isDropped || values.length === 0) return verdicts
    const { table } = this.store
    this.agent.rollUp(metric, Math.floor(now / 1000), (description, second, value) => {
      const { entry, warnings } = table.resolve(description, verdicts, now)
      verdicts.push(...warnings)
      if (typeof value === "number") table.setPoint(entry, second, value)
      else table.addValues(entry, second, value)
    })
    return verdicts
  }

  private ingestServiceCheck(check: Parser.ServiceCheckLine, now: number): ReadonlyArray<Verdict> {
    const { host, message, name, status, tags, timestamp } = check
    this.receivedChecks.push({
      name,
      status,
      timestamp: timestamp ?? Math.floor(now / 1000),
      host: host ?? "",
      tags,
      message: message ?? ""
    })
    if (this.receivedChecks.length > this.maxServiceChecks) {
      this.receivedChecks.shift()
      this.store.countEvicted(1)
    }
    return Validate.validateTags(null, tags)
  }
}
