/**
 * AWS Lambda without AWS's runtime: the loop that takes invocations from the Runtime API and answers them, as one effect
 * for a container image or a custom runtime.
 *
 * The layer is built once; every invocation is a {@link lambdaProgram}. The answer leaves first, and then what was
 * recorded: Lambda lets the environment run until it asks for the next invocation, so the caller does not wait for the flush.
 *
 * It needs `node:http` and nothing else: no HTTP client to provide.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import type { ConfigError } from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { variable } from "./internal/config/environment.js"
import * as lambdaError from "./internal/lambda/lambdaError.js"
import * as lambdaApi from "./internal/lambda/runtimeApi.js"
import { LambdaContext, LambdaInterrupted, lambdaProgram, type ProgramOptions } from "./Lambda.js"
import * as LambdaStream from "./LambdaStream.js"
import * as ThreadStats from "./ThreadStats.js"

/**
 * What is known about an invocation.
 *
 * @since 0.1.0
 * @category models
 */
export interface RuntimeContext extends LambdaContext {
  readonly logGroupName: string
  readonly logStreamName: string
  /** When Lambda ends the invocation, in milliseconds since the epoch. */
  readonly deadline: number
  /**
   * The X-Ray trace header. While invocations come one at a time, it is in `process.env._X_AMZN_TRACE_ID` as well, where
   * tracing libraries look for it.
   */
  readonly traceId: string | undefined
  /** What a mobile app told about itself, parsed. Undefined, with a warning, when it is malformed. */
  readonly clientContext: unknown
  /** The Cognito identity of a mobile app, parsed. Undefined, with a warning, when it is malformed. */
  readonly identity: unknown
  /** The tenant, for functions with tenant isolation. */
  readonly tenantId: string | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options<Event, A, E, R, LE> extends Omit<ProgramOptions, "flush"> {
  /**
   * What one invocation does. Its result is sent as JSON, `undefined` as `null`; a stream of texts or bytes, and what
   * `LambdaStream.make` makes, is sent as it comes. What fails before the first piece is an error of the invocation; what
   * fails later ends the stream, and is reported to Lambda in the trailers.
   */
  readonly handler: (
    event: Event,
    context: RuntimeContext
  ) => Effect.Effect<A, E, R> | Stream.Stream<string | Uint8Array, E, R>
  /** What lives as long as the environment. */
  readonly layer: Layer.Layer<Exclude<R, Scope.Scope | LambdaContext> | ThreadStats.ThreadStats, LE>
  /**
   * How many invocations are handled at a time. Default: `AWS_LAMBDA_MAX_CONCURRENCY`, which Lambda Managed Instances
   * set, else 1. More than Lambda hands out does no harm.
   */
  readonly concurrency?: number | undefined
}

/**
 * The Runtime API could not be used. Lambda replaces the environment when the process ends, so nothing is tried again
 * (but for a kept connection that turns out to be closed).
 *
 * - `Connection`: none, or one that broke before an answer
 * - `Truncated`: an answer that broke off
 * - `Refused`: an answer with a status that the API gives when the environment is beyond repair, or that it never gives
 * - `Malformed`: an invocation without an id or a deadline
 *
 * @since 0.1.0
 * @category errors
 */
export class LambdaRuntimeError extends /*#__PURE__*/ Data.TaggedError("LambdaRuntimeError")<{
  readonly operation: "next" | "response" | "error" | "init error"
  readonly reason: "Connection" | "Truncated" | "Refused" | "Malformed"
  /** The status of the answer, if there was a whole one. */
  readonly status: number | undefined
  readonly description: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return `the Lambda Runtime API failed at "${this.operation}": ${this.description}`
  }
}

/** The event was no JSON. What the parser says would quote it. */
class UnmarshalError extends /*#__PURE__*/ Data.TaggedError("Runtime.UnmarshalError")<{ readonly length: number }> {
  override get message(): string {
    return `the event is no JSON (${this.length} characters)`
  }
}

class MarshalError extends /*#__PURE__*/ Data.TaggedError("Runtime.MarshalError")<{ readonly description: string }> {
  override get message(): string {
    return `the result cannot be sent: ${this.description}`
  }
}

class ResponseTooLarge extends /*#__PURE__*/ Data.TaggedError("Runtime.ResponseTooLarge")<{ readonly length: number }> {
  override get message(): string {
    return `the result is too large for Lambda (${this.length} bytes)`
  }
}

/** One that waits for its answer. */
interface Invocation {
  readonly id: string
  readonly deadline: number
  readonly headers: lambdaApi.Answer["headers"]
  readonly body: string
}

/** The environment's own part of a context. */
type Facts = Pick<
  RuntimeContext,
  "functionName" | "functionVersion" | "memoryLimitInMB" | "logGroupName" | "logStreamName"
>

const text = (name: string) => Config.map(variable(name), Option.getOrElse(() => ""))

const facts: Config.Config<Facts> = Config.all({
  functionName: text("AWS_LAMBDA_FUNCTION_NAME"),
  functionVersion: text("AWS_LAMBDA_FUNCTION_VERSION"),
  memoryLimitInMB: text("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"),
  logGroupName: text("AWS_LAMBDA_LOG_GROUP_NAME"),
  logStreamName: text("AWS_LAMBDA_LOG_STREAM_NAME")
})

const maxConcurrency = (option: number | undefined): Config.Config<number> =>
  (option === undefined
    ? Config.withDefault(Config.integer("AWS_LAMBDA_MAX_CONCURRENCY"), 1)
    : Config.succeed(option)).pipe(
      Config.validate({
        message: "Expected concurrency, or AWS_LAMBDA_MAX_CONCURRENCY, to be a whole number from 1",
        validation: (value) => Number.isSafeInteger(value) && value >= 1
      })
    )

const log = Effect.annotateLogs({ package: "effect-threadstats", module: "LambdaRuntime" })

const runtime = "/2018-06-01/runtime"
const errorTypeHeader = "Lambda-Runtime-Function-Error-Type"
const errorBodyHeader = "Lambda-Runtime-Function-Error-Body"

const failed = (operation: LambdaRuntimeError["operation"]) => (error: lambdaApi.LambdaApiError) =>
  new LambdaRuntimeError({
    operation,
    reason: error.reason,
    status: undefined,
    description: error.message,
    cause: error.cause
  })

const next = (api: lambdaApi.LambdaApi): Effect.Effect<Invocation, LambdaRuntimeError> =>
  api.request({ method: "GET", path: `${runtime}/invocation/next` }).pipe(
    Effect.mapError(failed("next")),
    Effect.flatMap((answer) => {
      const { body, headers, status } = answer
      const fail = (reason: LambdaRuntimeError["reason"], description: string) =>
        new LambdaRuntimeError({ operation: "next", reason, status, description })
      if (status !== 200) return fail("Refused", lambdaApi.describe(answer))
      const id = headers["lambda-runtime-aws-request-id"]
      if (id === undefined || id === "") return fail("Malformed", "an invocation without a request id")
      const deadline = headers["lambda-runtime-deadline-ms"] ?? ""
      if (!/^[1-9]\d{0,15}$/.test(deadline)) return fail("Malformed", `invocation ${id} has no valid deadline`)
      return Effect.succeed({ id, deadline: Number(deadline), headers, body })
    })
  )

/** A header that holds JSON; Node reads headers as Latin-1. */
const parseHeader = (invocation: Invocation, name: string) =>
  Option.match(Option.fromNullable(invocation.headers[name]), {
    onNone: () => Effect.succeed<unknown>(undefined),
    onSome: (value) =>
      Effect.try((): unknown => JSON.parse(Buffer.from(value, "latin1").toString("utf8"))).pipe(
        Effect.catchAll(() =>
          Effect.as(
            log(Effect.logWarning(`Invocation ${invocation.id} has a header ${name} that is no JSON`)),
            undefined
          )
        )
      )
  })

const makeContext = (facts: Facts, invocation: Invocation): Effect.Effect<RuntimeContext> =>
  Effect.gen(function*() {
    const clock = yield* Effect.clock
    const { deadline, headers, id } = invocation
    return {
      ...facts,
      awsRequestId: id,
      invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"] ?? "",
      deadline,
      getRemainingTimeInMillis: () => deadline - clock.unsafeCurrentTimeMillis(),
      traceId: headers["lambda-runtime-trace-id"],
      clientContext: yield* parseHeader(invocation, "lambda-runtime-client-context"),
      identity: yield* parseHeader(invocation, "lambda-runtime-cognito-identity"),
      tenantId: headers["lambda-runtime-aws-tenant-id"]
    }
  })

/** For libraries that look there. Of several invocations at a time, it could be that of one only. */
const exposeTraceId = (traceId: string | undefined) =>
  Effect.sync(() => {
    if (traceId === undefined) delete process.env["_X_AMZN_TRACE_ID"]
    else process.env["_X_AMZN_TRACE_ID"] = traceId
  })

const stringify = (value: unknown): Effect.Effect<string, MarshalError> =>
  Effect.try({
    try: () => JSON.stringify(value) ?? "null",
    catch: (error) => new MarshalError({ description: error instanceof Error ? error.message : String(error) })
  })

const toReport = (cause: Cause.Cause<unknown>): lambdaError.Report =>
  lambdaError.report(lambdaError.rejection(cause, (cause) => new LambdaInterrupted({ cause })))

/** What Lambda takes, in bytes. Over it, it may break the connection rather than answer 413. */
const longestResponse = 6 * 1024 * 1024

/** Trailers are short: a receiver may take no more than 16 kB of them. */
const toTrailers = (report: lambdaError.Report) => {
  const short = { ...report, errorMessage: report.errorMessage.slice(0, 1000), stackTrace: [] }
  const body = [report, short].map((report) => JSON.stringify(report)).find((json) => Buffer.byteLength(json) < 8000)
  return {
    [errorTypeHeader]: lambdaError.headerValue(report.errorType),
    [errorBodyHeader]: Buffer.from(body ?? "{}").toString("base64")
  }
}

const postError = (api: lambdaApi.LambdaApi, path: string, report: lambdaError.Report) =>
  api.request({
    method: "POST",
    path: `${runtime}/${path}/error`,
    headers: { [errorTypeHeader]: lambdaError.headerValue(report.errorType) },
    body: JSON.stringify(report)
  })

const isAccepted = ({ status }: lambdaApi.Answer) => status >= 200 && status < 300

/**
 * An answer to what was posted for an invocation. What concerns that invocation alone is told in the log; a 5xx says that the
 * environment is beyond repair, and anything else is not the Runtime API.
 */
const settle = (invocation: Invocation, operation: "response" | "error") => (answer: lambdaApi.Answer) => {
  if (isAccepted(answer)) return Effect.void
  const description = lambdaApi.describe(answer)
  return answer.status >= 400 && answer.status < 500
    ? log(Effect.logWarning(`Invocation ${invocation.id}: its ${operation} was refused with ${description}`))
    : new LambdaRuntimeError({ operation, reason: "Refused", status: answer.status, description })
}

const fail = (api: lambdaApi.LambdaApi, invocation: Invocation, cause: Cause.Cause<unknown>) =>
  logFailure(invocation, cause).pipe(
    Effect.zipRight(postError(api, `invocation/${encodeURIComponent(invocation.id)}`, toReport(cause))),
    Effect.mapError(failed("error")),
    Effect.flatMap(settle(invocation, "error"))
  )

const logFailure = (invocation: Invocation, cause: Cause.Cause<unknown>) =>
  log(Effect.logError(`Invocation ${invocation.id} failed`, cause))

/**
 * Runs a handler, and sends what comes of it once its scope is closed. A stream is sent while it runs, but it too ends
 * after the scope is closed, so that what fails there can still be told.
 */
const answer = <E, R>(
  api: lambdaApi.LambdaApi,
  invocation: Invocation,
  handled: Effect.Effect<unknown, E, R>
): Effect.Effect<void, LambdaRuntimeError, Exclude<R, Scope.Scope>> =>
  Effect.gen(function*() {
    const path = `${runtime}/invocation/${encodeURIComponent(invocation.id)}/response`
    const scope = yield* Effect.scope
    const sent: { upload?: lambdaApi.Upload } = {}

    /** The request is opened with the first bytes: what fails before them is an error like any other. */
    const open = (stream: LambdaStream.LambdaStream) =>
      Effect.gen(function*() {
        if (sent.upload !== undefined) return sent.upload
        const { contentType, prelude } = yield* LambdaStream.head(stream).pipe(
          Effect.mapError(({ description }) => new MarshalError({ description }))
        )
        const upload = yield* api.upload({
          path,
          headers: { "Lambda-Runtime-Function-Response-Mode": "streaming", "content-type": contentType },
          trailers: [errorTypeHeader, errorBodyHeader]
        }).pipe(
          Scope.extend(scope),
          Effect.tap((upload) => {
            sent.upload = upload
          }),
          Effect.uninterruptible
        )
        if (Option.isSome(prelude)) yield* upload.write(prelude.value)
        return upload
      })
    const send = (stream: LambdaStream.LambdaStream) =>
      LambdaStream.runForEach(stream, (chunk) => Effect.flatMap(open(stream), (upload) => upload.write(chunk))).pipe(
        Effect.mapError((error) =>
          error instanceof LambdaStream.LambdaStreamError
            ? new MarshalError({ description: error.description })
            : error
        ),
        Effect.zipRight(open(stream)),
        Effect.as("")
      )

    const exit = yield* handled.pipe(
      Effect.flatMap((result): Effect.Effect<string, unknown> =>
        Option.match(LambdaStream.fromResult(result), { onNone: () => stringify(result), onSome: send })
      ),
      Effect.scoped,
      Effect.exit
    )

    if (sent.upload !== undefined) {
      if (Exit.isFailure(exit) && !isOver(exit.cause)) yield* logFailure(invocation, exit.cause)
      return yield* sent.upload.end(Exit.isFailure(exit) ? toTrailers(toReport(exit.cause)) : {}).pipe(
        Effect.mapError(failed("response")),
        Effect.flatMap(settle(invocation, "response"))
      )
    }
    if (Exit.isFailure(exit)) return yield* fail(api, invocation, exit.cause)
    const length = Buffer.byteLength(exit.value)
    const tooLarge = Effect.suspend(() => fail(api, invocation, Cause.fail(new ResponseTooLarge({ length }))))
    return yield* Effect.matchEffect(api.request({ method: "POST", path, body: exit.value }), {
      onFailure: (error) => length > longestResponse ? tooLarge : failed("response")(error),
      onSuccess: (posted) => posted.status === 413 ? tooLarge : settle(invocation, "response")(posted)
    })
  }).pipe(Effect.scoped)

const isOver = (cause: Cause.Cause<unknown>): boolean =>
  Option.exists(Cause.failureOption(cause), (error) => error instanceof lambdaApi.UploadOver)

/**
 * Runs an invocation on a fiber of its own. When the caller, which is uninterruptible but for what it restores, is
 * interrupted, the invocation is not: it is waited for, until its deadline at the latest.
 */
const finish = <E, R>(
  invocation: Invocation,
  effect: Effect.Effect<void, E, R>,
  restore: <A2, E2, R2>(effect: Effect.Effect<A2, E2, R2>) => Effect.Effect<A2, E2, R2>
): Effect.Effect<void, E, R> =>
  Effect.gen(function*() {
    const clock = yield* Effect.clock
    const fiber = yield* Effect.forkDaemon(Effect.interruptible(effect))
    const patience = Effect.suspend(() =>
      Fiber.await(fiber).pipe(
        Effect.timeoutOption(Duration.millis(Math.max(invocation.deadline - clock.unsafeCurrentTimeMillis(), 0))),
        Effect.interruptible,
        Effect.forkDaemon,
        Effect.flatMap(Fiber.join)
      )
    )
    return yield* Effect.flatten(
      restore(Fiber.await(fiber)).pipe(
        Effect.onInterrupt(() =>
          Effect.flatMap(
            patience,
            Option.match({
              onNone: () =>
                Effect.zipRight(
                  log(Effect.logWarning(`Invocation ${invocation.id} was given up at its deadline`)),
                  Fiber.interruptFork(fiber)
                ),
              onSome: Exit.match({
                onFailure: (cause) => log(Effect.logError(`Invocation ${invocation.id} had no end`, cause)),
                onSuccess: () => Effect.void
              })
            })
          )
        )
      )
    )
  })

const initError = (api: lambdaApi.LambdaApi, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  postError(api, "init", toReport(cause)).pipe(
    Effect.mapError(failed("init error")),
    Effect.filterOrFail(isAccepted, (answer) =>
      new LambdaRuntimeError({
        operation: "init error",
        reason: "Refused",
        status: answer.status,
        description: lambdaApi.describe(answer)
      })),
    Effect.catchAll((error) => log(Effect.logWarning(error.message)))
  )

/**
 * Takes invocations and answers them until it is interrupted.
 *
 * - The layer is built first. If that fails, Lambda is told, and this effect fails with the layer's own error.
 * - An invocation that fails is answered with its own error, as by `makeHandler`, and logged; the next one is taken. An event
 *   that is no JSON (`Runtime.UnmarshalError`), and a result that cannot be sent (`Runtime.MarshalError`,
 *   `Runtime.ResponseTooLarge`), are failures of that invocation too.
 * - The answer leaves when the handler's scope is closed, and what was recorded right after it. Then the next invocation is
 *   asked for.
 * - When it is interrupted, as `NodeRuntime.runMain` does on SIGTERM and SIGINT, waiting for an invocation ends at once; an
 *   invocation in hand is finished, by its deadline at the latest. Then the layer is closed, with its last flush.
 * - It fails with a {@link LambdaRuntimeError} when the Runtime API cannot be used, and with a `ConfigError` when
 *   `AWS_LAMBDA_RUNTIME_API` is missing, or the concurrency is no whole number from 1.
 *
 * @example
 * ```ts
 * import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
 * import * as Effect from "effect/Effect"
 * import * as LambdaRuntime from "effect-threadstats/LambdaRuntime"
 * import * as ThreadStats from "effect-threadstats/ThreadStats"
 *
 * NodeRuntime.runMain(LambdaRuntime.run({
 *   handler: (event: { readonly orderId: string }) =>
 *     Effect.as(ThreadStats.increment("orders.received"), { accepted: event.orderId }),
 *   layer: ThreadStats.layerNode
 * }))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const run = <Event, A, E, R, LE>(
  options: Options<Event, A, E, R, LE>
): Effect.Effect<never, LambdaRuntimeError | ConfigError | LE> =>
  Effect.gen(function*() {
    const base = yield* lambdaApi.address
    const environmentFacts = yield* facts
    const concurrency = yield* maxConcurrency(options.concurrency)
    const api = yield* lambdaApi.make(base)
    const environment = yield* Effect.tapErrorCause(Layer.build(options.layer), (cause) => initError(api, cause))

    const handle = (invocation: Invocation, context: RuntimeContext) =>
      Effect.gen(function*() {
        if (concurrency === 1) yield* exposeTraceId(context.traceId)
        const event = yield* Effect.try({
          try: () => JSON.parse(invocation.body) as Event,
          catch: () => new UnmarshalError({ length: invocation.body.length })
        })
        const result = options.handler(event, context)
        return Effect.isEffect(result) ? yield* result as Effect.Effect<A, E, R> : result
      })
    const invoke = (invocation: Invocation) =>
      Effect.flatMap(makeContext(environmentFacts, invocation), (context) =>
        lambdaProgram(answer(api, invocation, handle(invocation, context)), {
          ...options,
          // With respect to this program's end, which comes when the answer has left.
          flush: "before-response"
        }).pipe(Effect.provideService(LambdaContext, context))) as Effect.Effect<
          void,
          LambdaRuntimeError,
          Exclude<R, Scope.Scope | LambdaContext> | ThreadStats.ThreadStats
        >
    const loop = Effect.uninterruptibleMask((restore) =>
      restore(next(api)).pipe(
        Effect.flatMap((invocation) =>
          finish(invocation, invoke(invocation), restore)
        ),
        Effect.forever
      )
    )

    return yield* Effect.gen(function*() {
      const { warm } = yield* ThreadStats.ThreadStats
      yield* Effect.forkScoped(warm)
      return yield* Effect.forEach(Arr.replicate(loop, concurrency), identity, {
        concurrency: "unbounded",
        discard: true
      })
    }).pipe(
      Effect.zipRight(Effect.never),
      Effect.mapInputContext((context: Context.Context<Scope.Scope>) => Context.merge(context, environment))
    )
  }).pipe(Effect.scoped)
