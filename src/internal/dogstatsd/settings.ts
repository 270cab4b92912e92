/** Resolves the settings of `DogStatsDReporter`. */
import * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Decoders from "../config/decoders.js"
import * as Setting from "../config/setting.js"
import { replaceTagCharacters } from "../model/tagCharacters.js"
import type { Target } from "./connection.js"
import { bufferSize, type LineFormat } from "./format.js"
import type { DogStatsDReporterOptions, LineTimestamps, Profile, TagCardinality } from "./options.js"
import { detectContainer } from "./origin.js"
import { removeFieldSeparators } from "./sanitize.js"
import { decodePort, decodePortText, decodeTarget, decodeTargetHost, defaultPort } from "./target.js"
import { loadUnixDatagrams, type UnixDatagrams } from "./unixDatagram.js"

export interface Settings {
  readonly target: Target
  readonly format: LineFormat
  /** Lifetime of a UDP socket to another machine, in milliseconds. */
  readonly socketLifetime: number
}

type Resolution<A> = Effect.Effect<A, ConfigError.ConfigError>

/** Three flushes at most go to a receiver that is gone. A socket costs some 50 microseconds. */
const defaultSocketLifetime = /*#__PURE__*/ Duration.seconds(30)

/** Payload of an Ethernet frame: 1500 bytes less the longest headers of IPv4, 60 bytes, and of UDP, 8 bytes. */
const udpPacketSize = 1432

/** Names of all options. */
const names: ReadonlyArray<keyof DogStatsDReporterOptions> = [
  "url",
  "agentHost",
  "port",
  "socketLifetime",
  "profile",
  "packetSize",
  "lineTimestamps",
  "packed",
  "sets",
  "tagFormat",
  "originDetection",
  "containerId",
  "externalEnv",
  "entityId",
  "cardinality",
  "root"
]

export const resolve = (options: DogStatsDReporterOptions): Resolution<Settings> =>
  Effect.gen(function*() {
    yield* Setting.checkNames(options, names)
    const profile = yield* orDefault<Profile>(
      word(options, "profile", "DD_THREADSTATS_DOGSTATSD_PROFILE", "agent", "extension", "plain"),
      "agent"
    )
    const target = yield* resolveTarget(options, profile)
    const size = yield* orDefault(
      Setting.resolveOption(options, "packetSize", Decoders.decodeWholeNumber(512, 65_507)),
      profile === "extension" || target._tag === "Unix" ? bufferSize : udpPacketSize
    )
    const format: LineFormat = {
      profile,
      packetSize: size,
      ...yield* resolveLineForm(options, profile),
      ...profile === "agent" ? yield* resolveOrigin(options) : { tags: [], origin: "" }
    }
    const socketLifetime = yield* orDefault(
      Setting.resolve(
        options,
        "socketLifetime",
        Setting.make("DD_THREADSTATS_DOGSTATSD_SOCKET_LIFETIME", Decoders.parseDuration, Decoders.decodeDuration)
      ),
      defaultSocketLifetime
    )
    return { target, format, socketLifetime: Duration.toMillis(socketLifetime) }
  })

/** Resolves the forms in which receivers differ. The extension has one. */
const resolveLineForm = (
  options: DogStatsDReporterOptions,
  profile: Profile
): Resolution<Pick<LineFormat, "packed" | "sets" | "tagFormat" | "timestamps">> =>
  Effect.gen(function*() {
    const timestamps = yield* orDefault<LineTimestamps>(
      word(options, "lineTimestamps", "DD_THREADSTATS_DOGSTATSD_TIMESTAMPS", "late", "always", "never"),
      profile === "plain" ? "never" : "late"
    )
    const packed = yield* orDefault(
      Setting.resolve(
        options,
        "packed",
        Setting.make("DD_THREADSTATS_DOGSTATSD_PACKED", Decoders.parseBoolean, Decoders.decodeBoolean)
      ),
      profile === "agent"
    )
    const sets = yield* word(options, "sets", "DD_THREADSTATS_DOGSTATSD_SETS", "members", "count")
    const tagFormat = yield* word(
      options,
      "tagFormat",
      "DD_THREADSTATS_DOGSTATSD_TAG_FORMAT",
      "dogstatsd",
      "influxdb"
    )
    return profile === "extension"
      ? { packed: false, sets: "count", tagFormat: "dogstatsd", timestamps: "always" }
      : {
        packed,
        sets: Option.getOrElse(sets, () => "members" as const),
        tagFormat: Option.getOrElse(tagFormat, () => "dogstatsd" as const),
        timestamps
      }
  })

/** Resolves a setting that is one of these words. */
const word = <const A extends string>(
  options: DogStatsDReporterOptions,
  name: keyof DogStatsDReporterOptions,
  variable: string,
  ...words: ReadonlyArray<A>
): Resolution<Option.Option<A>> =>
  Setting.resolve(options, name, Setting.make(variable, Decoders.parseWord, Decoders.decodeWord(...words)))

const orDefault = <A>(self: Resolution<Option.Option<A>>, value: A): Resolution<A> =>
  Effect.map(self, Option.getOrElse(() => value))

/** Resolves the address. Options have precedence over all variables, and a URL over host and port. */
const resolveTarget = (options: DogStatsDReporterOptions, profile: Profile): Resolution<Target> =>
  Effect.gen(function*() {
    const url = yield* Setting.resolveOption(options, "url", decodeTarget)
    const host = yield* Setting.resolveOption(options, "agentHost", decodeTargetHost)
    const port = yield* Setting.resolveOption(options, "port", decodePort)
    if (Option.isSome(url)) {
      return profile !== "extension" || url.value._tag === "Udp" ? url.value : yield* Effect.fail(
        ConfigError.InvalidData(["url"], "expected udp://host:port, because the Lambda extension listens on UDP only")
      )
    }
    if (profile === "extension") return udpTarget(host, port, "127.0.0.1")
    if (Option.isNone(host) && Option.isNone(port)) {
      const variableUrl = yield* Setting.resolveVariable(["DD_DOGSTATSD_URL"], decodeTarget)
      if (Option.isSome(variableUrl)) return variableUrl.value
    }
    return udpTarget(
      Option.isSome(host) ? host : yield* Setting.resolveVariable(["DD_AGENT_HOST"], decodeTargetHost),
      Option.isSome(port) ? port : yield* Setting.resolveVariable(["DD_DOGSTATSD_PORT"], decodePortText),
      "localhost"
    )
  })

const udpTarget = (host: Option.Option<string>, port: Option.Option<number>, defaultHost: string): Target => ({
  _tag: "Udp",
  host: Option.getOrElse(host, () => defaultHost),
  port: Option.getOrElse(port, () => defaultPort)
})

const text = (...variables: ReadonlyArray<string>) =>
  Setting.make(variables, Decoders.parseText, Decoders.decodeTrimmedText)

/** Resolves the fields and tags by which the Agent finds the container. */
const resolveOrigin = (options: DogStatsDReporterOptions): Resolution<Pick<LineFormat, "origin" | "tags">> =>
  Effect.gen(function*() {
    const entityId = yield* Setting.resolve(options, "entityId", text("DD_ENTITY_ID"))
    const externalEnv = yield* Setting.resolve(options, "externalEnv", text("DD_EXTERNAL_ENV"))
    const cardinality = yield* Setting.resolve(
      options,
      "cardinality",
      Setting.make(
        ["DATADOG_CARDINALITY", "DD_CARDINALITY"],
        Decoders.parseWord,
        Decoders.decodeWord<TagCardinality>("none", "low", "orchestrator", "high")
      )
    )
    const containerId = yield* resolveContainerId(options)
    return {
      tags: Option.toArray(entityId).map((id) => replaceTagCharacters(`dd.internal.entity_id:${id}`)),
      origin: field("c", containerId) + field("e", externalEnv) + field("card", cardinality)
    }
  })

const resolveContainerId = (options: DogStatsDReporterOptions): Resolution<Option.Option<string>> =>
  Effect.gen(function*() {
    const isDetected = yield* orDefault(
      Setting.resolve(
        options,
        "originDetection",
        Setting.make("DD_ORIGIN_DETECTION_ENABLED", Decoders.parseBoolean, Decoders.decodeBoolean)
      ),
      true
    )
    const containerId = yield* Setting.resolveOption(options, "containerId", Decoders.decodeTrimmedText)
    const root = yield* orDefault(Setting.resolveOption(options, "root", Decoders.decodeTrimmedText), "/")
    return Option.isSome(containerId) || !isDetected
      ? containerId
      : Option.fromNullable(yield* detectContainer(root))
  })

const field = (key: string, value: Option.Option<string>): string =>
  Option.match(value, {
    onNone: () => "",
    onSome: (text) => text === "" ? "" : `|${key}:${removeFieldSeparators(text)}`
  })

/** Loads the package for datagrams on Unix sockets. Only a URL of this type requires it. */
export const unixDatagramsFor = (
  target: Target,
  { url }: DogStatsDReporterOptions
): Resolution<UnixDatagrams | undefined> =>
  target._tag === "Udp" || target.framing === "stream"
    ? Effect.succeed(undefined)
    : target.framing === "either"
    ? Effect.orElseSucceed(loadUnixDatagrams, () => undefined)
    : Effect.mapError(loadUnixDatagrams, (error) =>
      ConfigError.InvalidData(
        [url === undefined ? "DD_DOGSTATSD_URL" : "url"],
        `unixgram:// needs the package unix-dgram, and loading it failed: ${
          error instanceof Error ? error.message.split("\n", 1)[0] : "the error has no message"
        }. Install it, or use unixstream:// or udp://`
      ))
