/**
 * The reporter that the environment selects.
 *
 * @since 0.1.0
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { existsSync } from "node:fs"
import * as DogStatsDReporter from "./DogStatsDReporter.js"
import * as HttpReporter from "./HttpReporter.js"
import { fipsMode, flag, functionName, variable } from "./internal/config/environment.js"
import { ExtensionPath } from "./internal/reporters/extensionPath.js"
import * as noop from "./internal/reporters/noop.js"
import { logFrom } from "./internal/runtime/log.js"
import * as LogReporter from "./LogReporter.js"
import { Reporter } from "./Reporter.js"
import * as ThreadStatsConfig from "./ThreadStatsConfig.js"

type Choice = "extension" | "log lines" | "agent" | "HTTP"

const noEndpoint = ConfigError.InvalidData(
  ["DD_LAMBDA_FIPS_MODE"],
  "HTTP is not allowed: FIPS mode is on, which is the default in us-gov regions. Add Datadog's Lambda extension, set " +
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

/**
 * Selects a reporter by the environment and makes it. Logs its choice at debug level.
 *
 * On AWS Lambda:
 *
 * 1. Datadog's Lambda extension, if it is installed (`/opt/extensions/datadog-agent`): `DogStatsDReporter`, profile `"extension"`
 * 2. Log lines for Datadog's forwarder, with `DD_FLUSH_TO_LOG`: `LogReporter`
 * 3. Datadog's HTTP API: `HttpReporter`. In FIPS mode (`DD_LAMBDA_FIPS_MODE`; by default if `AWS_REGION` begins with `us-gov-`) it
 *    fails with a `ConfigError` instead. Datadog's own libraries drop metrics at this point.
 *
 * Elsewhere: log lines with `DD_FLUSH_TO_LOG`; an Agent with `DD_DOGSTATSD_URL` or `DD_AGENT_HOST`; else HTTP.
 *
 * Over HTTP it uses the `HttpClient` of the context if there is one, else `node:http`. A disabled client gets the noop reporter.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  settings: ThreadStatsConfig.ThreadStatsSettings
): Effect.Effect<Reporter["Type"], ConfigError.ConfigError, Scope.Scope> =>
  Effect.gen(function*() {
    if (settings.disabled) return noop.make()
    const [choice, because] = yield* choose
    yield* logFrom("AutoReporter")(Effect.logDebug(`Selected ${choice}: ${because}`))
    switch (choice) {
      case "extension":
        return yield* DogStatsDReporter.make({ profile: "extension" })
      case "agent":
        return yield* DogStatsDReporter.make()
      case "log lines":
        return yield* LogReporter.make()
      case "HTTP":
        return yield* http(settings)
    }
  })

/**
 * {@link make} as a layer, with the settings of the `ThreadStatsConfig` service.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Reporter, ConfigError.ConfigError, ThreadStatsConfig.ThreadStatsConfig> =
  /*#__PURE__*/ Layer.scoped(Reporter, /*#__PURE__*/ Effect.flatMap(ThreadStatsConfig.ThreadStatsConfig, make))
