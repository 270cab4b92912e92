/** Ingest of payloads: decodes, validates and stores them, and returns the answer. */
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Either from "effect/Either"
import type { AcceptedDistribution, AcceptedEvent, AcceptedSeries } from "./model.js"
import { decodeDistributions, decodeEvent, decodeSeries, decodeSeriesV2, type Refusal, refuse } from "./requestBody.js"
import type { SeriesDescription } from "./seriesTable.js"
import { toSeriesV1 } from "./seriesV2.js"
import type { Store } from "./store.js"
import { sumOf } from "./totals.js"
import * as Validate from "./validate.js"
import { isLoss, makeVerdict, type Verdict } from "./verdict.js"

/** An accepted payload: its answer, its size and its verdicts. */
export interface Accepted {
  readonly response: HttpServerResponse.HttpServerResponse
  readonly items: number
  readonly points: number
  readonly verdicts: ReadonlyArray<Verdict>
}

/** A refused payload: its answer and its verdicts. */
export interface Rejected {
  readonly refusal: Refusal
  readonly verdicts: ReadonlyArray<Verdict>
}

/** Ingests the parsed body of a request that arrived at `now`, in milliseconds since the epoch. */
export type IngestBody = (body: unknown, now: number) => Either.Either<Accepted, Rejected>

export interface IngestOptions {
  /** Address of the intake, for the links of events. */
  readonly url: string
  /** Whether to refuse a payload that Datadog would drop in part. */
  readonly isStrict: boolean
}

/** Ingest functions of the endpoints. */
export interface Ingest {
  readonly series: IngestBody
  readonly seriesV2: IngestBody
  readonly distributionPoints: IngestBody
  readonly event: IngestBody
}

/** Formats a count with its noun. */
export const formatCount = (count: number, one: string, many: string): string => `${count} ${count === 1 ? one : many}`

/** Returns the verdict of accepted data. */
export const acceptedVerdict = (message: string): Verdict => makeVerdict("accepted", "Accepted", null, message)

/** Returns the rejection of a refusal that concerns the whole request. */
export const reject = (refusal: Refusal): Rejected => ({
  refusal,
  verdicts: [makeVerdict("refused", refusal.code, null, refusal.reason)]
})

/** Maximum number of verdicts in the text of an answer. */
const maxReasons = 3

const rejectIfStrict = (isStrict: boolean, verdicts: ReadonlyArray<Verdict>): Either.Either<void, Rejected> => {
  const losses = isStrict ? verdicts.filter(isLoss) : []
  if (losses.length === 0) return Either.void
  const reasons = losses.slice(0, maxReasons).map(({ code, message }) => `${code}: ${message}`)
  const more = losses.length > maxReasons ? `; and ${losses.length - maxReasons} more` : ""
  return Either.mapLeft(
    refuse(400, "Strict", `Datadog would drop a part of this: ${reasons.join("; ")}${more}`),
    (refusal) => ({ refusal, verdicts })
  )
}

const kindOf = ({ type }: AcceptedSeries): SeriesDescription["kind"] =>
  type === "rate" || type === "count" ? type : "gauge"

/** Adds validated points to the series that the page plots. Returns the verdicts that depend on earlier payloads. */
export const plotSeries = (
  store: Store,
  item: AcceptedSeries,
  { points, verdicts }: Validate.ValidationResult<readonly [timestamp: number, value: number]>,
  now: number
): ReadonlyArray<Verdict> => {
  if (points.length === 0) return []
  const { entry, warnings } = store.table.resolve({ ...item, kind: kindOf(item) }, verdicts, now)
  const overwrites: Array<Validate.Overwrite> = []
  for (const [timestamp, after] of points) {
    const second = Math.floor(timestamp)
    const before = store.table.setPoint(entry, second, after)
    if (before !== undefined && before !== after) overwrites.push({ second, before, after })
  }
  const overwritten = Validate.reportOverwrites(item.metric, overwrites)
  for (const verdict of overwritten) store.table.publishVerdict(entry, verdict)
  return [...warnings, ...overwritten]
}

const plotDistribution = (
  store: Store,
  item: AcceptedDistribution,
  { points, verdicts }: Validate.ValidationResult<readonly [timestamp: number, values: ReadonlyArray<number>]>,
  now: number
): ReadonlyArray<Verdict> => {
  if (points.length === 0) return []
  const { entry, warnings } = store.table.resolve({ ...item, kind: "distribution" }, verdicts, now)
  for (const [timestamp, values] of points) store.table.addValues(entry, Math.floor(timestamp), values)
  return warnings
}

const okResponse = /*#__PURE__*/ HttpServerResponse.unsafeJson({ status: "ok" }, { status: 202 })
const okResponseV2 = /*#__PURE__*/ HttpServerResponse.unsafeJson({ errors: [] }, { status: 202 })

const ingestSeries = (
  store: Store,
  isStrict: boolean,
  items: ReadonlyArray<AcceptedSeries>,
  response: HttpServerResponse.HttpServerResponse,
  now: number
): Either.Either<Accepted, Rejected> => {
  const results = items.map((item) => Validate.validateSeries(item, now))
  const verdicts = results.flatMap((result) => result.verdicts)
  return Either.map(rejectIfStrict(isStrict, verdicts), (): Accepted => {
    const storeVerdicts = items.flatMap((item, i) => {
      store.acceptSeries(item)
      return plotSeries(store, item, results[i]!, now)
    })
    const points = sumOf(items, (item) => item.points.length)
    const accepted = sumOf(results, (result) => result.points.length)
    const summary = `${formatCount(items.length, "series", "series")} with ${formatCount(accepted, "point", "points")}`
    const isDropped = accepted === 0 && points > 0
    return {
      response,
      items: items.length,
      points,
      verdicts: [...(isDropped ? [] : [acceptedVerdict(summary)]), ...verdicts, ...storeVerdicts]
    }
  })
}

const ingestDistributions = (
  store: Store,
  isStrict: boolean,
  items: ReadonlyArray<AcceptedDistribution>,
  now: number
): Either.Either<Accepted, Rejected> => {
  const results = items.map((item) => Validate.validateDistribution(item, now))
  const verdicts = results.flatMap((result) => result.verdicts)
  return Either.map(rejectIfStrict(isStrict, verdicts), (): Accepted => {
    const storeVerdicts = items.flatMap((item, i) => {
      store.acceptDistribution(item)
      return plotDistribution(store, item, results[i]!, now)
    })
    const points = sumOf(items, (item) => item.points.length)
    const values = sumOf(results, (result) => sumOf(result.points, ([, values]) => values.length))
    const count = formatCount(items.length, "distribution", "distributions")
    const isDropped = values === 0 && points > 0
    return {
      response: okResponse,
      items: items.length,
      points,
      verdicts: [
        ...(isDropped ? [] : [acceptedVerdict(`${count} with ${formatCount(values, "value", "values")}`)]),
        ...verdicts,
        ...storeVerdicts
      ]
    }
  })
}

/** First identifier of an event. Like those of Datadog it is too large for a JavaScript number, and `id_str` is exact. */
const firstEventId = 7_000_000_000_000_000_001n

const eventResponse = (
  event: AcceptedEvent,
  id: bigint,
  url: string,
  now: number
): HttpServerResponse.HttpServerResponse => {
  const fields = JSON.stringify({
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
  // JSON.stringify does not write a bigint.
  return HttpServerResponse.text(`{"status":"ok","event":{"id":${id},${fields.slice(1)}}`, {
    status: 202,
    contentType: "application/json"
  })
}

const decodeThen = <A>(
  decode: (body: unknown, now: number) => Either.Either<A, Refusal>,
  ingest: (content: A, now: number) => Either.Either<Accepted, Rejected>
): IngestBody =>
(body, now) => Either.flatMap(Either.mapLeft(decode(body, now), reject), (content) => ingest(content, now))

/** Creates the ingest functions of the endpoints. */
export const make = (store: Store, { isStrict, url }: IngestOptions): Ingest => {
  let nextEventId = firstEventId

  const ingestEvent = (event: AcceptedEvent, now: number) => {
    const verdicts = Validate.validateEvent(event, now)
    return Either.map(rejectIfStrict(isStrict, verdicts), (): Accepted => {
      store.acceptEvent(event, verdicts, now)
      return {
        response: eventResponse(event, nextEventId++, url, now),
        items: 1,
        points: 0,
        verdicts: verdicts.some(isLoss) ? verdicts : [acceptedVerdict("1 event"), ...verdicts]
      }
    })
  }

  return {
    series: decodeThen(decodeSeries, ({ series }, now) => ingestSeries(store, isStrict, series, okResponse, now)),
    seriesV2: decodeThen(
      decodeSeriesV2,
      ({ series }, now) => ingestSeries(store, isStrict, series.map(toSeriesV1), okResponseV2, now)
    ),
    distributionPoints: decodeThen(
      decodeDistributions,
      ({ series }, now) => ingestDistributions(store, isStrict, series, now)
    ),
    event: decodeThen(decodeEvent, ingestEvent)
  }
}
