/** Takes what was sent, by HTTP or as datagrams: has it judged, written down, and put where it can be looked at. */
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Either from "effect/Either"
import { fromV2 } from "../internal/http/seriesV2.js"
import type { AcceptedDistribution, AcceptedEvent, AcceptedSeries, ServiceCheck } from "../LocalIntake.js"
import * as Agent from "./dogstatsd/agent.js"
import * as DogStatsD from "./dogstatsd/parser.js"
import type { Verdict } from "./feedProtocol.js"
import { decodeDistributions, decodeEvent, decodeSeries, decodeSeriesV2, type Refusal, refuse } from "./requestBody.js"
import type { Identity, Memory } from "./store.js"
import * as Judge from "./validate.js"

/** A payload that was taken, and what there is to say about it. */
export interface Taken {
  readonly response: HttpServerResponse.HttpServerResponse
  readonly items: number
  readonly points: number
  readonly verdicts: ReadonlyArray<Verdict>
}

/** A payload that was not, and what was wrong with parts of it. */
export interface NotTaken {
  readonly refusal: Refusal
  readonly verdicts: ReadonlyArray<Verdict>
}

export type Desk = (body: unknown, now: number) => Either.Either<Taken, NotTaken>

const count = (amount: number, one: string, many: string): string => `${amount} ${amount === 1 ? one : many}`

const accepted = (message: string): Verdict => Judge.verdict("accepted", "Accepted", null, message)

/** The most verdicts that are spelled out in an answer. */
const maxReasons = 3

/** Makes an answer of an error out of what Datadog would drop without a word. */
const strictly = (isStrict: boolean, verdicts: ReadonlyArray<Verdict>): Either.Either<void, NotTaken> => {
  const losses = isStrict ? verdicts.filter(Judge.isLoss) : []
  if (losses.length === 0) return Either.void
  const reasons = losses.slice(0, maxReasons).map(({ code, message }) => `${code}: ${message}`)
  const more = losses.length > maxReasons ? `; and ${losses.length - maxReasons} more` : ""
  return Either.mapLeft(
    refuse(400, "Strict", `Datadog would drop a part of this: ${reasons.join("; ")}${more}`),
    (refusal) => ({ refusal, verdicts })
  )
}

export const notTaken = (refusal: Refusal): NotTaken => ({
  refusal,
  verdicts: [Judge.verdict("refused", refusal.code, null, refusal.reason)]
})

const kindOf = ({ type }: AcceptedSeries): Identity["kind"] => type === "rate" || type === "count" ? type : "gauge"

/** Datadog's event ids do not fit a JavaScript number either, which is why `id_str` exists. */
const firstEventId = 7_000_000_000_000_000_001n

const eventAccepted = (
  event: AcceptedEvent,
  id: bigint,
  url: string,
  now: number
): HttpServerResponse.HttpServerResponse => {
  const rest = JSON.stringify({
    id_str: String(id),
    title: event.title,
    text: event.text,
    date_happened: event.date_happened ?? Math.floor(now / 1000),
    priority: event.priority ?? null,
    handle: null,
    related_event_id: event.related_event_id ?? null,
    tags: event.tags ?? null,
    url: `${url}/event/event?id=${id}`
  })
  return HttpServerResponse.text(`{"status":"ok","event":{"id":${id},${rest.slice(1)}}`, {
    status: 202,
    contentType: "application/json"
  })
}

const ok = /*#__PURE__*/ HttpServerResponse.unsafeJson({ status: "ok" }, { status: 202 })
const okV2 = /*#__PURE__*/ HttpServerResponse.unsafeJson({ errors: [] }, { status: 202 })

export const make = (memory: Memory, options: {
  readonly url: string
  readonly isStrict: boolean
  /** The most service checks that are kept. */
  readonly maxChecks: number
}) => {
  const agent = Agent.make(memory)
  const checks: Array<ServiceCheck> = []
  let nextEventId = firstEventId

  /** What there is to see of a series, and what is to be said of it that its payload alone does not tell. */
  const show = (
    item: AcceptedSeries,
    { points, verdicts }: Judge.Judgement<readonly [number, number]>,
    now: number
  ): ReadonlyArray<Verdict> => {
    if (points.length === 0) return []
    const [row, found] = memory.rowOf({ ...item, kind: kindOf(item) }, verdicts, now)
    const lost: Array<Parameters<typeof Judge.overwritten>[1][number]> = []
    for (const [timestamp, after] of points) {
      const second = Math.floor(timestamp)
      const before = memory.put(row, second, after)
      if (before !== undefined && before !== after) lost.push({ second, before, after })
    }
    return [...found, ...Judge.overwritten(item.metric, lost)]
  }

  const takeSeries = (items: ReadonlyArray<AcceptedSeries>, response: Taken["response"], now: number) => {
    const judged = items.map((item) => Judge.judgeSeries(item, now))
    const verdicts = judged.flatMap((judgement) => judgement.verdicts)
    return Either.map(strictly(options.isStrict, verdicts), (): Taken => {
      const found = items.flatMap((item, i) => {
        memory.acceptSeries(item)
        return show(item, judged[i]!, now)
      })
      const points = items.reduce((sum, item) => sum + item.points.length, 0)
      const shown = judged.reduce((sum, judgement) => sum + judgement.points.length, 0)
      return {
        response,
        items: items.length,
        points,
        verdicts: [
          ...(shown === 0 && points > 0
            ? []
            : [accepted(`${count(items.length, "series", "series")} with ${count(shown, "point", "points")}`)]),
          ...verdicts,
          ...found
        ]
      }
    })
  }

  const takeDistributions = (items: ReadonlyArray<AcceptedDistribution>, now: number) => {
    const judged = items.map((item) => Judge.judgeDistribution(item, now))
    const verdicts = judged.flatMap((judgement) => judgement.verdicts)
    return Either.map(strictly(options.isStrict, verdicts), (): Taken => {
      let values = 0
      const found = items.flatMap((item, i) => {
        memory.acceptDistribution(item)
        const { points, verdicts } = judged[i]!
        if (points.length === 0) return []
        const [row, found] = memory.rowOf({ ...item, kind: "distribution" }, verdicts, now)
        for (const [timestamp, all] of points) {
          memory.add(row, Math.floor(timestamp), all)
          values += all.length
        }
        return found
      })
      const points = items.reduce((sum, item) => sum + item.points.length, 0)
      return {
        response: ok,
        items: items.length,
        points,
        verdicts: [
          ...(values === 0 && points > 0
            ? []
            : [
              accepted(
                `${count(items.length, "distribution", "distributions")} with ${count(values, "value", "values")}`
              )
            ]),
          ...verdicts,
          ...found
        ]
      }
    })
  }

  const takeEvent = (event: AcceptedEvent, now: number) => {
    const verdicts = Judge.judgeEvent(event, now)
    return Either.map(strictly(options.isStrict, verdicts), (): Taken => {
      memory.acceptEvent(event, verdicts, now)
      const isKept = !verdicts.some(Judge.isLoss)
      return {
        response: eventAccepted(event, nextEventId++, options.url, now),
        items: 1,
        points: 0,
        verdicts: isKept ? [accepted("1 event"), ...verdicts] : verdicts
      }
    })
  }

  const takeMetric = (metric: DogStatsD.Metric, now: number): ReadonlyArray<Verdict> => {
    const { device, host, name, rate, tags, timestamp, type } = metric
    const numbers = metric.values.filter((value) => typeof value === "number")
    if (timestamp !== undefined) {
      // the Agent passes it on as it is
      const item: AcceptedSeries = {
        metric: name,
        type: type === "c" ? "count" : "gauge",
        points: numbers.map((value) => [timestamp, value / rate]),
        tags,
        interval: Agent.bucketLength,
        ...(host === undefined ? undefined : { host }),
        ...(device === undefined ? undefined : { device })
      }
      const judgement = Judge.judgeSeries(item, now)
      memory.acceptSeries(item)
      return [...metric.verdicts, ...judgement.verdicts, ...show(item, judgement, now)]
    }
    const verdicts = [...metric.verdicts, ...Judge.judgeName(name), ...Judge.judgeTags(name, tags)]
    if (verdicts.some(({ code, outcome }) => outcome === "dropped" && code !== "NotFinite")) return verdicts
    if (metric.values.length === 0) return verdicts
    agent.roll(metric, Math.floor(now / 1000), (identity, second, value) => {
      const [row, found] = memory.rowOf(identity, verdicts, now)
      verdicts.push(...found)
      if (typeof value === "number") memory.put(row, second, value)
      else memory.add(row, second, value)
    })
    return verdicts
  }

  const takeLine = (line: string, now: number): ReadonlyArray<Verdict> => {
    const parsed = DogStatsD.parse(line)
    switch (parsed._tag) {
      case "Fault":
        return [parsed.verdict]
      case "Metric":
        return takeMetric(parsed, now)
      case "Event": {
        const { aggregationKey, alertType, device, host, priority, sourceTypeName, tags, text, timestamp, title } =
          parsed
        const event: AcceptedEvent = {
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
        const verdicts = Judge.judgeEvent(event, now)
        memory.acceptEvent(event, verdicts, now)
        return verdicts
      }
      case "Check": {
        const { host, message, name, status, tags, timestamp } = parsed
        checks.push({
          name,
          status,
          timestamp: timestamp ?? Math.floor(now / 1000),
          host: host ?? "",
          tags,
          message: message ?? ""
        })
        if (checks.length > options.maxChecks) {
          checks.shift()
          memory.forgot(1)
        }
        return Judge.judgeTags(null, tags)
      }
    }
  }

  const desk = <A>(
    decode: (body: unknown, now: number) => Either.Either<A, Refusal>,
    take: (content: A, now: number) => Either.Either<Taken, NotTaken>
  ): Desk =>
  (body, now) => Either.flatMap(Either.mapLeft(decode(body, now), notTaken), (content) => take(content, now))

  return {
    series: desk(decodeSeries, ({ series }, now) => takeSeries(series, ok, now)),
    seriesV2: desk(decodeSeriesV2, ({ series }, now) => takeSeries(series.map(fromV2), okV2, now)),
    distributionPoints: desk(decodeDistributions, ({ series }, now) => takeDistributions(series, now)),
    event: desk(decodeEvent, takeEvent),

    datagram(packet: Uint8Array, now: number): void {
      agent.close(Math.floor(now / 1000))
      const lines = DogStatsD.linesOf(packet)
      const verdicts: Array<Verdict> = []
      if (packet.byteLength > DogStatsD.bufferSize) {
        verdicts.push(Judge.verdict(
          "dropped",
          "PacketTooLong",
          null,
          `a datagram of ${packet.byteLength} bytes; the Agent reads ${DogStatsD.bufferSize}`
        ))
      }
      let taken = 0
      for (const line of lines) {
        const found = takeLine(line, now)
        verdicts.push(...found)
        if (!found.some(Judge.isLoss)) taken++
      }
      if (taken > 0) verdicts.unshift(accepted(count(taken, "line", "lines")))
      const arrival = memory.arrived({
        at: now,
        protocol: "dogstatsd",
        target: "UDP",
        userAgent: "",
        encoding: "identity",
        bytes: packet.byteLength,
        unpackedBytes: packet.byteLength,
        items: lines.length,
        points: 0,
        status: null,
        duration: null,
        fault: null,
        reason: null,
        verdicts: [],
        more: 0
      }, undefined)
      memory.answered(arrival, {}, verdicts)
    },

    /** What was accepted, and what an Agent would still send of what it holds. */
    accepted() {
      const series = memory.series.slice()
      const distributions = memory.distributions.slice()
      for (const { _tag, item } of agent.open()) {
        if (_tag === "Series") series.push(item)
        else distributions.push(item)
      }
      return { series, distributions, events: memory.events.slice() }
    },

    checks: () => checks.slice(),

    clear(): void {
      memory.clear()
      agent.clear()
      checks.length = 0
    }
  }
}
