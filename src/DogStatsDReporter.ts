/**
 * Delivers to a Datadog Agent, to Datadog's Lambda extension, or to anything that speaks DogStatsD, over UDP or a Unix
 * socket.
 *
 * The receiver rolls up by itself: it is sent what was recorded since the last flush, so that several processes add up.
 * What it is sent, and what becomes of what does not arrive, is in docs/dogstatsd.md.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Encoder from "./internal/dogstatsd/encoder.js"
import { container } from "./internal/dogstatsd/origin.js"
import * as Sender from "./internal/dogstatsd/sender.js"
import { addressOf, loadUnixDatagrams, type Target, type UnixDatagrams } from "./internal/dogstatsd/socket.js"
import { distributionFromAggregated, samplesFromAggregated, type WireItem } from "./internal/model/wireForm.js"
import { reportInWireForm, type WireFailure } from "./internal/reporters/wireReport.js"
import { Deadline, type Receipt, Reporter, ReporterError } from "./Reporter.js"

/**
 * Who receives.
 *
 * - `"agent"`: the Datadog Agent, or anything that speaks DogStatsD.
 * - `"extension"`: Datadog's Lambda extension. It takes counts, gauges and distributions only, one value a line, and knows no
 *   sample rates and no events. Histograms and timings are sent as distributions, each value on its own line; a set as a
 *   gauge of how many different members this environment has seen in the interval; events, metrics with more than 100 tags
 *   and `aws.lambda.enhanced.invocations` are refused.
 *
 * @since 0.1.0
 * @category models
 */
export type Profile = "agent" | "extension"

/**
 * Which counts and gauges carry the time of their interval (protocol 1.3, Agent 7.40). Distributions, histograms, timings and
 * sets are dated when they arrive: the protocol has no time for them.
 *
 * The Agent passes on what carries a time as it is: it adds nothing up, and of two senders with the same tags that send a
 * count for the same second Datadog keeps the last. So:
 *
 * - `"late"`: gauges, and counts whose interval has ended more than a minute ago. All other counts are added up by the Agent,
 *   over all processes, and dated when they arrive.
 * - `"always"`: all counts, too. Tell the processes behind one Agent apart by a tag then.
 * - `"never"`: none, for an older Agent or another server.
 *
 * No second of a count is used twice by one client, whatever is flushed how often.
 *
 * @since 0.1.0
 * @category models
 */
export type Timestamps = "late" | "always" | "never"

/**
 * How detailed the tags are that the Agent adds for the container (protocol 1.6, Agent 7.64).
 *
 * @since 0.1.0
 * @category models
 */
export type TagCardinality = "none" | "low" | "orchestrator" | "high"

/**
 * Settings given in code. Every field is optional and beats the environment.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * Where the receiver listens: `udp://host:port`, `unixgram:///path` (datagrams; needs the package `unix-dgram`),
   * `unixstream:///path`, or `unix:///path` for whichever of the two it is. Beats `host` and `port`.
   * Environment: `DD_DOGSTATSD_URL`, where neither this nor `host` or `port` is given.
   */
  readonly url?: string | undefined
  /** Environment: `DD_AGENT_HOST`. Default: `localhost`. */
  readonly host?: string | undefined
  /** Environment: `DD_DOGSTATSD_PORT`. Default: 8125. */
  readonly port?: number | undefined
  /** Default: `"agent"`. The extension listens on UDP port 8125 of the same machine, whatever the environment says. */
  readonly profile?: Profile | undefined
  /**
   * The most bytes of a packet that holds more than one line, from 512 to 65,507. Default: 1432 over UDP, which no network splits;
   * 8192, what the receiver reads at a time, over Unix sockets and to the extension. A single line may have 8192 in any case.
   */
  readonly packetSize?: number | undefined
  /** Default: `"late"`. The extension adds up what carries a time, and always gets it. */
  readonly timestamps?: Timestamps | undefined
  /** Whether values of one series share a line (protocol 1.1, Agent 7.25). Default: `true`; the extension would lose them. */
  readonly packed?: boolean | undefined
  /** Whether to tell the Agent the container of this process. Environment: `DD_ORIGIN_DETECTION_ENABLED`. Default: `true`. */
  readonly originDetection?: boolean | undefined
  /** The container, such as `ci-` and its id. Default: read from `/proc/self/cgroup`, with {@link originDetection}. */
  readonly containerId?: string | undefined
  /** What Datadog's admission controller says of the container (protocol 1.5). Environment: `DD_EXTERNAL_ENV`. Default: none. */
  readonly externalEnv?: string | undefined
  /** The pod's uid, as the tag `dd.internal.entity_id`. Environment: `DD_ENTITY_ID`. Default: none. */
  readonly entityId?: string | undefined
  /** Environment: `DATADOG_CARDINALITY`, else `DD_CARDINALITY`. Default: what the Agent is set to. */
  readonly cardinality?: TagCardinality | undefined
  /** The root of the file system in which the container is looked up. Default: `/`. */
  readonly root?: string | undefined
}

/**
 * Every environment variable that is read, with what it sets.
 *
 * @since 0.1.0
 * @category metadata
 */
export const variables: ReadonlyArray<{ readonly name: string; readonly description: string }> = [
  { name: "DD_DOGSTATSD_URL", description: "Where the receiver listens; beats the two below." },
  { name: "DD_AGENT_HOST", description: "The receiver's host." },
  { name: "DD_DOGSTATSD_PORT", description: "The receiver's UDP port." },
  { name: "DD_ORIGIN_DETECTION_ENABLED", description: "Whether to tell the Agent the container of this process." },
  { name: "DD_EXTERNAL_ENV", description: "What Datadog's admission controller says of the container." },
  { name: "DD_ENTITY_ID", description: "The uid of the pod." },
  { name: "DATADOG_CARDINALITY", description: "How detailed the tags are that the Agent adds for the container." },
  { name: "DD_CARDINALITY", description: "The same, where DATADOG_CARDINALITY is not set." }
]

/**
 * A reporter with the options given, else what the environment says, else the defaults. A wrong setting is a `ConfigError`,
 * and so is a socket that needs a package that is not there; a receiver that is not there is none.
 *
 * A packet has left when its delivery ends, and what is known not to have arrived is `undelivered`: where nobody listens, the
 * socket is missing, or the buffer stays full until the {@link Deadline}. A receiver that is not there is tried again for up to a
 * second, after pauses that double. One item may be in more than one packet: if only some of them have left, it is `ambiguous`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options?: Options
): Effect.Effect<typeof Reporter.Service, ConfigError.ConfigError, Scope.Scope> =>
  Effect.gen(function*() {
    const { format, target } = yield* settingsOf(options ?? {})
    const sender = yield* Sender.make(target, yield* unixDatagramsFor(target))
    const endpoint = addressOf(target)
    const seconds = Encoder.makeSeconds()
    const members = Encoder.makeMembers()

    const deliver = <A extends WireItem>(items: ReadonlyArray<A>): Effect.Effect<Receipt, WireFailure<A>> =>
      Effect.gen(function*() {
        const deadline = yield* Deadline
        const now = Math.floor((yield* Clock.currentTimeMillis) / 1000)
        const { packets, sent } = Encoder.encode(items, { format, seconds, members, now })
        const outcome = yield* sender.send(items.length, packets, deadline)
        items.forEach((_, i) => {
          const fate = outcome.fate(i)
          if (fate === "Delivered" || fate === "Doubtful") sent(i)
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
 * {@link make} as a layer. The socket is closed with it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<Reporter, ConfigError.ConfigError> =>
  Layer.scoped(Reporter, make(options))

/**
 * {@link layer} with each option read from a `Config` of your own.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (options: Config.Config.Wrap<Options>): Layer.Layer<Reporter, ConfigError.ConfigError> =>
  Layer.unwrapEffect(Effect.map(Config.unwrap(options), layer))

/**
 * {@link layer} with all settings from the environment.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerDefault: Layer.Layer<Reporter, ConfigError.ConfigError> = /*#__PURE__*/ Layer.suspend(layer)

const settle = <A>(
  endpoint: string,
  items: ReadonlyArray<A>,
  { bytes, fate, payloads, retries, trouble, troubles }: Sender.Sent
): Effect.Effect<Receipt, WireFailure<A>> => {
  const undelivered: Array<A> = []
  const refused: Array<A> = []
  const ambiguous: Array<A> = []
  items.forEach((item, i) => {
    const what = fate(i)
    if (what === "Refused") refused.push(item)
    if (what === "Undelivered" || what === "Doubtful") undelivered.push(item)
    if (what === "Doubtful") ambiguous.push(item)
  })
  const receipt: Receipt = { items: items.length - undelivered.length - refused.length, payloads, bytes, retries }
  return trouble === undefined ? Effect.succeed(receipt) : Effect.fail({
    reason: trouble.reason,
    endpoint,
    description: troubles === 1 ? trouble.description : `${trouble.description} (and ${troubles - 1} more)`,
    undelivered,
    refused,
    ambiguous,
    receipt
  })
}

const defaultHost = "localhost"
const defaultPort = 8125

/** The extension is on the same machine, and its port is fixed. */
const extension: Target = { _tag: "Udp", host: "127.0.0.1", port: defaultPort }

/** What an Ethernet frame of 1500 bytes holds behind the longest header of IPv4, 60 bytes, and that of UDP, 8. */
const udpPacketSize = 1432

type Parsed<A> = Either.Either<A, string>

const text = (value: unknown): Parsed<string> =>
  typeof value === "string" ? Either.right(value.trim()) : Either.left("expected text")

const flag = (value: unknown): Parsed<boolean> => {
  switch (typeof value === "string" ? value.trim().toLowerCase() : value) {
    case true:
    case "true":
    case "yes":
    case "y":
    case "on":
    case "1":
      return Either.right(true)
    case false:
    case "false":
    case "no":
    case "n":
    case "off":
    case "0":
      return Either.right(false)
    default:
      return Either.left("expected true or false")
  }
}

const whole = (least: number, most: number) => (value: unknown): Parsed<number> => {
  const number = typeof value === "string" && /^\d+$/.test(value.trim()) ? Number(value) : value
  return typeof number === "number" && Number.isInteger(number) && number >= least && number <= most
    ? Either.right(number)
    : Either.left(`expected a whole number from ${least} to ${most}`)
}

const port = whole(1, 65_535)

const oneOf = <A extends string>(...allowed: ReadonlyArray<A>) => (value: unknown): Parsed<A> => {
  const found = allowed.find((one) => one === (typeof value === "string" ? value.trim().toLowerCase() : value))
  return found === undefined ? Either.left(`expected ${allowed.join(", ")}`) : Either.right(found)
}

const host = (value: unknown): Parsed<string> =>
  Either.flatMap(text(value), (trimmed) => {
    const bare = trimmed.replace(/^\[(.*)\]$/, "$1")
    return /^[\w.-]+$|^[\da-f:.]+(%[\w.-]+)?$/i.test(bare)
      ? Either.right(bare)
      : Either.left("expected the name or address of a host; a socket goes into url, or DD_DOGSTATSD_URL")
  })

/** What fits into a socket's address on every system: 104 bytes, and a zero at the end of them. */
const maxPath = 103

const url = (value: unknown): Parsed<Target> =>
  Either.flatMap(text(value), (trimmed) => {
    const [, scheme = "", rest = ""] = /^(\w+):\/\/(.*)$/.exec(trimmed) ?? []
    switch (scheme.toLowerCase()) {
      case "udp":
        return udpTarget(rest)
      case "unix":
        return unixTarget(rest, "either")
      case "unixgram":
        return unixTarget(rest, "datagram")
      case "unixstream":
        return unixTarget(rest, "stream")
      default:
        return Either.left("expected udp://host:port, unix:///path, unixgram:///path or unixstream:///path")
    }
  })

const udpTarget = (rest: string): Parsed<Target> => {
  const match = /^(\[[^\]]*\]|[^:/]*)(?::([^/]*))?\/?$/.exec(rest)
  return match === null
    ? Either.left("expected udp://host:port; an IPv6 address goes in brackets")
    : Either.flatMap(host(match[1]), (host) =>
      Either.map(
        match[2] === undefined ? Either.right(defaultPort) : port(match[2]),
        (port): Target => ({ _tag: "Udp", host, port })
      ))
}

const unixTarget = (path: string, framing: "datagram" | "stream" | "either"): Parsed<Target> =>
  path === ""
    ? Either.left("expected a path")
    : Buffer.byteLength(path) > maxPath
    ? Either.left(`expected a path of at most ${maxPath} bytes, as the system takes no longer one`)
    : Either.right({ _tag: "Unix", path, framing })

const invalid = (name: string) => (message: string) => ConfigError.InvalidData([name], message)

/** What the option says, or nothing where it is not given. */
const fromOption = <A>(
  options: Options,
  name: keyof Options,
  parse: (value: unknown) => Parsed<A>
): Effect.Effect<Option.Option<A>, ConfigError.ConfigError> =>
  Effect.suspend(() => {
    let value: unknown
    try {
      value = options[name]
    } catch {
      return Effect.fail(invalid(name)("it cannot be read"))
    }
    return value === undefined
      ? Effect.succeed(Option.none())
      : Either.mapBoth(parse(value), { onLeft: invalid(name), onRight: Option.some })
  })

/** What the environment says; an empty variable says nothing. */
const fromVariable = <A>(
  name: string,
  parse: (value: string) => Parsed<A>
): Effect.Effect<Option.Option<A>, ConfigError.ConfigError> =>
  Effect.flatMap(
    Config.option(Config.string(name)),
    Option.match({
      onNone: () => Effect.succeed(Option.none()),
      onSome: (value) =>
        value.trim() === ""
          ? Effect.succeed(Option.none())
          : Either.mapBoth(parse(value), { onLeft: invalid(name), onRight: Option.some })
    })
  )

const setting = <A>(
  options: Options,
  name: keyof Options,
  parse: (value: unknown) => Parsed<A>,
  ...variables: ReadonlyArray<string>
): Effect.Effect<Option.Option<A>, ConfigError.ConfigError> =>
  variables.reduce(
    (found, variable) =>
      Effect.flatMap(found, (value) => Option.isSome(value) ? Effect.succeed(value) : fromVariable(variable, parse)),
    fromOption(options, name, parse)
  )

/** What is given in code beats all variables; of both, a URL beats host and port. */
const targetOf = (options: Options, profile: Profile) =>
  Effect.gen(function*() {
    const given = yield* fromOption(options, "url", url)
    if (Option.isSome(given)) return given.value
    const givenHost = yield* fromOption(options, "host", host)
    const givenPort = yield* fromOption(options, "port", port)
    const isGiven = Option.isSome(givenHost) || Option.isSome(givenPort)
    if (profile === "extension") {
      return {
        _tag: "Udp" as const,
        host: Option.getOrElse(givenHost, () => extension.host),
        port: Option.getOrElse(givenPort, () => extension.port)
      }
    }
    const fromUrl = isGiven ? Option.none() : yield* fromVariable("DD_DOGSTATSD_URL", url)
    if (Option.isSome(fromUrl)) return fromUrl.value
    const fromHost = Option.isSome(givenHost) ? givenHost : yield* fromVariable("DD_AGENT_HOST", host)
    const fromPort = Option.isSome(givenPort) ? givenPort : yield* fromVariable("DD_DOGSTATSD_PORT", port)
    return {
      _tag: "Udp" as const,
      host: Option.getOrElse(fromHost, () => defaultHost),
      port: Option.getOrElse(fromPort, () => defaultPort)
    }
  })

interface Settings {
  readonly target: Target
  readonly format: Encoder.Format
}

/** Without what would end a field or the line. */
const asField = (value: string): string => value.replace(/[|\u0000-\u001f\u007f]/g, "")

const settingsOf = (options: Options): Effect.Effect<Settings, ConfigError.ConfigError> =>
  Effect.gen(function*() {
    const profile = Option.getOrElse(
      yield* fromOption(options, "profile", oneOf<Profile>("agent", "extension")),
      (): Profile => "agent"
    )
    const target: Target = yield* targetOf(options, profile)
    if (profile === "extension" && target._tag !== "Udp") {
      return yield* Effect.fail(invalid("url")("the Lambda extension listens on UDP only"))
    }
    const packetSize = yield* fromOption(options, "packetSize", whole(512, 65_507))
    const timestamps = yield* fromOption(options, "timestamps", oneOf<Timestamps>("late", "always", "never"))
    const packed = yield* fromOption(options, "packed", flag)
    const isNear = target._tag === "Unix" || profile === "extension"
    const common = {
      extension: profile === "extension",
      packetSize: Option.getOrElse(packetSize, () => isNear ? Encoder.bufferSize : udpPacketSize)
    }
    if (profile === "extension") {
      return { target, format: { ...common, packed: false, timestamps: "always", tags: [], origin: "" } }
    }

    const entityId = yield* setting(options, "entityId", text, "DD_ENTITY_ID")
    const externalEnv = yield* setting(options, "externalEnv", text, "DD_EXTERNAL_ENV")
    const cardinality = yield* setting(
      options,
      "cardinality",
      oneOf<TagCardinality>("none", "low", "orchestrator", "high"),
      "DATADOG_CARDINALITY",
      "DD_CARDINALITY"
    )
    const detects = yield* setting(options, "originDetection", flag, "DD_ORIGIN_DETECTION_ENABLED")
    const given = yield* fromOption(options, "containerId", text)
    const root = yield* fromOption(options, "root", text)
    const containerId = Option.isSome(given)
      ? given.value
      : Option.getOrElse(detects, () => true)
      ? yield* container(Option.getOrElse(root, () => "/"))
      : undefined
    const fields: ReadonlyArray<readonly [string, string | undefined]> = [
      ["c", containerId],
      ["e", Option.getOrUndefined(externalEnv)],
      ["card", Option.getOrUndefined(cardinality)]
    ]
    return {
      target,
      format: {
        ...common,
        packed: Option.getOrElse(packed, () => true),
        timestamps: Option.getOrElse(timestamps, (): Timestamps => "late"),
        tags: Option.match(entityId, {
          onNone: () => [],
          onSome: (id) => [Encoder.sanitizeTag(`dd.internal.entity_id:${id}`)]
        }),
        origin: fields
          .map(([key, value]) => value === undefined || value === "" ? "" : `|${key}:${asField(value)}`)
          .join("")
      }
    }
  })

/** The package that knows datagrams on Unix sockets, where it is needed, or where it is there and may be. */
const unixDatagramsFor = (target: Target): Effect.Effect<UnixDatagrams | undefined, ConfigError.ConfigError> =>
  target._tag === "Udp" || target.framing === "stream"
    ? Effect.succeed(undefined)
    : target.framing === "either"
    ? Effect.orElseSucceed(loadUnixDatagrams, () => undefined)
    : Effect.mapError(loadUnixDatagrams, (error) =>
      ConfigError.MissingData(
        ["DD_DOGSTATSD_URL"],
        `unixgram:// needs the package unix-dgram, which cannot be loaded (${
          error instanceof Error ? error.message.split("\n", 1)[0] : "no reason given"
        }); install it, or use unixstream:// or udp://`
      ))
