/**
 * Where the API key comes from.
 *
 * By default it is the setting `apiKey`, which the environment gives too. With an {@link ApiKey} layer around it, a client
 * that delivers over HTTP asks that source instead: when it first delivers, and again when the key is refused, so that a
 * key that was rotated in a vault takes effect without a restart.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"

/**
 * The source gave no key. What was to be delivered is kept, and the next flush asks again. Nothing in it may hold a key.
 *
 * @since 0.1.0
 * @category errors
 */
export class ApiKeyError extends Data.TaggedError("ApiKeyError")<{
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
export class ApiKey extends Context.Tag("effect-threadstats/ApiKey")<ApiKey, {
  /** The key. A success is remembered, a failure never; callers that overlap ask the source once. */
  readonly get: Effect.Effect<Redacted.Redacted, ApiKeyError>
  /**
   * The key to use after this one was refused. Asks the source again, at most once a minute; gives back the same key where
   * there is no other.
   */
  readonly refresh: (refused: Redacted.Redacted) => Effect.Effect<Redacted.Redacted, ApiKeyError>
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
 * A key over an effect that reads it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <R>(
  source: Effect.Effect<Redacted.Redacted, ApiKeyError, R>
): Effect.Effect<ApiKey["Type"], never, R> =>
  Effect.map(Effect.context<R>(), (context) => {
    const semaphore = Effect.unsafeMakeSemaphore(1)
    let current: Redacted.Redacted | undefined
    let nextRefresh = -Infinity
    const ask = source.pipe(
      Effect.flatMap(checked),
      Effect.tap((key) => Effect.sync(() => (current = key))),
      Effect.provide(context),
      Effect.withTracerEnabled(false)
    )
    return ApiKey.of({
      get: Effect.suspend(() =>
        current === undefined
          ? semaphore.withPermits(1)(Effect.suspend(() => current === undefined ? ask : Effect.succeed(current)))
          : Effect.succeed(current)
      ),
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

/**
 * A key that never changes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const constant = (key: Redacted.Redacted): ApiKey["Type"] =>
  ApiKey.of({ get: Effect.succeed(key), refresh: () => Effect.succeed(key) })

/**
 * {@link make} as a layer: provide it to a client that delivers over HTTP.
 *
 * @example
 * ```ts
 * import { Effect, Layer, Redacted } from "effect"
 * import { ApiKey, ThreadStats } from "effect-threadstats"
 *
 * const readFromVault = Effect.succeed(Redacted.make("0123456789abcdef"))
 *
 * const client = ThreadStats.layerFetch.pipe(Layer.provide(ApiKey.layer(readFromVault)))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <R>(source: Effect.Effect<Redacted.Redacted, ApiKeyError, R>): Layer.Layer<ApiKey, never, R> =>
  Layer.effect(ApiKey, make(source))
