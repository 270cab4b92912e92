/** Public types of `DogStatsDReporter`. */

/**
 * Receiver of the lines.
 *
 * - `"agent"`: the Datadog Agent, or any other server of DogStatsD.
 * - `"extension"`: Datadog's Lambda extension. It takes counts, gauges and distributions only, one value per line, without sample rates.
 *   Histograms and timings are sent as distributions, each value on its own line. A set is sent as a gauge: the number of different
 *   members that this environment recorded in the interval. Events, metrics with more than 100 tags and
 *   `aws.lambda.enhanced.invocations` are refused.
 */
export type Profile = "agent" | "extension"

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
export type Timestamps = "late" | "always" | "never"

/** Detail of the tags that the Agent adds for the container (protocol 1.6, Agent 7.64). */
export type TagCardinality = "none" | "low" | "orchestrator" | "high"

/** Settings given in code. Every field is optional and has precedence over the environment. */
export interface Options {
  /**
   * Address of the receiver: `udp://host:port`, `unixgram:///path` (datagrams; needs the package `unix-dgram`), `unixstream:///path`,
   * or `unix:///path`, which finds the type of the socket. It has precedence over `host` and `port`. Environment: `DD_DOGSTATSD_URL`,
   * which has an effect only without `url`, `host` and `port`.
   */
  readonly url?: string | undefined
  /** Host of the receiver. Environment: `DD_AGENT_HOST`. Default: `localhost`. */
  readonly host?: string | undefined
  /** UDP port of the receiver. Environment: `DD_DOGSTATSD_PORT`. Default: 8125. */
  readonly port?: number | undefined
  /** Receiver. The extension listens on UDP port 8125 of the same machine, so its variables have no effect. Default: `"agent"`. */
  readonly profile?: Profile | undefined
  /**
   * Maximum size of a packet with more than one line, in bytes from 512 to 65,507. A single line may have 8192 in any case. Default: 1432
   * over UDP, which fits in an Ethernet frame; 8192, the receiver's buffer, over Unix sockets and to the extension.
   */
  readonly packetSize?: number | undefined
  /** Counts and gauges that carry a time. The extension adds up dated lines, and always gets times. Default: `"late"`. */
  readonly timestamps?: Timestamps | undefined
  /**
   * Whether values of one series share a line (protocol 1.1, Agent 7.25). The extension gets one value per line in any case. Default:
   * `true`.
   */
  readonly packed?: boolean | undefined
  /** Whether lines name the container of this process. Environment: `DD_ORIGIN_DETECTION_ENABLED`. Default: `true`. */
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
