/**
 * An internal extension of AWS Lambda: it lets the response of an invocation go, and keeps the environment awake until
 * what is left to do for that invocation is done.
 *
 * Lambda freezes an environment when its runtime and every extension have asked for their next event. This one, which lives
 * in the function's own process, asks when the work it was given is done. The caller has the response by then; the time
 * is billed, and counts against the function's timeout.
 *
 * @since 0.1.0
 */
import type { ConfigError } from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as WorkerThreads from "node:worker_threads"
import { variable } from "./internal/config/environment.js"
import * as Internal from "./internal/lambda/afterResponse.js"
import * as lambdaApi from "./internal/lambda/runtimeApi.js"
import { oneTurn } from "./internal/runtime/eventLoop.js"
import { within } from "./internal/runtime/timeLimit.js"
import * as unrefClock from "./internal/runtime/unrefClock.js"

/**
 * Does work after the response.
 *
 * @since 0.1.0
 * @category tags
 */
export class LambdaExtension extends /*#__PURE__*/ Context.Tag("effect-threadstats/LambdaExtension")<LambdaExtension, {
  /**
   * Starts `work` on a fiber of its own when the response has had the time to leave, and keeps the environment awake until
   * it has ended. Returns at once, and never fails. Call it last, just before the invocation has its result.
   *
   * - Work that is still under way 100 milliseconds before the invocation's deadline is interrupted, since Lambda would
   *   end the environment.
   * - An invocation for which this is never called keeps the environment until then; if there is nothing to do, say so
   *   with `Effect.void`.
   * - Where the environment cannot be kept awake any more, because this is not alive or has already let go of the
   *   invocation, `work` is done before this returns: then the caller waits, but nothing is lost.
   */
  readonly afterResponse: (requestId: string, work: Effect.Effect<void>) => Effect.Effect<void>
  /**
   * Whether it can keep the environment awake. No longer once its scope is closed; nor, with one warning, when Lambda does
   * not know it or cannot be reached.
   */
  readonly isAlive: Effect.Effect<boolean>
}>() {}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Under which name Lambda knows it, unique in a function. Default: `effect-threadstats`. */
  readonly name?: string | undefined
  /**
   * Whether registering blocks the thread, for tens of milliseconds as a rule and two seconds at most. Lambda takes
   * registrations until the runtime asks for the first invocation, and AWS's runtime does so as soon as the function's module
   * is loaded: a registration that is only under way by then may come too late. `false` is for programs that are
   * sure to wait for it, as with a top-level `await`, or a runtime loop of their own. Default: `true`.
   */
  readonly blocking?: boolean | undefined
}

/**
 * There is no extension here.
 *
 * - `Unsupported`: a Lambda Managed Instance, which sends no event for an invocation; a worker thread; or no thread could be
 *   started
 * - `Connection`: none, or one that broke before an answer
 * - `Truncated`: an answer that broke off
 * - `TimedOut`: no answer to the registration within two seconds
 * - `Refused`: an answer that reports an error, as to a registration that came too late
 * - `Malformed`: a registration without an identifier, or an event that is none
 *
 * @since 0.1.0
 * @category errors
 */
export class LambdaExtensionError extends /*#__PURE__*/ Data.TaggedError("LambdaExtensionError")<{
  readonly operation: "register" | "next"
  readonly reason: "Unsupported" | "Connection" | "Truncated" | "TimedOut" | "Refused" | "Malformed"
  /** The status of the answer, if there was a whole one. */
  readonly status: number | undefined
  readonly description: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return `the Lambda Extensions API failed at "${this.operation}": ${this.description}`
  }
}

/**
 * Registers the extension, and takes its events. Closing the scope interrupts work that is under way; from then on every
 * invocation is let go at once, since an extension cannot be deregistered. It keeps no process alive.
 *
 * Fails with a {@link LambdaExtensionError} where there can be none, and with a `ConfigError` outside Lambda, where
 * `AWS_LAMBDA_RUNTIME_API` is missing.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (
  options?: Options
) => Effect.Effect<LambdaExtension["Type"], LambdaExtensionError | ConfigError, Scope.Scope> = Effect.fnUntraced(
  function*(options: Options = {}) {
    const url = yield* lambdaApi.address
    if (Option.isSome(yield* variable("AWS_LAMBDA_MAX_CONCURRENCY"))) {
      return yield* failure("register", "Unsupported", "Lambda Managed Instances send no event for an invocation")
    }
    // The main thread may answer an invocation without this one, which would then hold the environment until the deadline.
    if (!WorkerThreads.isMainThread) {
      return yield* failure("register", "Unsupported", "invocations are not answered from a worker thread")
    }
    const clock = unrefClock.make(yield* Effect.clock)
    const identifier = yield* register(url, options).pipe(Effect.withClock(clock))

    /** The event in hand; `free` is done when there is nothing left to wait for. */
    let held: { readonly requestId: string; readonly free: Deferred.Deferred<void> } | undefined
    /** The invocation that was let go last. */
    let released: string | undefined
    let alive = true
    let underWay = 0
    /** Invocations that were given work; the event of one may come after its work. */
    const given = new Set<string>()

    const letGo = Effect.suspend(() =>
      held !== undefined && underWay === 0 && (!alive || given.has(held.requestId))
        ? Deferred.succeed(held.free, undefined)
        : Effect.void
    )
    yield* Effect.addFinalizer(() => letGo)
    const works = new Set<Fiber.RuntimeFiber<unknown>>()
    const callOff = () => works.forEach((fiber) => fiber.unsafeInterruptAsFork(FiberId.none))
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        callOff()
        return Effect.forEach(works, Fiber.await, { discard: true })
      })
    )
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        alive = false
      })
    )

    const hold = (event: Invoke) =>
      Effect.gen(function*() {
        const free = yield* Deferred.make<void>()
        held = { requestId: event.requestId, free }
        yield* letGo
        const left = Math.max(event.deadline - margin - clock.unsafeCurrentTimeMillis(), 0)
        const inTime = yield* within(Effect.as(Deferred.await(free), true), left, () => Effect.succeed(false))
        held = undefined
        released = event.requestId
        given.clear()
        // What does not heed its interruption must not keep the environment beyond the deadline.
        if (!inTime) callOff()
      })

    // Not in the scope: there is no way to deregister, and Lambda goes on waiting for this one to ask.
    yield* Effect.suspend(() => nextWithRetries(url, identifier, 0)).pipe(
      Effect.flatMap(hold),
      Effect.forever,
      Effect.catchAll((error) =>
        Effect.suspend(() => {
          if (!alive) return Effect.void
          alive = false
          return Effect.logWarning(`${error.message}; from now on the response waits for what is left to do`)
        })
      ),
      Effect.annotateLogs({ package: "effect-threadstats", module: "LambdaExtension" }),
      Effect.withClock(clock),
      Effect.interruptible,
      Effect.forkDaemon
    )

    return {
      isAlive: Effect.sync(() => alive),
      afterResponse: (requestId, work) =>
        Effect.suspend(() => {
          const done = Effect.catchAllCause(work, () => Effect.void)
          if (!alive || requestId === released) return done
          given.add(requestId)
          underWay++
          const ended = Effect.suspend(() => {
            underWay--
            return letGo
          })
          return Effect.interruptible(Effect.zipRight(responseLeaves, done)).pipe(
            Effect.exit,
            Effect.zipRight(ended),
            Effect.forkDaemon,
            Effect.map((fiber) => {
              works.add(fiber)
              fiber.addObserver(() => works.delete(fiber))
            }),
            Effect.uninterruptible
          )
        })
    }
  }
)

/**
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<LambdaExtension, LambdaExtensionError | ConfigError> =>
  Layer.scoped(LambdaExtension, make(options))

/**
 * A way to flush after the response, for the option `flush` of a handler or an invocation. {@link afterResponseWith} makes one.
 *
 * @since 0.1.0
 * @category models
 */
export interface AfterResponse extends Internal.AfterResponse {}

/**
 * Flushes once the answer has left, with an extension of these options that {@link make} makes, where there is none yet. It is
 * a value so that only functions that use it contain it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const afterResponseWith = (options?: Options): AfterResponse => Internal.make(LambdaExtension, make(options))

/**
 * {@link afterResponseWith} with an extension that is called `effect-threadstats`.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Lambda from "effect-threadstats/Lambda"
 * import * as LambdaExtension from "effect-threadstats/LambdaExtension"
 * import * as ThreadStats from "effect-threadstats/ThreadStats"
 *
 * export const handler = Lambda.makeHandler({
 *   handler: () => Effect.as(ThreadStats.increment("orders.received"), "done"),
 *   layer: ThreadStats.layerNode,
 *   flush: LambdaExtension.afterResponse
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const afterResponse: AfterResponse = /*#__PURE__*/ afterResponseWith()

/** What is kept of an invocation's time to ask for the next event, in milliseconds. */
const margin = 100

/** How long a registration may take, in milliseconds. */
const patience = 2000

/** The response is sent from this thread: by promise callbacks, then by the event loop. */
const responseLeaves = Effect.zipRight(oneTurn, Effect.zipRight(oneTurn, oneTurn))

interface Invoke {
  readonly requestId: string
  /** Milliseconds since the epoch. */
  readonly deadline: number
}

const failure = (
  operation: LambdaExtensionError["operation"],
  reason: LambdaExtensionError["reason"],
  description: string,
  more?: { readonly status?: number; readonly cause?: unknown }
) => new LambdaExtensionError({ operation, reason, status: undefined, description, ...more })

const failed = (operation: LambdaExtensionError["operation"]) => (error: lambdaApi.LambdaApiError) =>
  failure(operation, error.reason, error.message, { cause: error.cause })

const refused = (operation: LambdaExtensionError["operation"], answer: lambdaApi.Answer) =>
  failure(operation, "Refused", lambdaApi.describe(answer), { status: answer.status })

const version = "/2020-01-01/extension"

/** What a thread of its own does while this one waits for it. */
const registration = `
const { workerData } = require("node:worker_threads")
const { port, request: { body, headers, method, url }, signal } = workerData
const answer = (message) => {
  port.postMessage(message)
  Atomics.store(signal, 0, 1)
  Atomics.notify(signal, 0)
}
const outgoing = require("node:http").request(url, { agent: false, method, headers }, (incoming) => {
  const chunks = []
  incoming.on("data", (chunk) => chunks.push(chunk))
  incoming.on("error", (error) => answer({ reason: "Truncated", description: error.message }))
  incoming.on("end", () =>
    answer({
      status: incoming.statusCode,
      headers: { ...incoming.headers },
      body: Buffer.concat(chunks).toString("utf8")
    }))
})
outgoing.on("error", (error) => answer({ reason: "Connection", description: error.message }))
outgoing.end(body)
`

type Told = lambdaApi.Answer | {
  readonly reason: lambdaApi.LambdaApiError["reason"]
  readonly description: string
}

const timedOut = () => failure("register", "TimedOut", `no answer within ${patience} milliseconds`)

const startThread = (request: lambdaApi.Prepared) => {
  const { MessageChannel, Worker } = WorkerThreads
  const signal = new Int32Array(new SharedArrayBuffer(4))
  const { port1: port, port2 } = new MessageChannel()
  const worker = new Worker(registration, {
    eval: true,
    // Nothing that NODE_OPTIONS preloads, and no secrets.
    env: {},
    execArgv: [],
    workerData: { port: port2, request, signal },
    transferList: [port2]
  })
  worker.on("error", () => {})
  worker.unref()
  return { port, signal, worker }
}

/** The same request, from another thread. This one sleeps meanwhile, so nothing else can happen in it. */
const requestBlocking = (request: lambdaApi.Prepared): Effect.Effect<lambdaApi.Answer, LambdaExtensionError> =>
  Effect.suspend(() => {
    let thread: ReturnType<typeof startThread>
    try {
      thread = startThread(request)
    } catch (cause) {
      return failure("register", "Unsupported", "no thread could be started", { cause })
    }
    const { port, signal, worker } = thread
    Atomics.wait(signal, 0, 0, patience)
    const told: Told | undefined = WorkerThreads.receiveMessageOnPort(port)?.message
    port.close()
    void worker.terminate()
    if (told === undefined) return timedOut()
    if ("status" in told) return Effect.succeed(told)
    const cause = new Error(told.description)
    return failed("register")(new lambdaApi.LambdaApiError({ reason: told.reason, cause }))
  })

/** Gives the identifier under which Lambda knows the extension. */
const register = (base: URL, options: Options): Effect.Effect<string, LambdaExtensionError> => {
  const request: lambdaApi.Request = {
    method: "POST",
    path: `${version}/register`,
    headers: { "Lambda-Extension-Name": options.name ?? "effect-threadstats" },
    body: JSON.stringify({ events: ["INVOKE"] })
  }
  const answer = options.blocking === false
    ? within(Effect.mapError(lambdaApi.requestUnref(base, request), failed("register")), patience, timedOut)
    : requestBlocking(lambdaApi.prepare(base, request))
  return Effect.flatMap(answer, (answer) => {
    if (answer.status !== 200) return refused("register", answer)
    const identifier = answer.headers["lambda-extension-identifier"]
    return identifier === undefined || identifier === ""
      ? failure("register", "Malformed", "a registration without an identifier")
      : Effect.succeed(identifier)
  })
}

const next = (base: URL, identifier: string): Effect.Effect<Invoke, LambdaExtensionError> =>
  lambdaApi.requestUnref(base, {
    method: "GET",
    path: `${version}/event/next`,
    headers: { "Lambda-Extension-Identifier": identifier }
  }).pipe(
    Effect.mapError(failed("next")),
    Effect.flatMap((answer) => {
      if (answer.status !== 200) return refused("next", answer)
      const event = Option.getOrUndefined(Option.liftThrowable(JSON.parse)(answer.body))
      return event?.eventType === "INVOKE" && typeof event.requestId === "string" && Number.isFinite(event.deadlineMs)
        ? Effect.succeed({ requestId: event.requestId, deadline: event.deadlineMs })
        : failure("next", "Malformed", "an event that is no invocation")
    })
  )

/** Asks again, up to four times, after pauses that double, unless it is told that it is wrong. */
const nextWithRetries = (base: URL, identifier: string, tries: number): Effect.Effect<Invoke, LambdaExtensionError> =>
  Effect.catchIf(
    next(base, identifier),
    ({ status }) => tries < 4 && (status === undefined || status < 400 || status >= 500),
    () => Effect.zipRight(Effect.sleep(50 * 2 ** tries), nextWithRetries(base, identifier, tries + 1))
  )
