/** The service, apart from the sources at AWS, so that a client without those loads no code for the AWS SDK. */
import * as Cause from "effect/Cause"
import * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { isUsable } from "../config/decoders.js"
import { variable } from "../config/environment.js"
import { unsafeMonotonicMillis } from "../runtime/monotonicTime.js"

/**
 * The source returned no key. Data stays pending, and the next flush reads the source again. No field contains a key.
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
 * API key that is read when it is first needed.
 *
 * @since 0.1.0
 * @category tags
 */
export class ApiKey extends /*#__PURE__*/ Context.Tag("effect-threadstats/ApiKey")<ApiKey, {
  /** Returns the key. It caches a success, but not a failure. Concurrent callers share one read of the source. */
  readonly get: Effect.Effect<Redacted.Redacted, ApiKeyError>
  /**
   * Returns the key to use after Datadog refused this one. Reads the source again, at most once a minute, and returns the cached key
   * otherwise.
   */
  readonly refresh: (refused: Redacted.Redacted) => Effect.Effect<Redacted.Redacted, ApiKeyError>
  /**
   * Fails if a setting is missing or invalid, so that the source cannot return a key. It does not read the source. A client that
   * delivers over HTTP runs it when its layer is built. Default: no check.
   */
  readonly check?: Effect.Effect<void, ConfigError.ConfigError> | undefined
}>() {}

/** Time between two refreshes of a key, in milliseconds. */
const refreshPause = 60_000

const decodeKey = (key: Redacted.Redacted): Effect.Effect<Redacted.Redacted, ApiKeyError> =>
  isUsable(key)
    ? Effect.succeed(key)
    : Effect.fail(new ApiKeyError({ description: "the source returned a key with spaces or unprintable characters" }))

/**
 * Makes the service from an effect that reads the key. The effect runs with the services and the `ConfigProvider` of this constructor.
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
      let cached: Redacted.Redacted | undefined
      let nextRefresh = -Infinity
      let failures = 0
      let lastFailure: Effect.Effect<never, ApiKeyError>
      const readSource = source.pipe(
        Effect.flatMap(decodeKey),
        Effect.tap((key) => Effect.sync(() => (cached = key))),
        Effect.tapErrorCause((cause) =>
          Effect.sync(() => {
            if (Cause.isInterrupted(cause)) return
            failures++
            lastFailure = Effect.failCause(cause)
          })
        ),
        Effect.provide(context),
        Effect.withConfigProvider(provider),
        Effect.withTracerEnabled(false)
      )
      return ApiKey.of({
        get: Effect.suspend(() => {
          if (cached !== undefined) return Effect.succeed(cached)
          const failuresBefore = failures
          return semaphore.withPermits(1)(Effect.suspend(() =>
            cached !== undefined
              ? Effect.succeed(cached)
              // Another caller read the source while this one waited.
              : failures > failuresBefore
              ? lastFailure
              : readSource
          ))
        }),
        refresh: (refused) =>
          semaphore.withPermits(1)(Effect.clockWith((clock) => {
            const now = unsafeMonotonicMillis(clock)
            if (cached !== undefined && (now < nextRefresh || Redacted.value(cached) !== Redacted.value(refused))) {
              return Effect.succeed(cached)
            }
            nextRefresh = now + refreshPause
            return readSource
          }))
      })
    })
  )

/**
 * Makes the service from a key that never changes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const constant = (key: Redacted.Redacted): ApiKey["Type"] =>
  ApiKey.of({ get: Effect.succeed(key), refresh: () => Effect.succeed(key) })

/** Variables that name a source at AWS, in order of precedence. */
export const awsVariables = [
  "DD_API_KEY_SECRET_ARN",
  "DD_API_KEY_SSM_NAME",
  "DD_API_KEY_SSM_ARN",
  "DD_KMS_API_KEY"
] as const

/** Fails for a client without a key. The message explains how to use a source at AWS if the environment names one. */
export const missing: Effect.Effect<never, ConfigError.ConfigError> = /*#__PURE__*/ Effect.gen(function*() {
  for (const name of awsVariables) {
    if (Option.isNone(yield* variable(name))) continue
    return yield* Effect.fail(missingKey(
      `the client has no API key, but ${name} is set. To read the key from there, provide ApiKey.layerEnv to the client's layer: ` +
        "Layer.provide(ApiKey.layerEnv)"
    ))
  }
  return yield* Effect.fail(missingKey(
    "the client has no API key. Set DATADOG_API_KEY, DD_API_KEY or the option apiKey, or disable the client"
  ))
})

/** Makes the error of an absent key. */
export const missingKey = (message: string): ConfigError.ConfigError =>
  ConfigError.MissingData(["DATADOG_API_KEY"], message)
