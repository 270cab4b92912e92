/**
 * AWS Lambda: what was recorded during an invocation leaves with it.
 *
 * There are two lifetimes. The *environment* (settings, HTTP client, aggregators) is built once and reused by warm
 * invocations; that is a `Layer`. The *invocation* is a fresh `Scope`; {@link lambdaProgram} opens and closes it, and
 * flushes at its end. {@link makeHandler} puts the two together into a handler for AWS's Node.js runtime.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { dual } from "effect/Function"
import type * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as unrefClock from "./internal/unrefClock.js"
import * as ThreadStats from "./ThreadStats.js"

/**
 * What AWS Lambda tells about an invocation: the part of its context object that every Node.js runtime has. The context
 * of `@types/aws-lambda` is one of these.
 *
 * @since 0.1.0
 * @category models
 */
export interface LambdaContext {
  readonly functionName: string
  readonly functionVersion: string
  readonly invokedFunctionArn: string
  readonly memoryLimitInMB: string
  readonly awsRequestId: string
  readonly getRemainingTimeInMillis: () => number
}

/**
 * A handler for AWS's Node.js runtime. It takes two parameters and no more: Node.js 24 refuses handlers with three.
 *
 * @since 0.1.0
 * @category models
 */
export type Handler<Event, A, C = LambdaContext> = (event: Event, context: C) => Promise<A>

/**
 * @since 0.1.0
 * @category models
 */
export interface ProgramOptions {
  /**
   * How often closed roll-up buckets are sent while the invocation runs. Default: the client's `flushInterval`.
   * `Duration.infinity`, or zero, for never: then everything leaves at the end. What is no duration is ignored.
   */
  readonly flushInterval?: Duration.DurationInput | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface HandlerOptions<Event, A, E, R, LE, C = LambdaContext> extends ProgramOptions {
  /** What one invocation does. It gets what Lambda passes, untouched. */
  readonly handler: (event: Event, context: C) => Effect.Effect<A, E, R>
  /** What lives as long as the environment. */
  readonly layer: Layer.Layer<Exclude<R, Scope.Scope> | ThreadStats.ThreadStats, LE>
}

/**
 * What a handler rejects with when its invocation was interrupted, and nothing else went wrong.
 *
 * @since 0.1.0
 * @category errors
 */
export class LambdaInterrupted extends Data.TaggedError("LambdaInterrupted")<{
  readonly cause: Cause.Cause<never>
}> {
  override get message(): string {
    return "the invocation was interrupted before it had a result"
  }
}

/** An invocation that is under way, inside another one, for this client or another. */
interface Invocation {
  readonly client: ThreadStats.ThreadStats["Type"]
  readonly outer: Invocation | undefined
  open: boolean
}

const Invocation = Context.GenericTag<Invocation>("effect-threadstats/Lambda/Invocation")

/** The invocation that will flush `client` at its end, if there is one around. One that has ended will not. */
const enclosing = (
  self: Invocation | undefined,
  client: ThreadStats.ThreadStats["Type"]
): Invocation | undefined =>
  self === undefined || (self.open && self.client === client) ? self : enclosing(self.outer, client)

/** Without those at the front that have ended: a fiber that starts one after another must not hold on to them all. */
const openOnly = (self: Invocation | undefined): Invocation | undefined =>
  self === undefined || self.open ? self : openOnly(self.outer)

const quietly = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<void, never, R> =>
  Effect.catchAllCause(Effect.asVoid(effect), () => Effect.void)

/**
 * The first flush comes after one interval, and `spaced`, because a thawed environment must not catch up on missed ones.
 * A flush in flight is not cut short when the loop is, so nothing is sent twice: the last flush waits for it.
 */
const flushPeriodically = (client: ThreadStats.ThreadStats["Type"], interval: Duration.Duration) =>
  Effect.clockWith((clock) =>
    Effect.suspend(() => client.flush({ upTo: clock.unsafeCurrentTimeMillis() })).pipe(
      quietly,
      Effect.withClock(clock),
      Effect.forkDaemon,
      Effect.flatMap(Fiber.await),
      Effect.schedule(Schedule.spaced(interval)),
      Effect.withClock(unrefClock.make(clock)),
      Effect.interruptible
    )
  )

/**
 * Runs an effect as one invocation: with a `Scope` of its own, a periodic flush while it runs, and a flush at its end.
 *
 * - It flushes on success, failure, defect and interruption; the outcome stays the effect's own, whatever becomes of
 *   the flush. How long that flush may take is the client's `flushTimeout`.
 * - The scope's finalizers run, and its fibers stop, before the last flush, so that what they record is part of it.
 * - Inside another `lambdaProgram` for the same client it leaves flushing to the outer one.
 * - Invocations that overlap share the client; each flushes at its own end.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import { lambdaProgram } from "effect-threadstats/Lambda"
 * import * as ThreadStats from "effect-threadstats/ThreadStats"
 *
 * export const main = ThreadStats.increment("jobs.started").pipe(
 *   Effect.zipRight(Effect.logInfo("working")),
 *   lambdaProgram({ flushInterval: "30 seconds" })
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const lambdaProgram: {
  (
    options?: ProgramOptions
  ): <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, Exclude<R, Scope.Scope> | ThreadStats.ThreadStats>
  <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    options?: ProgramOptions
  ): Effect.Effect<A, E, Exclude<R, Scope.Scope> | ThreadStats.ThreadStats>
} = dual((args) => Effect.isEffect(args[0]), <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  options?: ProgramOptions
): Effect.Effect<A, E, Exclude<R, Scope.Scope> | ThreadStats.ThreadStats> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const client = yield* ThreadStats.ThreadStats
      const around = openOnly(Context.getOrElse(yield* Effect.context<never>(), Invocation, () => undefined))
      const outer = enclosing(around, client)
      const invocation: Invocation = { client, outer: around, open: true }
      const scope = yield* Scope.make()

      yield* Scope.addFinalizer(
        scope,
        Effect.suspend(() => {
          invocation.open = false
          return outer?.open === true ? Effect.void : quietly(client.flush())
        })
      )
      const interval = Option.getOrElse(
        Duration.decodeUnknown(options?.flushInterval ?? client.config.flushInterval),
        () => client.config.flushInterval
      )
      if (outer === undefined && Duration.isFinite(interval) && !Duration.isZero(interval)) {
        yield* Effect.forkIn(flushPeriodically(client, interval), scope)
      }

      return yield* Scope.extend(effect, scope).pipe(
        Effect.mapInputContext((context: Context.Context<Exclude<R, Scope.Scope>>) =>
          Context.add(context, Invocation, invocation)
        ),
        restore,
        Effect.onExit((exit) => Scope.close(scope, exit))
      )
    })
  ))

/**
 * Inside a span, Effect carries a proxy of the error. And `ConfigError` is a plain object, but Lambda reports type and
 * message of an `Error` only.
 */
const rejection = (cause: Cause.Cause<unknown>): unknown => {
  if (Cause.isInterruptedOnly(cause)) {
    return new LambdaInterrupted({ cause: cause as Cause.Cause<never> })
  }
  const error = Cause.originalError(Cause.squash(cause))
  return ConfigError.isConfigError(error)
    ? Object.assign(new Error(String(error), { cause: error }), { name: "ConfigError" })
    : error
}

/**
 * A native handler: every invocation is a {@link lambdaProgram}, in an environment that is built once.
 *
 * The environment starts to build when this function is called, so in the module's top level that is while Lambda
 * initialises; then it opens the connection to the intake. If building fails, the next invocation builds again, and
 * rejects with the reason if that fails too.
 *
 * The promise rejects with the program's own error, the very object: the failure, else the defect, else a
 * {@link LambdaInterrupted}. (A `ConfigError`, which is no `Error`, becomes one with that name and its message.)
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Lambda from "effect-threadstats/Lambda"
 * import * as ThreadStats from "effect-threadstats/ThreadStats"
 *
 * export const handler = Lambda.makeHandler({
 *   handler: (event: { readonly orderId: string }) =>
 *     Effect.as(ThreadStats.increment("orders.received"), { accepted: event.orderId }),
 *   layer: ThreadStats.layerFetch
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeHandler = <Event, A, E, R, LE, C = LambdaContext>(
  options: HandlerOptions<Event, A, E, R, LE, C>
): Handler<Event, A, C> => {
  type Environment = Runtime.Runtime<Exclude<R, Scope.Scope> | ThreadStats.ThreadStats>

  const warm = (environment: Environment) =>
    ThreadStats.ThreadStats.pipe(
      Effect.flatMap((client) => client.warm),
      quietly,
      Effect.provide(environment),
      Effect.forkDaemon
    )
  const build = (): Promise<Exit.Exit<Environment, LE>> => {
    const managed = ManagedRuntime.make(options.layer)
    return managed.runtimeEffect.pipe(
      Effect.tap(warm),
      Effect.onError(() => managed.disposeEffect),
      Effect.runPromiseExit
    )
  }

  let latest = build()
  const environment = async () => {
    const attempt = latest
    const exit = await attempt
    if (Exit.isSuccess(exit)) {
      return exit
    }
    if (latest === attempt) {
      latest = build()
    }
    return latest
  }

  return async (event, context) => {
    const environmentExit = await environment()
    if (Exit.isFailure(environmentExit)) {
      throw rejection(environmentExit.cause)
    }
    const program = lambdaProgram(Effect.suspend(() => options.handler(event, context)), options)
    const exit = await Runtime.runPromiseExit(environmentExit.value, program)
    if (Exit.isFailure(exit)) {
      throw rejection(exit.cause)
    }
    return exit.value
  }
}

/**
 * Records a distribution, under the name that users of Datadog's Lambda libraries know: distributions are what adds up
 * across environments.
 *
 * @since 0.1.0
 * @category accessors
 */
export const lambdaMetric = (
  name: string,
  value: number,
  options?: ThreadStats.PointOptions
): Effect.Effect<void, never, ThreadStats.ThreadStats> => ThreadStats.distribution(name, value, options)
