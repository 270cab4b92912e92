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
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as DefaultServices from "effect/DefaultServices"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as RuntimeFlags from "effect/RuntimeFlags"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as enhanced from "./internal/lambda/enhancedMetrics.js"
import * as lambdaError from "./internal/lambda/lambdaError.js"
import * as alarm from "./internal/runtime/timer.js"
import type * as LambdaExtension from "./LambdaExtension.js"
import * as LambdaStream from "./LambdaStream.js"
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
 * The invocation a program is part of. {@link makeHandler} provides it; {@link lambdaProgram} reads it where it is there.
 *
 * @since 0.1.0
 * @category tags
 */
export const LambdaContext: Context.Tag<LambdaContext, LambdaContext> = Context.GenericTag<LambdaContext>(
  "effect-threadstats/Lambda/LambdaContext"
)

/**
 * When what was recorded leaves.
 *
 * - `"before-response"`: before the caller gets its answer, which therefore waits for the flush
 * - `LambdaExtension.afterResponse`: after it, while an extension keeps the environment awake
 *
 * @since 0.1.0
 * @category models
 */
export type FlushMode = "before-response" | LambdaExtension.AfterResponse

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
  /**
   * How long before Lambda ends the invocation everything is flushed that was recorded until then, whatever the program is
   * doing. Default: 500 milliseconds, or half of what there is where that is less.
   */
  readonly deadlineMargin?: Duration.DurationInput | undefined
  /**
   * When the last flush takes place. Default: `"before-response"`. `LambdaExtension.afterResponse` needs a `LambdaExtension`
   * among the services ({@link makeHandler} brings it along), and is `"before-response"` without one.
   */
  readonly flush?: FlushMode | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface HandlerOptions<Event, A, E, R, LE, C = LambdaContext> extends ProgramOptions {
  /** What one invocation does. It gets what Lambda passes, untouched. */
  readonly handler: (event: Event, context: C) => Effect.Effect<A, E, R>
  /** What lives as long as the environment. */
  readonly layer: Layer.Layer<Exclude<R, Scope.Scope | LambdaContext> | ThreadStats.ThreadStats, LE>
  /** To record what Datadog's own Lambda library does: {@link enhancedMetrics}. Default: none of it. */
  readonly enhancedMetrics?: EnhancedMetrics | undefined
}

/**
 * Records of every invocation how it began and ended. {@link enhancedMetrics} is one.
 *
 * @since 0.1.0
 * @category models
 */
export interface EnhancedMetrics {
  readonly around: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | ThreadStats.ThreadStats>
}

/**
 * What {@link streamHandler} takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface StreamHandlerOptions<Event, A, E, R, LE, C = LambdaContext>
  extends Omit<HandlerOptions<Event, A, E, R, LE, C>, "handler">
{
  /**
   * What one invocation does. A `Stream` of texts or bytes, and what `LambdaStream.make` makes, is sent as it comes; any other
   * result is sent as JSON, `undefined` as `null`.
   */
  readonly handler: (event: Event, context: C) => Effect.Effect<A, E, R> | Stream.Stream<LambdaStream.Chunk, E, R>
}

/**
 * Where Lambda's Node.js runtime takes a streamed response: the part of it that every Node.js `Writable` has, and the
 * content type.
 *
 * @since 0.1.0
 * @category models
 */
export interface ResponseStream {
  readonly write: (chunk: LambdaStream.Chunk) => boolean
  readonly end: () => unknown
  readonly on: (event: "error" | "close" | "drain", listener: (error?: unknown) => void) => unknown
  readonly off: (event: "error" | "close" | "drain", listener: (error?: unknown) => void) => unknown
  readonly setContentType?: ((contentType: string) => void) | undefined
}

/**
 * A handler that streams its response. Lambda's Node.js runtime knows it by a mark that it carries; a wrapper has to copy
 * that.
 *
 * @since 0.1.0
 * @category models
 */
export interface StreamHandler<Event, C = LambdaContext> {
  (event: Event, responseStream: ResponseStream, context: C): Promise<void>
  readonly [streamingMark]: "response"
}

/**
 * The mark of a handler that streams. Source: the Node.js runtime client, `awslambda.streamifyResponse`.
 *
 * @since 0.1.0
 * @category symbols
 */
export const streamingMark: unique symbol = Symbol.for("aws.lambda.runtime.handler.streaming")

/**
 * The client went away before it had the whole response.
 *
 * @since 0.1.0
 * @category errors
 */
export class ResponseClosed extends /*#__PURE__*/ Data.TaggedError("ResponseClosed")<{ readonly cause?: unknown }> {
  override get message(): string {
    return "the response was closed before its end"
  }
}

/**
 * What a handler rejects with when its invocation was interrupted, and nothing else went wrong.
 *
 * @since 0.1.0
 * @category errors
 */
export class LambdaInterrupted extends /*#__PURE__*/ Data.TaggedError("LambdaInterrupted")<{
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
  /** Calls off what is to be flushed while it is open. */
  stop: () => void
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

/** What Lambda leaves to an invocation, in milliseconds. Infinite where it does not say, or does not hold to it. */
const timeLeft = (context: LambdaContext | undefined): number => {
  try {
    const left: unknown = context?.getRemainingTimeInMillis()
    // Managed Instances let an invocation go on beyond its deadline
    return typeof left === "number" && left > 0 ? left : Infinity
  } catch {
    return Infinity
  }
}

/** What a flush leaves of an invocation's time for its answer to leave, in milliseconds. */
const answerTime = 100

/** All the time there is, but for the answer. */
const withinDeadline = (context: LambdaContext | undefined): ThreadStats.FlushOptions => {
  const left = timeLeft(context)
  return { timeout: Math.max(left - answerTime, left / 2) }
}

/** The options of a program, read once. */
interface Settings {
  /** In milliseconds; undefined for the client's own interval. */
  readonly interval: number | undefined
  /** How long before the deadline everything is flushed, in milliseconds. */
  readonly margin: number
  readonly after: LambdaExtension.AfterResponse | undefined
}

const defaults: Settings = { interval: undefined, margin: 500, after: undefined }

const millisOf = <A>(input: Duration.DurationInput | undefined, otherwise: A): number | A =>
  input === undefined
    ? otherwise
    : Option.match(Duration.decodeUnknown(input), { onNone: () => otherwise, onSome: Duration.toMillis })

const settingsOf = (options: ProgramOptions | undefined): Settings =>
  options === undefined ? defaults : {
    interval: millisOf(options.flushInterval, defaults.interval),
    margin: millisOf(options.deadlineMargin, defaults.margin),
    after: typeof options.flush === "object" ? options.flush : undefined
  }

const clockOf = ({ fiberRefs }: Runtime.Runtime<never>): Clock.Clock =>
  Context.get(FiberRefs.getOrDefault(fiberRefs, DefaultServices.currentServices), Clock.Clock)

/**
 * Flushes closed buckets on the interval, and everything once, shortly before the deadline, for as long as the invocation is
 * open. No timer holds the process, and there is none before the invocation has left the thread for the first time: most are
 * over by then.
 *
 * A flush is on a fiber of its own, and goes on when the invocation ends: one that is cut short would be sent twice, and the
 * last flush waits for it. None on the interval takes longer than until the one before the deadline, and the next comes one
 * interval after its end, because a thawed environment must not catch up on those it missed.
 */
const watch = (
  invocation: Invocation,
  context: LambdaContext | undefined,
  { interval, margin: asked }: Settings,
  runtime: Runtime.Runtime<never>
): void => {
  const { client } = invocation
  queueMicrotask(() => {
    if (!invocation.open) return
    const clock = clockOf(runtime)
    const left = timeLeft(context)
    const margin = Math.min(asked, left / 2)
    const every = interval ?? Duration.toMillis(client.config.flushInterval)
    const flush = (options: () => ThreadStats.FlushOptions) => quietly(Effect.suspend(() => client.flush(options())))
    const flushClosed = flush(() => ({
      upTo: clock.unsafeCurrentTimeMillis(),
      timeout: Math.max(timeLeft(context) - margin, 1)
    }))
    const flushAll = () => Runtime.runFork(runtime)(flush(() => withinDeadline(context)))
    const stopTicking = every > 0 && every < Infinity ? alarm.every(clock, runtime, every, flushClosed) : () => {}
    const stopWatching = left < Infinity
      ? alarm.set(clock, runtime, left - margin, flushAll, { unref: true })
      : () => {}
    invocation.stop = () => {
      stopTicking()
      stopWatching()
    }
  })
}

/**
 * Runs an effect as one invocation: with a `Scope` of its own, a periodic flush while it runs, and a flush at its end.
 *
 * - It flushes on success, failure, defect and interruption; the outcome stays the effect's own, whatever becomes of
 *   the flush. How long a flush may take is the client's `flushTimeout`, or what is left of the invocation's time.
 * - Shortly before the invocation's deadline a fiber of its own flushes what was recorded until then, also where the effect
 *   cannot be interrupted. For that it has to know the {@link LambdaContext}.
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
} = /*#__PURE__*/ dual((args) => Effect.isEffect(args[0]), <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  options?: ProgramOptions
): Effect.Effect<A, E, Exclude<R, Scope.Scope> | ThreadStats.ThreadStats> => invoked(effect, settingsOf(options)))

/**
 * What an invocation is to its program, and what is to be done once that has ended. It is written for the one that ends at
 * once: it goes through few operations, and starts no fiber.
 */
const invocationOf = (
  services: Context.Context<never>,
  context: LambdaContext | undefined,
  settings: Settings,
  /** Where what is flushed meanwhile runs. */
  runtime: Runtime.Runtime<never>
) => {
  const client = Context.unsafeGet(services, ThreadStats.ThreadStats)
  const around = openOnly(services.unsafeMap.get(Invocation.key))
  const outer = enclosing(around, client)
  const invocation: Invocation = { client, outer: around, open: true, stop: () => {} }
  if (outer === undefined) watch(invocation, context, settings, runtime)

  const flush = Effect.suspend(() => {
    invocation.open = false
    invocation.stop()
    return outer?.open === true ? Effect.void : flushAtEnd(client, context, services, settings)
  })
  const close = <A, E>(scope: Scope.CloseableScope, exit: Exit.Exit<A, E>): Effect.Effect<A, E> =>
    Effect.matchCauseEffect(Scope.close(scope, exit), {
      onFailure: (cause) =>
        Effect.zipRight(
          flush,
          Exit.failCause(Exit.isFailure(exit) ? Cause.sequential(exit.cause, cause) : cause)
        ),
      onSuccess: () => Effect.zipRight(flush, exit)
    })
  return { invocation, close }
}

/** The same for a fiber that goes on afterwards. */
const invoked = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  settings: Settings
): Effect.Effect<A, E, Exclude<R, Scope.Scope> | ThreadStats.ThreadStats> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      Scope.make(),
      (scope) =>
        Effect.withFiberRuntime<A, E, Exclude<R, Scope.Scope> | ThreadStats.ThreadStats>((fiber, { runtimeFlags }) => {
          const services = fiber.currentContext
          const runtime = Runtime.make({
            context: services,
            runtimeFlags: RuntimeFlags.enable(runtimeFlags, RuntimeFlags.Interruption),
            fiberRefs: fiber.getFiberRefs()
          })
          const context = services.unsafeMap.get(LambdaContext.key)
          const { close, invocation } = invocationOf(services, context, settings, runtime)
          const inside = new Map(services.unsafeMap).set(Scope.Scope.key, scope).set(Invocation.key, invocation)
          const end = (exit: Exit.Exit<A, E>) => Effect.zipRight(setServices(services), close(scope, exit))
          return Effect.matchCauseEffect(
            Effect.zipRight(setServices(Context.unsafeMake(inside)), restore(effect as Effect.Effect<A, E>)),
            { onFailure: (cause) => end(Exit.failCause(cause)), onSuccess: (value) => end(Exit.succeed(value)) }
          )
        })
    )
  )

/** What `Effect.provide` does around an effect, once: the fiber's services from here on. */
const setServices = (services: Context.Context<never>) => FiberRef.set(FiberRef.currentContext, services)

/** Now, or once the answer has left, where that is wanted and possible. */
const flushAtEnd = (
  client: ThreadStats.ThreadStats["Type"],
  context: LambdaContext | undefined,
  services: Context.Context<never>,
  { after }: Settings
): Effect.Effect<void> => {
  const flush = quietly(Effect.suspend(() => client.flush(withinDeadline(context))))
  return after === undefined || context === undefined ? flush : after.flush(flush, services, context.awsRequestId)
}

const rejection = (cause: Cause.Cause<unknown>): unknown =>
  lambdaError.rejection(cause, (interruption) => new LambdaInterrupted({ cause: interruption }))

/**
 * A native handler: every invocation is a {@link lambdaProgram}, in an environment that is built once.
 *
 * The environment starts to build when this function is called, so in the module's top level that is while Lambda
 * initialises; then it opens the connection to the intake. If building fails, the next invocation builds again, and
 * rejects with the reason if that fails too. `ready` resolves when the first attempt is over.
 *
 * With `flush: LambdaExtension.afterResponse` it registers an internal extension as well, and on SIGTERM flushes what is left. Lambda
 * takes a registration only while it initialises the function, so the thread waits for it: some tens of milliseconds, two
 * seconds at most. Where it comes to nothing, there is one warning, and everything is flushed before the response.
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
 *   layer: ThreadStats.layerNode
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeHandler = <Event, A, E, R, LE, C = LambdaContext>(
  options: HandlerOptions<Event, A, E, R, LE, C>
): Handler<Event, A, C> & { readonly ready: Promise<void> } => {
  const { invoke, ready } = makeInvoke(options)
  const handler = (event: Event, context: C): Promise<A> =>
    invoke(Effect.suspend(() => options.handler(event, context)), context)
  return Object.assign(handler, { ready })
}

/**
 * A native handler that streams its response; for the rest it is {@link makeHandler}.
 *
 * The response is ended before anything is flushed, so the client has all of it while the invocation goes on. What fails
 * before the end leaves the response open, and the promise rejects: Lambda tells the client.
 *
 * @example
 * ```ts
 * import * as Lambda from "effect-threadstats/Lambda"
 * import * as LambdaStream from "effect-threadstats/LambdaStream"
 * import * as ThreadStats from "effect-threadstats/ThreadStats"
 * import * as Stream from "effect/Stream"
 *
 * export const handler = Lambda.streamHandler({
 *   handler: () =>
 *     LambdaStream.make(
 *       Stream.make("<p>one</p>", "<p>two</p>").pipe(Stream.tap(() => ThreadStats.increment("page.parts"))),
 *       { headers: { "content-type": "text/html" } }
 *     ),
 *   layer: ThreadStats.layerNode
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const streamHandler = <Event, A, E, R, LE, C = LambdaContext>(
  options: StreamHandlerOptions<Event, A, E, R, LE, C>
): StreamHandler<Event, C> & { readonly ready: Promise<void> } => {
  const { invoke, ready } = makeInvoke(options)
  const handler = (event: Event, responseStream: ResponseStream, context: C): Promise<void> =>
    invoke(
      Effect.suspend((): Effect.Effect<unknown, unknown, R> => {
        const result = options.handler(event, context)
        return Effect.isEffect(result) ?
          result :
          Effect.map(Effect.context<R>(), (services) => Stream.provideContext(result, services))
      }).pipe(Effect.flatMap((result) => respond(responseStream, result))),
      context
    )
  return Object.assign(handler, { ready, [streamingMark]: "response" as const })
}

/** Sends a result, piece by piece or as a whole, and ends the response. */
const respond = (to: ResponseStream, result: unknown): Effect.Effect<void, unknown> =>
  Effect.scoped(Effect.gen(function*() {
    const stream = Option.getOrUndefined(LambdaStream.fromResult(result))
    const closed = yield* Deferred.make<never, ResponseClosed>()
    let isEnded = false
    const close = (cause?: unknown) => {
      if (!isEnded) Deferred.unsafeDone(closed, new ResponseClosed({ cause }))
    }
    to.on("error", close)
    to.on("close", close)
    yield* Effect.addFinalizer(() => Effect.sync(() => to.off("close", close)))

    const drained = Effect.async<void>((resume) => {
      const onDrain = () => resume(Effect.void)
      to.on("drain", onDrain)
      return Effect.sync(() => to.off("drain", onDrain))
    })
    const write = (chunk: LambdaStream.Chunk) =>
      Effect.suspend(() => to.write(chunk) ? Effect.void : Effect.raceFirst(drained, Deferred.await(closed)))

    if (stream === undefined) {
      const json = yield* Effect.try({
        try: () => JSON.stringify(result) ?? "null",
        catch: (error) =>
          new LambdaStream.LambdaStreamError({ description: error instanceof Error ? error.message : String(error) })
      })
      to.setContentType?.("application/json")
      yield* write(json)
    } else {
      const { contentType, prelude } = yield* LambdaStream.head(stream)
      let isOpen = false
      const open = Effect.suspend(() => {
        if (isOpen) return Effect.void
        isOpen = true
        to.setContentType?.(contentType)
        return Option.match(prelude, { onNone: () => Effect.void, onSome: write })
      })
      yield* Effect.raceFirst(
        LambdaStream.runForEach(stream, (chunk) => Effect.zipRight(open, write(chunk))),
        Deferred.await(closed)
      )
      yield* open
    }
    isEnded = true
    to.end()
  }))

/** An environment, and how its invocations run in it. */
const makeInvoke = <Event, A, E, R, LE, C>(options: Omit<HandlerOptions<Event, A, E, R, LE, C>, "handler">) => {
  type Services = Exclude<R, Scope.Scope | LambdaContext> | ThreadStats.ThreadStats
  // a caller without types may pass `true`
  if (options.enhancedMetrics as unknown === true) throw new TypeError("enhancedMetrics: Lambda.enhancedMetrics")
  const settings = settingsOf(options)
  const environment = makeEnvironment(options.layer, settings.after)
  const start = <B, E2>(
    runtime: Runtime.Runtime<Services>,
    effect: Effect.Effect<B, E2, R>,
    context: C
  ): Promise<B> => {
    const { fiberRefs, runtimeFlags } = runtime
    const services = runtime.context as Context.Context<never>
    const { close, invocation } = invocationOf(services, context as never, settings, runtime)
    // in a fiber of its own they need not be set: it begins with them, and they are complete before anybody sees them
    const inside = new Map(services.unsafeMap).set(LambdaContext.key, context).set(Invocation.key, invocation)
      .set(enhanced.Start.key, enhanced.startOf(environment.life, () => clockOf(runtime)))
    const own = options.enhancedMetrics ? options.enhancedMetrics.around(effect) : effect
    const program = Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Scope.make(), (scope) => {
        inside.set(Scope.Scope.key, scope)
        return Effect.matchCauseEffect(restore(own as Effect.Effect<B, E2>), {
          onFailure: (cause) => close(scope, Exit.failCause(cause)),
          onSuccess: (value) => close(scope, Exit.succeed(value))
        })
      })
    )
    const fiber = Runtime.runFork(
      Runtime.make({ context: Context.unsafeMake<never>(inside), fiberRefs, runtimeFlags }),
      program
    )
    const exit = fiber.unsafePoll()
    return exit === null ? exitOf(fiber).then(settle) : settle(exit)
  }
  const invoke = <B, E2>(effect: Effect.Effect<B, E2, R>, context: C): Promise<B> => {
    const runtime = environment.built()
    return runtime === undefined
      ? environment.get().then((runtime) => start(runtime, effect, context))
      : start(runtime, effect, context)
  }
  return { invoke, ready: environment.ready }
}

const exitOf = <A, E>(fiber: Fiber.RuntimeFiber<A, E>): Promise<Exit.Exit<A, E>> =>
  new Promise((resolve) => fiber.addObserver(resolve))

const settle = <A, E>(exit: Exit.Exit<A, E>): Promise<A> =>
  Exit.isSuccess(exit) ? Promise.resolve(exit.value) : Promise.reject(rejection(exit.cause))

interface Environment<R> {
  readonly life: enhanced.Environment
  /** What {@link get} resolves to, once it is there. */
  readonly built: () => Runtime.Runtime<R> | undefined
  /** Rejects with the reason if it cannot be built. */
  readonly get: () => Promise<Runtime.Runtime<R>>
  /** When the first attempt to build it is over. */
  readonly ready: Promise<void>
}

/** Starts to build at once; after a failure, again whenever it is asked for. */
const makeEnvironment = <R, LE>(
  layer: Layer.Layer<R | ThreadStats.ThreadStats, LE>,
  after: LambdaExtension.AfterResponse | undefined
): Environment<R | ThreadStats.ThreadStats> => {
  const life = enhanced.makeEnvironment()
  const first = after?.given ?? Effect.succeed(Context.empty())
  let built: Runtime.Runtime<R | ThreadStats.ThreadStats> | undefined
  const build = async (): Promise<Exit.Exit<Runtime.Runtime<R | ThreadStats.ThreadStats>, LE>> => {
    // What `ManagedRuntime` does, in fewer steps: what can be done at once is done at once.
    let close: Effect.Effect<void> = Effect.void
    const building = Scope.make().pipe(
      Effect.flatMap((scope) => {
        close = Scope.close(scope, Exit.void)
        return Effect.provideService(
          Effect.flatMap(
            first,
            (given) =>
              Effect.map(Layer.toRuntime(layer), Runtime.updateContext((services) => Context.merge(given, services)))
          ),
          Scope.Scope,
          scope
        )
      }),
      Effect.runFork
    )
    const dispose = Effect.suspend(() => close)
    const exit = await exitOf(building)
    if (Exit.isFailure(exit)) {
      await exitOf(Effect.runFork(dispose))
      return exit
    }
    const runtime = exit.value
    after?.guard(runtime, dispose)
    warm(runtime)
    // invocations begin with the runtime's services, and would spend microseconds on those that it was built with
    built = Runtime.make({ ...runtime, fiberRefs: FiberRefs.delete(runtime.fiberRefs, FiberRef.currentContext) })
    return Exit.succeed(built)
  }
  let latest = build()
  return {
    life,
    built: () => built,
    ready: latest.then(() => {}),
    get: async () => {
      const attempt = latest
      let exit = await attempt
      if (Exit.isFailure(exit)) {
        if (latest === attempt) latest = build()
        exit = await latest
      }
      if (Exit.isFailure(exit)) throw rejection(exit.cause)
      return exit.value
    }
  }
}

const warm = (runtime: Runtime.Runtime<ThreadStats.ThreadStats>): Fiber.Fiber<void> =>
  Runtime.runFork(runtime)(quietly(Effect.flatMap(ThreadStats.ThreadStats, (client) => client.warm)))

/**
 * What Datadog's own Lambda library tags its metrics with: `region`, `account_id`, `functionname`, `resource`,
 * `executedversion`, `memorysize`, `cold_start`, `proactive_initialization` and `runtime`, as far as they are known. None of
 * them is on your metrics unless you put it there. Empty outside an invocation.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Lambda from "effect-threadstats/Lambda"
 * import * as ThreadStats from "effect-threadstats/ThreadStats"
 *
 * export const received = Effect.flatMap(
 *   Lambda.contextTags,
 *   (tags) => ThreadStats.increment("orders.received", 1, { tags })
 * )
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const contextTags: Effect.Effect<ReadonlyArray<string>> = /*#__PURE__*/ Effect.contextWith(
  (services: Context.Context<never>) => {
    const context = Option.getOrUndefined(Context.getOption(services, LambdaContext))
    const start = Option.getOrUndefined(Context.getOption(services, enhanced.Start))
    return context === undefined ? [] : enhanced.tagsOf(context, start, process.versions.node)
  }
)

/**
 * What Datadog's own Lambda library records, for the option `enhancedMetrics` of a handler: the distributions
 * `aws.lambda.enhanced.invocations`, `.errors` (also for a result with a status of 500 and up) and `.batch_item_failures`, with
 * {@link contextTags}, and without a namespace. The Datadog extension counts invocations itself. It is a value so that only
 * functions that use it contain it.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Lambda from "effect-threadstats/Lambda"
 * import * as ThreadStats from "effect-threadstats/ThreadStats"
 *
 * export const handler = Lambda.makeHandler({
 *   handler: () => Effect.as(ThreadStats.increment("orders.received"), "done"),
 *   layer: ThreadStats.layerNode,
 *   enhancedMetrics: Lambda.enhancedMetrics
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const enhancedMetrics: EnhancedMetrics = {
  around: (effect) =>
    Effect.flatMap(ThreadStats.ThreadStats, (client) =>
      Effect.flatMap(contextTags, (tags) => {
        const record = enhanced.record(client, tags)
        return Effect.suspend(() => {
          record.begin()
          return effect
        }).pipe(Effect.onExit((exit) => Effect.sync(() => record.end(exit))))
      }))
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
