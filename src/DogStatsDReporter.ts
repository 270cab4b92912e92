/**
 * Delivers over DogStatsD or plain StatsD, over UDP or a Unix socket: to a Datadog Agent, to Datadog's Lambda extension, or to another server.
 *
 * The receiver rolls up itself. It gets the part of each series that was recorded since the last flush, so that it can add up several
 * processes. docs/dogstatsd.md describes the lines, and the treatment of lines that do not arrive.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { SendResult } from "./internal/dogstatsd/batchProgress.js"
import { formatTarget } from "./internal/dogstatsd/connection.js"
import type { DogStatsDReporterOptions } from "./internal/dogstatsd/options.js"
import { encode } from "./internal/dogstatsd/packets.js"
import * as Sender from "./internal/dogstatsd/sender.js"
import * as SetMembers from "./internal/dogstatsd/setMembers.js"
import * as Settings from "./internal/dogstatsd/settings.js"
import * as TimestampAllocator from "./internal/dogstatsd/timestampAllocator.js"
import { monotonicDeadline } from "./internal/model/Delivery.js"
import { distributionFromAggregated, samplesFromAggregated, type WireItem } from "./internal/model/wireForm.js"
import { unlessDisabled } from "./internal/reporters/unlessDisabled.js"
import { reportInWireForm, type WireFailure } from "./internal/reporters/wireReport.js"
import { type Receipt, Reporter, ReporterError } from "./Reporter.js"
import type { ThreadStatsConfig } from "./ThreadStatsConfig.js"

export type {
  /**
   * Settings given in code.
   *
   * @since 0.1.0
   * @category models
   */
  DogStatsDReporterOptions,
  /**
   * Counts and gauges that carry the time of their interval.
   *
   * @since 0.1.0
   * @category models
   */
  LineTimestamps,
  /**
   * Receiver of the lines.
   *
   * @since 0.1.0
   * @category models
   */
  Profile,
  /**
   * Form of a set.
   *
   * @since 0.1.0
   * @category models
   */
  Sets,
  /**
   * Detail of the tags that the Agent adds for the container.
   *
   * @since 0.1.0
   * @category models
   */
  TagCardinality,
  /**
   * Place of the tags in a line.
   *
   * @since 0.1.0
   * @category models
   */
  TagFormat
} from "./internal/dogstatsd/options.js"

/**
 * Environment variables of this module, with descriptions.
 *
 * @since 0.1.0
 * @category metadata
 */
export const variables: ReadonlyArray<{ readonly name: string; readonly description: string }> = [
  { name: "DD_DOGSTATSD_URL", description: "Address of the receiver. It has precedence over the next two variables." },
  { name: "DD_AGENT_HOST", description: "Host of the receiver." },
  { name: "DD_DOGSTATSD_PORT", description: "UDP port of the receiver." },
  { name: "DD_THREADSTATS_DOGSTATSD_PROFILE", description: "Receiver of the lines: agent, extension or plain." },
  { name: "DD_THREADSTATS_DOGSTATSD_TIMESTAMPS", description: "Counts and gauges that carry a time." },
  { name: "DD_THREADSTATS_DOGSTATSD_PACKED", description: "Whether values of one series share a line." },
  { name: "DD_THREADSTATS_DOGSTATSD_SETS", description: "Form of sets: members or count." },
  { name: "DD_THREADSTATS_DOGSTATSD_TAG_FORMAT", description: "Place of the tags in a line: dogstatsd or influxdb." },
  {
    name: "DD_THREADSTATS_DOGSTATSD_SOCKET_LIFETIME",
    description: "Time for which one UDP socket sends to another machine, in seconds; off for no limit."
  },
  { name: "DD_ORIGIN_DETECTION_ENABLED", description: "Whether lines name the container of this process." },
  { name: "DD_EXTERNAL_ENV", description: "Description of the container by Datadog's admission controller." },
  { name: "DD_ENTITY_ID", description: "Uid of the pod." },
  { name: "DATADOG_CARDINALITY", description: "Detail of the tags that the Agent adds for the container." },
  { name: "DD_CARDINALITY", description: "The same if DATADOG_CARDINALITY is absent." }
]

/**
 * Makes a reporter. A setting is the option, else the environment variable, else the default. Fails with a `ConfigError` if a setting is
 * invalid, or if the socket needs a package that is not installed. It does not fail if the receiver is absent.
 *
 * A delivery ends when its packets have left. Packets that certainly did not arrive are `undelivered`: if nobody listens, if the socket
 * is missing, or if the buffer stays full until the {@link Deadline}. The reporter tries an absent receiver again for up to a second, after
 * pauses that double. One item may be in more than one packet: if only some of them have left, it is `ambiguous`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: DogStatsDReporterOptions = {}
): Effect.Effect<typeof Reporter.Service, ConfigError.ConfigError, Scope.Scope> =>
  Effect.gen(function*() {
    const { format, socketLifetime, target } = yield* Settings.resolve(options)
    const sender = yield* Sender.make(target, yield* Settings.unixDatagramsFor(target, options), socketLifetime)
    const endpoint = formatTarget(target)
    const timestamps = TimestampAllocator.make()
    const members = SetMembers.make()

    const deliver = <A extends WireItem>(items: ReadonlyArray<A>): Effect.Effect<Receipt, WireFailure<A>> =>
      Effect.gen(function*() {
        const deadline = yield* monotonicDeadline
        const now = Math.floor((yield* Clock.currentTimeMillis) / 1000)
        const { markSent, packets } = encode(items, { format, timestamps, members, now })
        const outcome = yield* sender.send(items.length, packets, deadline)
        items.forEach((_, i) => {
          const status = outcome.statusOf(i)
          if (status === "Delivered" || status === "Ambiguous") markSent(i)
        })
        return outcome
      }).pipe(
        sender.exclusively,
        Effect.flatMap((outcome) => settle(endpoint, items, outcome))
      )

    return Reporter.of({
      temporality: "delta",
      samples: true,
      reportSeries: (batch) => reportInWireForm(batch, samplesFromAggregated, deliver),
      reportDistributions: (batch) => reportInWireForm(batch, distributionFromAggregated, deliver),
      reportEvents: (events) => Effect.mapError(deliver(events), (failure) => new ReporterError(failure)),
      warm: sender.warm
    })
  })

/**
 * {@link make} as a layer. The socket is closed with it. If the client is disabled, the reporter sends nothing and reads no setting.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (
  options?: DogStatsDReporterOptions
): Layer.Layer<Reporter, ConfigError.ConfigError, ThreadStatsConfig> =>
  Layer.scoped(Reporter, unlessDisabled(make(options)))

/**
 * {@link layerWith} with each option read from a `Config` of your own.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<DogStatsDReporterOptions>
): Layer.Layer<Reporter, ConfigError.ConfigError, ThreadStatsConfig> =>
  Layer.scoped(Reporter, unlessDisabled(Effect.flatMap(Config.unwrap(options), make)))

/**
 * {@link layerWith} with all settings from the environment.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Reporter, ConfigError.ConfigError, ThreadStatsConfig> = /*#__PURE__*/ Layer.suspend(
  layerWith
)

const settle = <A>(
  endpoint: string,
  items: ReadonlyArray<A>,
  { bytes, payloads, problem, problems, retries, statusOf }: SendResult
): Effect.Effect<Receipt, WireFailure<A>> => {
  const undelivered: Array<A> = []
  const refused: Array<A> = []
  const ambiguous: Array<A> = []
  items.forEach((item, i) => {
    const status = statusOf(i)
    if (status === "Refused") refused.push(item)
    if (status === "Undelivered" || status === "Ambiguous") undelivered.push(item)
    if (status === "Ambiguous") ambiguous.push(item)
  })
  const receipt: Receipt = { items: items.length - undelivered.length - refused.length, payloads, bytes, retries }
  return problem === undefined ? Effect.succeed(receipt) : Effect.fail({
    reason: problem.reason,
    endpoint,
    description: problems === 1 ? problem.description : `${problem.description} (and ${problems - 1} more)`,
    undelivered,
    refused,
    ambiguous,
    receipt
  })
}
