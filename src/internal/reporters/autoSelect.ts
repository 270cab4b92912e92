import * as HttpClient from "@effect/platform/HttpClient"
import * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { existsSync } from "node:fs"
import * as DogStatsDReporter from "../../DogStatsDReporter.js"
import * as HttpReporter from "../../HttpReporter.js"
import * as LogReporter from "../../LogReporter.js"
import { layerNoop, Reporter } from "../../Reporter.js"
import * as ThreadStatsConfig from "../../ThreadStatsConfig.js"
import { fipsMode, flag, functionName, variable } from "../config/environment.js"

/** A file that is there where Datadog's Lambda extension is, as Datadog's own Lambda libraries look for it. */
export class ExtensionPath
  extends /*#__PURE__*/ Context.Reference<ExtensionPath>()("effect-threadstats/Reporter/ExtensionPath", {
    defaultValue: () => "/opt/extensions/datadog-agent"
  })
{}

type Choice = "extension" | "log lines" | "agent" | "HTTP"

const noEndpoint = ConfigError.InvalidData(
  ["DD_LAMBDA_FIPS_MODE"],
  "in FIPS mode, which is the default in us-gov regions, nothing is sent over HTTP; add Datadog's Lambda extension, set " +
    "DD_FLUSH_TO_LOG for its log forwarder, or set DD_LAMBDA_FIPS_MODE to false"
)

const choose = Effect.gen(function*(): Effect.fn.Return<readonly [Choice, because: string], ConfigError.ConfigError> {
  const onLambda = Option.isSome(yield* functionName)
  const toLog = Option.contains(yield* flag("DD_FLUSH_TO_LOG"), true)
  if (onLambda) {
    const path = yield* ExtensionPath
    if (existsSync(path)) return ["extension", `${path} is there`]
    if (toLog) return ["log lines", "DD_FLUSH_TO_LOG is set"]
    if (yield* fipsMode) return yield* Effect.fail(noEndpoint)
    return ["HTTP", "there is no extension, and DD_FLUSH_TO_LOG is not set"]
  }
  if (toLog) return ["log lines", "DD_FLUSH_TO_LOG is set"]
  for (const name of ["DD_DOGSTATSD_URL", "DD_AGENT_HOST"]) {
    if (Option.isSome(yield* variable(name))) return ["agent", `${name} is set`]
  }
  return ["HTTP", "neither DD_FLUSH_TO_LOG nor DD_DOGSTATSD_URL nor DD_AGENT_HOST is set"]
})

const http = Effect.fnUntraced(function*(config: ThreadStatsConfig.ThreadStatsSettings) {
  const client = yield* Effect.serviceOption(HttpClient.HttpClient)
  return yield* Option.match(client, {
    onNone: () => HttpReporter.makeNode(config),
    onSome: (given) => Effect.provideService(HttpReporter.make(config), HttpClient.HttpClient, given)
  })
})

/** The reporter that the environment asks for. */
export const make = (
  config: ThreadStatsConfig.ThreadStatsSettings
): Effect.Effect<Reporter["Type"], ConfigError.ConfigError, Scope.Scope> =>
  Effect.gen(function*() {
    if (config.disabled) return yield* Effect.provide(Reporter, layerNoop)
    const [choice, because] = yield* choose
    yield* Effect.logDebug(`Metrics leave by way of ${choice}: ${because}`).pipe(
      Effect.annotateLogs({ package: "effect-threadstats", module: "Reporter" })
    )
    switch (choice) {
      case "extension":
        return yield* DogStatsDReporter.make({ profile: "extension" })
      case "agent":
        return yield* DogStatsDReporter.make({ profile: "agent" })
      case "log lines":
        return yield* LogReporter.make()
      case "HTTP":
        return yield* http(config)
    }
  })

export const fromOptions = (
  options: ThreadStatsConfig.ThreadStatsOptions | undefined
): Effect.Effect<Reporter["Type"], ConfigError.ConfigError, Scope.Scope> =>
  Effect.flatMap(ThreadStatsConfig.make(options), make)
