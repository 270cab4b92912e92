import * as Effect from "effect/Effect"
import type { PipelineEventsAggregator } from "../aggregation/EventsAggregator.js"
import type { PipelineMetricsAggregator } from "../aggregation/MetricsAggregator.js"
import type { DropReason, TruncationReason } from "../model/AggregatorStats.js"
import type { ReporterError } from "../model/Delivery.js"
import type { UnreportedDrops } from "../model/DropCounters.js"
import type { FlushCounts } from "../model/Stats.js"
import { logFrom } from "../runtime/log.js"
import type { PipelineState, PreAggregationDrops } from "./PipelineState.js"

/** Numbers of points and events. */
export interface Amount {
  readonly points: number
  readonly events: number
}

const describeCount = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`

/** Describes points and events, or returns undefined for none. */
const describeAmount = ({ events, points }: Amount): string | undefined =>
  points === 0 && events === 0
    ? undefined
    : [
      ...points === 0 ? [] : [describeCount(points, "point")],
      ...events === 0 ? [] : [describeCount(events, "event")]
    ].join(" and ")

/** Drop reasons that all pipelines of a client share. Only the first pipeline logs them. */
const sharedDropReasons: ReadonlySet<DropReason> = new Set<DropReason>([
  "InvalidValue",
  "InvalidName",
  "InvalidHost",
  "InvalidTimestamp",
  "InvalidTags",
  "KindConflict"
])

/** Describes drops of one reason. The page has a row for each reason: a text for each would be in every bundle. */
const describeDrops = (noun: "point" | "event") => ({ count, names, reason }: UnreportedDrops<string>): string =>
  `Dropped ${describeCount(count, noun)}: ${reason} (${names.join(", ")}). Remedy: docs/delivery.md`

const truncationTexts: { readonly [R in TruncationReason]: string } = {
  TagTooLong: "Tags cut to 200 characters",
  TextTooLong: "Texts of events cut to 4000 characters",
  AggregationKeyTooLong: "Aggregation keys of events cut to 100 characters"
}

const describeTruncations = ({ count, names, reason }: UnreportedDrops<TruncationReason>): string =>
  `${truncationTexts[reason]}, Datadog's limit: ${count} (${names.join(", ")}). Shorten them`

export interface Warnings {
  /** Logs drops, conflicts and errors that no earlier call logged: one line per reason. Never fails. */
  readonly log: (errors: ReadonlyArray<readonly [ReporterError, FlushCounts]>) => Effect.Effect<void>
  /** Annotates an effect that logs with the pipeline's index. */
  readonly annotate: (log: Effect.Effect<void>) => Effect.Effect<void>
  /** Logs how much is lost at the end of the client, and how much the retained store keeps. Never fails. */
  readonly logRemaining: (remaining: { readonly lost: Amount; readonly kept: Amount }) => Effect.Effect<void>
  /** A payload was accepted: logs the next refusal of the key as an error again. */
  readonly keyAccepted: () => void
}

export const make = (options: {
  readonly aggregator: PipelineMetricsAggregator["Type"]
  readonly eventsAggregator: PipelineEventsAggregator["Type"]
  readonly preAggregation: PreAggregationDrops
  readonly state: PipelineState
  /** Index of the pipeline, if the client has several. */
  readonly index: number | undefined
  /** Returns the last failure of the retained store since the previous call. */
  readonly takeStoreFailure: () => { readonly message: string } | undefined
}): Warnings => {
  const { aggregator, eventsAggregator, index, preAggregation, state, takeStoreFailure } = options
  const isFirst = index === undefined || index === 0
  let isKeyRefused = false

  const annotate = (log: Effect.Effect<void>): Effect.Effect<void> =>
    logFrom("ThreadStats")(index === undefined ? log : Effect.annotateLogs(log, "pipeline", index))

  const takeWarnings = Effect.flatMap(
    aggregator.drainWarnings,
    ({ conflicts, dropped, truncated }) =>
      Effect.map(eventsAggregator.drainWarnings, (eventDrops): ReadonlyArray<string> => [
        ...[
          ...(isFirst ? dropped : dropped.filter(({ reason }) => !sharedDropReasons.has(reason))),
          ...preAggregation.metricDrops.drainUnreported(),
          ...state.metricDrops.drainUnreported()
        ].map(describeDrops("point")),
        ...[
          ...eventDrops,
          ...preAggregation.eventDrops.drainUnreported(),
          ...state.eventDrops.drainUnreported()
        ].map(describeDrops("event")),
        ...[
          ...(isFirst ? truncated : []),
          ...preAggregation.truncations.drainUnreported()
        ].map(describeTruncations),
        ...(isFirst ? conflicts : []).map((name) =>
          `The name ${name} is used with more than one kind of metric. Rename one`
        )
      ])
  )

  const logError = ([error, counts]: readonly [ReporterError, FlushCounts]): Effect.Effect<void> => {
    const message = `${error.message} (${counts.pending} pending, ${counts.dropped} dropped)`
    if (error.reason !== "Unauthorized") return Effect.logWarning(message)
    if (isKeyRefused) return Effect.logDebug(message)
    isKeyRefused = true
    return Effect.logError(message)
  }

  return {
    annotate,
    log: (errors) =>
      Effect.flatMap(takeWarnings, (warnings) => {
        const storeFailure = takeStoreFailure()
        const lines = storeFailure === undefined ? warnings : [storeFailure.message, ...warnings]
        if (lines.length === 0 && errors.length === 0) return Effect.void
        return annotate(Effect.gen(function*() {
          for (const line of lines) yield* Effect.logWarning(line)
          for (const failed of errors) yield* logError(failed)
        }))
      }),
    logRemaining: ({ kept, lost }) =>
      annotate(Effect.gen(function*() {
        const [keptText, lostText] = [describeAmount(kept), describeAmount(lost)]
        if (keptText !== undefined) {
          yield* Effect.logInfo(`Not delivered: ${keptText}. The retained store keeps them for the next process`)
        }
        if (lostText !== undefined) {
          yield* Effect.logWarning(
            `Not delivered, and lost with the end of the process: ${lostText}. Provide a RetainedStore, which keeps them ` +
              "across restarts"
          )
        }
      })),
    keyAccepted() {
      isKeyRefused = false
    }
  }
}
