/** Public types of `DogStatsDReporter`. */
import type { DurationInput } from "effect/Duration"

/**
 * Receiver of the lines.
 *
 * - `"agent"`: the Datadog Agent.
 * - `"extension"`: Datadog's Lambda extension. It takes counts, gauges and distributions only, one value per line, without sample rates.
 *   Histograms and timings are sent as distributions, each value on its own line. A set is sent as a gauge: the number of different
 *   members that this environment recorded in the interval. Events, metrics with more than 100 tags and
 *   `aws.lambda.enhanced.invocations` are refused.
 * - `"plain"`: a server of StatsD: `statsd` 0.9, Telegraf, Vector, or the OpenTelemetry Collector. Lines have one value, no time and no
 *   container. Histograms, timings and distributions are timers (`ms`); those with negative values are refused, as are events. A
 *   negative gauge follows a zero, because these servers take a sign for a change. {@link DogStatsDReporterOptions.sets} and
 *   {@link DogStatsDReporterOptions.tagFormat} adapt the rest.
 */
export type Profile = "agent" | "extension" | "plain"

/**
 * Form of a set: `"members"` sends a line for each member; `"count"` sends a gauge, the number of different members that this process
 * recorded in the interval.
 */
export type Sets = "members" | "count"

/** Place of the tags in a line: `name:1|c|#key:value` or `name,key=value:1|c`. */
export type TagFormat = "dogstatsd" | "influxdb"

/**
 * Counts and gauges that carry the time of their interval (protocol 1.3, Agent 7.40). Distributions, histograms, timings and sets get
 * the time of their arrival, because the protocol has no time for them.
 *
 * The Agent forwards a dated line unchanged. If two senders with the same tags send a count for the same second, Datadog keeps the last
 * one.
 *
 * - `"late"`: gauges, and counts whose interval ended more than a minute ago. The Agent adds up all other counts over all processes, and
 *   dates them when they arrive.
 * - `"always"`: all gauges and counts. Each process behind one Agent then needs a tag of its own.
 * - `"never"`: none, for an older Agent or another server.
 *
 * One client uses no second of a count twice, however often it flushes.
 */
export type LineTimestamps = "late" | "always" | "never"

/** Detail of the tags that the Agent adds for the container (protocol 1.6, Agent 7.64). */
export type TagCardinality = "none" | "low" | "orchestrator" | "high"

/** Settings given in code. Every field is optional and has precedence over the environment. */
export interface DogStatsDReporterOptions {
  /**
   * Address of the receiver: `udp://host:port`, `unixgram:///path` (datagrams; needs the package `unix-dgram`), `unixstream:///path`,
   * or `unix:///path`, which finds the type of the socket. It has precedence over `agentHost` and `port`. Environment: `DD_DOGSTATSD_URL`,
   * which has an effect only without `url`, `agentHost` and `port`.
   */
  readonly url?: string | undefined
  /** Host of the receiver. Environment: `DD_AGENT_HOST`. Default: `localhost`. */
  readonly agentHost?: string | undefined
  /** UDP port of the receiver. Environment: `DD_DOGSTATSD_PORT`. Default: 8125. */
  readonly port?: number | undefined
  /**
   * Time for which one UDP socket sends to another machine. The next flush then opens another socket, and looks the host name up again.
   * An Agent that was replaced behind the same address, as on a node of Kubernetes, gets packets from another port only. Sockets to this
   * machine have no such limit. `Duration.infinity` (`off` in the environment) keeps the socket. Environment:
   * `DD_THREADSTATS_DOGSTATSD_SOCKET_LIFETIME`, in seconds. Default: 30 seconds.
   */
  readonly socketLifetime?: DurationInput | undefined
  /**
   * Receiver. The extension listens on UDP port 8125 of the same machine, so the variables of the address have no effect then.
   * Environment: `DD_THREADSTATS_DOGSTATSD_PROFILE`. Default: `"agent"`.
   */
  readonly profile?: Profile | undefined
  /**
   * Maximum size of a packet with more than one line, in bytes from 512 to 65,507. A single line may have 8192 in any case. Default: 1432
   * over UDP, which fits in an Ethernet frame; 8192, the receiver's buffer, over Unix sockets and to the extension.
   */
  readonly packetSize?: number | undefined
  /**
   * Counts and gauges that carry a time. The extension adds up dated lines, and always gets times. Environment:
   * `DD_THREADSTATS_DOGSTATSD_TIMESTAMPS`. Default: `"late"`, and `"never"` with the profile `"plain"`.
   */
  readonly lineTimestamps?: LineTimestamps | undefined
  /**
   * Whether values of one series share a line (protocol 1.1, Agent 7.25). The extension gets one value per line in any case. Environment:
   * `DD_THREADSTATS_DOGSTATSD_PACKED`. Default: `true` with the profile `"agent"`.
   */
  readonly packed?: boolean | undefined
  /**
   * Form of sets. The OpenTelemetry Collector has none, and needs `"count"`. The extension gets `"count"` in any case. Environment:
   * `DD_THREADSTATS_DOGSTATSD_SETS`. Default: `"members"`.
   */
  readonly sets?: Sets | undefined
  /**
   * Place of the tags. Telegraf reads `"influxdb"`, and `"dogstatsd"` with its setting `datadog_extensions`; all other receivers read
   * `"dogstatsd"`. Environment: `DD_THREADSTATS_DOGSTATSD_TAG_FORMAT`. Default: `"dogstatsd"`.
   */
  readonly tagFormat?: TagFormat | undefined
  /** Whether lines name the container of this process. Only the Agent gets this field and the next ones. Environment: `DD_ORIGIN_DETECTION_ENABLED`. Default: `true`. */
  readonly originDetection?: boolean | undefined
  /** Container, such as `ci-` and its id. Default: read from `/proc/self/cgroup` if {@link originDetection} is on. */
  readonly containerId?: string | undefined
  /** Description of the container by Datadog's admission controller (protocol 1.5). Environment: `DD_EXTERNAL_ENV`. Default: none. */
  readonly externalEnv?: string | undefined
  /** Uid of the pod, sent as the tag `dd.internal.entity_id`. Environment: `DD_ENTITY_ID`. Default: none. */
  readonly entityId?: string | undefined
  /** Detail of the Agent's tags. Environment: `DATADOG_CARDINALITY`, else `DD_CARDINALITY`. Default: the Agent's setting. */
  readonly cardinality?: TagCardinality | undefined
  /** Root of the file system that describes the container. Default: `/`. */
  readonly root?: string | undefined
}
