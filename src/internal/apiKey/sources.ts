/**
 * The service, apart from the sources at AWS: a bundler that looks for what a client may load finds no AWS SDK in here.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Environment from "../config/environment.js"

/**
 * The source gave no key. What was to be delivered is kept, and the next flush asks again. Nothing in it may hold a key.
 *
 * @since 0.1.0
 * @category errors
 */
export class ApiKeyError extends /*#__PURE__*/ Data.TaggedError("ApiKeyError")<{
  readonly description: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return this.description
  }
}

/**
 * A key that is read when it is first needed.
 *
 * @since 0.1.0
 * @category tags
 */
export class ApiKey extends /*#__PURE__*/ Context.Tag("effect-threadstats/ApiKey")<ApiKey, {
  /** The key. A success is remembered, a failure never; callers that overlap ask the source once. */
  readonly get: Effect.Effect<Redacted.Redacted, ApiKeyError>
  /**
   * The key to use after this one was refused. Asks the source again, at most once a minute; gives back the same key where
   * there is no other.
   */
  readonly refresh: (refused: Redacted.Redacted) => Effect.Effect<Redacted.Redacted, ApiKeyError>
  /**
   * Fails where it is plain without asking that there can be no key, because a setting is missing or wrong. A client that
   * delivers runs it when it is built. Default: nothing is looked at.
   */
  readonly check?: Effect.Effect<void, ConfigError.ConfigError> | undefined
}>() {}

/** How long a source is left alone after it was asked for a fresh key, in milliseconds. */
const refreshPause = 60_000

/**
 * Whether this can be a key: printable ASCII without spaces, which is all that a header may carry.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isUsable = (key: Redacted.Redacted): boolean => {
  const value: unknown = Redacted.value(key)
  return typeof value === "string" && /^[!-~]+$/.test(value)
}

const checked = (key: Redacted.Redacted): Effect.Effect<Redacted.Redacted, ApiKeyError> =>
  isUsable(key)
    ? Effect.succeed(key)
    : Effect.fail(new ApiKeyError({ description: "the key has to be printable characters without spaces" }))

/**
 * A key over an effect that reads it. The effect runs in the services, and over the `ConfigProvider`, that this is run in.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <R>(
  source: Effect.Effect<Redacted.Redacted, ApiKeyError, R>
): Effect.Effect<ApiKey["Type"], never, R> =>
  Effect.configProviderWith((provider) =>
    Effect.map(Effect.context<R>(), (context) => {
      const semaphore = Effect.unsafeMakeSemaphore(1)
      let current: Redacted.Redacted | undefined
      let nextRefresh = -Infinity
      let failures = 0
      let failure: Effect.Effect<never, ApiKeyError>
      const ask = source.pipe(
        Effect.flatMap(checked),
        Effect.tap((key) => Effect.sync(() => (current = key))),
        Effect.tapErrorCause((cause) =>
          Effect.sync(() => {
            if (Cause.isInterrupted(cause)) return
            failures++
            failure = Effect.failCause(cause)
          })
        ),
        Effect.provide(context),
        Effect.withConfigProvider(provider),
        Effect.withTracerEnabled(false)
      )
      return ApiKey.of({
        get: Effect.suspend(() => {
          if (current !== undefined) return Effect.succeed(current)
          const before = failures
          return semaphore.withPermits(1)(Effect.suspend(() =>
            current !== undefined
              ? Effect.succeed(current)
              // asked while this one waited, in vain
              : failures > before
              ? failure
              : ask
          ))
        }),
        refresh: (refused) =>
          semaphore.withPermits(1)(Effect.flatMap(Clock.currentTimeMillis, (now) => {
            if (current !== undefined && (now < nextRefresh || Redacted.value(current) !== Redacted.value(refused))) {
              return Effect.succeed(current)
            }
            nextRefresh = now + refreshPause
            return ask
          }))
      })
    })
  )

/**
 * A key that never changes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const constant = (key: Redacted.Redacted): ApiKey["Type"] =>
  ApiKey.of({ get: Effect.succeed(key), refresh: () => Effect.succeed(key) })

/** What a variable says, without the space around it; nothing where it is not set. */
export const variable = (name: string): Config.Config<string> =>
  Config.string(name).pipe(Config.map((value) => value.trim()), Config.withDefault(""))

/** The variables that name a place at AWS, in the order in which they are looked at. */
export const vaultVariables = [
  "DD_API_KEY_SECRET_ARN",
  "DD_API_KEY_SSM_NAME",
  "DD_API_KEY_SSM_ARN",
  "DD_KMS_API_KEY"
] as const

/** Fails for a client without a key, and says what to do where the environment tells of one at AWS. */
export const missing: Effect.Effect<never, ConfigError.ConfigError> = /*#__PURE__*/ Effect.configProviderWith((
  provider
) =>
  Effect.flatMap(Effect.forEach(vaultVariables, (name) => Environment.read(name, provider)), (values) => {
    const vault = vaultVariables.find((_, i) => values[i] !== "")
    return Effect.fail(ConfigError.MissingData(
      ["DATADOG_API_KEY"],
      vault === undefined
        ? "there is no API key; set DATADOG_API_KEY or DD_API_KEY, or the option apiKey, or disable the client"
        : `there is no API key, but ${vault} is set; to read the key from there, provide ApiKey.layerEnv to the layer of the ` +
          "client: Layer.provide(ApiKey.layerEnv)"
    ))
  })
)
