/**
 * Writes metrics to standard output, one JSON line a value, for Datadog's log forwarder: on AWS Lambda nothing has to be
 * connected to, and no flush waits for a network.
 *
 * A line is `{"m": name, "v": value, "e": seconds since the epoch, "t": [tags]}`. The forwarder submits every line as one value of a
 * distribution, whatever kind recorded it. At Datadog
 *
 * - a distribution stays a distribution;
 * - a counter is a distribution, whose `sum` is the count;
 * - a histogram or timing is a distribution of all values, and Datadog computes the percentiles. If an interval has more than `sampleSize`
 *   values, its sample is sent, and values repeat until their number is right;
 * - a gauge is a distribution of its last values, one for each flush: query its `avg` or `max`;
 * - a set is a distribution of the number of members in each flush: its `max` is a lower bound for an interval;
 * - a host or device is a tag, `host:` or `device:`;
 * - an event has no line. It is dropped, and counted as `Refused`.
 *
 * A name that was submitted as another type before should not be used for this. A metric whose line would be longer than 262,118
 * bytes, which is what CloudWatch Logs takes, is refused.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import type * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type { Event } from "./Event.js"
import type { Decoder } from "./internal/config/decoders.js"
import * as Setting from "./internal/config/setting.js"
import { fitsLimit, type LineChunk, lineChunks, type LogItem, maxLineBytes } from "./internal/log/lines.js"
import * as LineWriter from "./internal/log/writer.js"
import { distributionFromAggregated, samplesFromAggregated } from "./internal/model/wireForm.js"
import { unlessDisabled } from "./internal/reporters/unlessDisabled.js"
import { reportInWireForm, type WireFailure } from "./internal/reporters/wireReport.js"
import { within } from "./internal/runtime/timeLimit.js"
import { Deadline, emptyReceipt, type Reason, type Receipt, Reporter, ReporterError } from "./Reporter.js"
import type { ThreadStatsConfig } from "./ThreadStatsConfig.js"

export type {
  /**
   * Destination of lines: the methods of a Node.js `Writable` that the reporter calls.
   *
   * @since 0.1.0
   * @category models
   */
  LogOutput
} from "./internal/log/writer.js"

/**
 * Options of the reporter.
 *
 * @since 0.1.0
 * @category models
 */
export interface LogReporterOptions {
  /** Destination of the lines. Default: the standard output of the process. */
  readonly output?: LineWriter.LogOutput | undefined
}

/**
 * A reporter that writes to standard output, past `console`, which on Lambda puts a text in front of every line.
 *
 * Whole lines are written, at most 4096 bytes at a time, which a pipe takes in one piece, and each time at the beginning of a
 * line: where something else was written in between, and might have left a line open, a line break comes first.
 *
 * It waits until the output accepts a piece, or until the {@link Deadline}, and writes one piece at a time. Lines that were not
 * written in time, or to a closed output, are `undelivered`; those of the piece in progress may have arrived.
 *
 * Fails with a `ConfigError` that names an invalid option, or an option that does not exist.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options?: LogReporterOptions): Effect.Effect<Reporter["Type"], ConfigError.ConfigError> =>
  Effect.gen(function*() {
    yield* Setting.checkNames(options, ["output"])
    const output = yield* Setting.resolveOption(options, "output", decodeOutput)
    const writer = LineWriter.make(() => Option.getOrElse(output, () => globalThis.process.stdout))

    const deliver = <A extends LogItem>(items: ReadonlyArray<A>): Effect.Effect<Receipt, WireFailure<A>> =>
      Effect.gen(function*() {
        const [refused, lines] = Arr.partition(items, fitsLimit)
        const { begun, complete, sent, stop } = yield* write(writer, lineChunks(lines), yield* Deadline)
        const undelivered = stop === undefined ? [] : lines.filter((item) => !complete.has(item))
        const receipt = { ...sent, items: lines.length - undelivered.length }
        if (stop === undefined && refused.length === 0) return receipt
        return yield* Effect.fail({
          ...(stop ?? tooLong),
          endpoint,
          undelivered,
          refused,
          ambiguous: undelivered.filter((item) => begun.has(item)),
          receipt
        })
      })

    return Reporter.of({
      temporality: "delta",
      samples: true,
      reportSeries: (batch) => reportInWireForm(batch, samplesFromAggregated, deliver),
      reportDistributions: (batch) => reportInWireForm(batch, distributionFromAggregated, deliver),
      reportEvents: refuse
    })
  })

/**
 * {@link make} as a layer. If the client is disabled, the reporter writes nothing and reads no option.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (
  options?: LogReporterOptions
): Layer.Layer<Reporter, ConfigError.ConfigError, ThreadStatsConfig> =>
  Layer.effect(Reporter, unlessDisabled(make(options)))

/**
 * {@link layerWith} for standard output.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Reporter, ConfigError.ConfigError, ThreadStatsConfig> = /*#__PURE__*/ Layer.suspend(
  layerWith
)

const endpoint = "standard output"

const decodeOutput: Decoder<unknown, LineWriter.LogOutput> = (value) =>
  ["write", "on", "off"].every((name) => Predicate.hasProperty(value, name) && Predicate.isFunction(value[name]))
    ? Either.right(value as LineWriter.LogOutput)
    : Either.left("expected a stream, such as process.stderr")

interface Stop {
  readonly reason: Reason
  readonly description: string
  readonly cause?: unknown
}

const late: Stop = { reason: "Timeout", description: "the output accepted no more data in time" }

const tooLong: Stop = { reason: "PayloadTooLarge", description: `a line would be longer than ${maxLineBytes} bytes` }

const broken = (cause: unknown): Stop => ({
  reason: "Transport",
  description: cause instanceof Error ? cause.message : "the output took no lines",
  cause
})

/** Writes one piece after the other, until one of them fails or the time is over. */
const write = Effect.fnUntraced(function*(writer: LineWriter.LineWriter, all: Iterable<LineChunk>, deadline: number) {
  /** Items of which all lines were written, those of which at least one was, and those of the piece that is under way. */
  const complete = new Set<LogItem>()
  const begun = new Set<LogItem>()
  let underWay: ReadonlyArray<LogItem> = []
  let sent = emptyReceipt
  const ended = (stop?: Stop) => ({ complete, begun: new Set([...begun, ...underWay]), sent, stop })

  const left = deadline - (yield* Clock.currentTimeMillis)
  if (left <= 0) return ended(late)
  const writing = Effect.gen(function*() {
    for (const piece of all) {
      const end = yield* Effect.either(writer(piece.text, () => {
        underWay = piece.items
      }))
      underWay = []
      if (Either.isLeft(end)) return broken(end.left)
      for (const item of piece.items) begun.add(item)
      for (const item of piece.complete) complete.add(item)
      sent = { ...sent, payloads: sent.payloads + 1, bytes: sent.bytes + piece.bytes }
    }
    return undefined
  })
  return ended(
    left === Infinity
      ? yield* writing
      : yield* within(writing, left, () => Effect.succeed(late))
  )
})

const refuse = (batch: ReadonlyArray<Event>): Effect.Effect<Receipt, ReporterError> =>
  Effect.fail(
    new ReporterError({
      reason: "Rejected",
      endpoint,
      description: "log lines cannot carry events. Send events through another reporter",
      undelivered: [],
      refused: batch,
      ambiguous: [],
      receipt: emptyReceipt
    })
  )
