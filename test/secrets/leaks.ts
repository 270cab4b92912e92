/** Runs clients and collects everything they print, log, trace and return, to find a key in it. */
import { Headers, HttpClient, HttpClientError, HttpClientResponse } from "@effect/platform"
import type { HttpClientRequest } from "@effect/platform"
import {
  Cause,
  ConfigProvider,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  LogLevel,
  Option,
  Redacted,
  TestClock
} from "effect"
import { ApiKey, Lambda, ThreadStats, ThreadStatsConfig } from "effect-threadstats"
import { assert } from "vitest"
import { layerHttpReporterWith } from "../support/layers.js"
import { quickClock } from "../support/quickClock.js"
import { formsOf, renderings } from "../support/secrets.js"
import { recordingTracer } from "../support/tracer.js"

export const keys = {
  "a key of letters and digits": "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
  "a key of special characters": `k3y+odd/"quo\\te'<b>&%3D=?#;{}[]|~^$.*`
}

/** Everything that a program printed, logged, traced, or returned, as text. */
export interface Output {
  readonly texts: Array<string>
  lines: number
}

/** Fails if the key is in the output, in any of its encodings. */
export const assertHidden = (output: Output, key: string) => {
  assert.isAbove(output.texts.length, 0)
  for (const form of formsOf(key)) {
    const text = output.texts.find((one) => one.includes(form))
    if (text !== undefined) {
      assert.fail(`found the key: ${text.slice(Math.max(0, text.indexOf(form) - 300)).slice(0, 600)}`)
    }
  }
}

const streams = [process.stdout, process.stderr] as const
const methods = ["log", "info", "warn", "error", "debug", "trace", "group", "groupEnd", "dir"] as const

/** Captures everything that the process prints while the effect runs. */
export const captureStreams = <A, E, R>(output: Output, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const writes = streams.map((stream) => stream.write)
      const prints = methods.map((method) => console[method])
      for (const stream of streams) stream.write = (chunk: unknown) => output.texts.push(String(chunk)) > 0
      for (const method of methods) {
        console[method] = (...args: Array<unknown>) => {
          for (const arg of args) output.texts.push(...renderings(arg))
        }
      }
      return { prints, writes }
    }),
    () => effect,
    ({ prints, writes }) =>
      Effect.sync(() => {
        streams.forEach((stream, i) => (stream.write = writes[i]!))
        methods.forEach((method, i) => (console[method] = prints[i] as typeof console.log))
      })
  )

/** Renders each line of a log in every format, and prints it with the loggers that print. */
export const recordingLogger = (output: Output) =>
  Logger.make((options) => {
    output.lines++
    output.texts.push(
      ...renderings(options.message),
      ...renderings(options.cause),
      ...renderings([...options.annotations])
    )
    for (const { log } of [Logger.stringLogger, Logger.logfmtLogger, Logger.jsonLogger]) output.texts.push(log(options))
    output.texts.push(...renderings(Logger.structuredLogger.log(options)))
    Logger.prettyLogger({ colors: false }).log(options)
    Logger.defaultLogger.log(options)
  })

/** Runs the effect under every logger and a tracer, and adds its exit, logs, prints and spans to the output. */
export const watch = Effect.fnUntraced(function*<A, E, R>(output: Output, effect: Effect.Effect<A, E, R>) {
  const { spans, tracer } = yield* recordingTracer
  const exit = yield* captureStreams(
    output,
    effect.pipe(
      Effect.tapErrorCause((cause) => Effect.logError("it failed", cause)),
      Effect.withSpan("watched"),
      Effect.withTracer(tracer),
      Effect.exit,
      Logger.withMinimumLogLevel(LogLevel.All),
      Effect.provide(Logger.replace(Logger.defaultLogger, recordingLogger(output)))
    )
  )
  output.texts.push(...renderings(exit))
  for (const span of spans) {
    const { attributes, events, links, name, status } = span as typeof span & { readonly events: unknown }
    output.texts.push(...renderings([name, Array.from(attributes), events, links, status]))
    if (status._tag === "Ended") output.texts.push(...renderings(status.exit))
  }
  return exit
})

export type Answer = (
  request: HttpClientRequest.HttpClientRequest
) => Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>

export const layerAnswering = (answer: Answer) =>
  Layer.succeed(HttpClient.HttpClient, HttpClient.make((request) => answer(request)))

export const respond =
  (status: number, body: string | null, headers: Record<string, string> = {}): Answer => (request) =>
    Effect.sync(() => HttpClientResponse.fromWeb(request, new Response(body, { status, headers })))

export const settings = (key: string): ThreadStatsConfig.ThreadStatsOptions => ({
  apiKey: Redacted.make(key),
  apiUrl: "https://api.datadoghq.example",
  periodicFlush: false,
  flushTimeout: "50 millis"
})

export const record = Effect.gen(function*() {
  yield* ThreadStats.increment("jobs")
  yield* ThreadStats.distribution("values", 1)
  yield* ThreadStats.event("title", "text")
})

/** Records, warms, flushes, interrupts a flush, and adds receipts and counters to the output. */
export const session = (output: Output) =>
  Effect.gen(function*() {
    const self = yield* ThreadStats.ThreadStats
    yield* self.warm
    yield* record
    const { errors, ...receipt } = yield* self.flush()
    const { lastError, ...stats } = yield* self.stats
    for (const value of [...errors, receipt, stats, lastError]) output.texts.push(...renderings(value))
    const fiber = yield* Effect.fork(Effect.zipRight(record, self.flush()))
    yield* Effect.yieldNow()
    output.texts.push(...renderings(yield* Fiber.interrupt(fiber)))
  })

/** Advances the clock until the effect ends. */
export const runToEnd = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
  yield* quickClock
  const fiber = yield* Effect.fork(effect)
  while (Option.isNone(yield* Fiber.poll(fiber))) yield* TestClock.adjust("1 second")
  return yield* Fiber.join(fiber)
})

/** Runs a session whose requests are answered this way. */
export const runSession = (output: Output, key: string, answer: Answer) =>
  runToEnd(watch(
    output,
    Effect.provide(
      session(output),
      ThreadStats.layerHttpClientWith(settings(key)).pipe(Layer.provide(layerAnswering(answer)))
    )
  ))

const never: Answer = () => Effect.async(() => {})

/** Ways in which a request fails, in which an error of some kind has the key in its cause. */
export const failuresOf = (key: string) => {
  const request = (reason: "Transport" | "Encode" | "InvalidUrl", cause: unknown): Answer => (request) =>
    Effect.fail(new HttpClientError.RequestError({ request, reason, cause, description: `sent ${key}` }))
  const response = (reason: "StatusCode" | "Decode" | "EmptyBody", cause: unknown): Answer => (request) =>
    Effect.fail(
      new HttpClientError.ResponseError({
        request,
        response: HttpClientResponse.fromWeb(request, new Response(`no ${key}`, { status: 502 })),
        reason,
        cause,
        description: `sent ${key}`
      })
    )
  const own = new Error(`own cause ${key}`)
  own.cause = own
  const causes: ReadonlyArray<readonly [string, unknown]> = [
    ["an error", new TypeError(`Headers.append: "${key}" is an invalid header value`)],
    ["text", `failed with ${key}`],
    ["nothing", undefined],
    ["an object", { headers: { "dd-api-key": key } }],
    ["headers", Headers.fromInput({ "dd-api-key": key })],
    ["a nested error", new Error(key, { cause: new Error(key, { cause: `deep ${key}` }) })],
    ["several errors", new AggregateError([new Error(`no way for ${key}`), new Error(key)], key)],
    ["its own cause", own],
    ["a name, code and stack", Object.assign(new Error(key), { name: key, code: key, stack: `at ${key}` })],
    ["an Effect cause", Cause.die(new Error(key))],
    [
      "an error whose message throws",
      Object.defineProperty(new Error(), "message", {
        get: () => {
          throw new Error(`no message for ${key}`)
        }
      })
    ],
    [
      "a proxy that throws",
      new Proxy({}, {
        has: () => {
          throw new Error(`no look at ${key}`)
        }
      })
    ]
  ]
  /** Each kind of failure, by its cause. */
  const kinds: ReadonlyArray<readonly [string, (cause: unknown) => Answer]> = [
    ["RequestError (Transport)", (cause) => request("Transport", cause)],
    ["a defect", (cause) => () => Effect.die(cause)],
    ["ResponseError (Decode)", (cause) => response("Decode", cause)],
    ["a thrown defect", (cause) => () => {
      throw cause
    }],
    ["ResponseError (StatusCode)", (cause) => response("StatusCode", cause)],
    ["a defect with the request", (cause) => (sent) => Effect.die(Object.assign(new Error("x", { cause }), { sent }))]
  ]
  const others: ReadonlyArray<readonly [string, Answer]> = [
    ["an invalid address", request("InvalidUrl", new TypeError(`Invalid URL: https://x/?api_key=${key}`))],
    ["an invalid body", request("Encode", `no JSON: ${key}`)],
    ["no body", response("EmptyBody", key)],
    ["a defect that is the request", (sent) => Effect.die(sent)],
    ["interruption", () => Effect.interrupt],
    ["no answer", never]
  ]
  const combine = (kind: number, cause: number): ReadonlyArray<readonly [string, Answer]> => {
    const [kindLabel, make] = kinds[kind % kinds.length]!
    const [causeLabel, value] = causes[cause]!
    // Effect itself dies of a thrown proxy that fails every access.
    if (kindLabel === "a thrown defect" && causeLabel === "a proxy that throws") return []
    return [[`${kindLabel} over ${causeLabel}`, make(value)]]
  }
  return {
    /** Every kind with every cause. */
    all: [...causes.flatMap((_, cause) => kinds.flatMap((_, kind) => combine(kind, cause))), ...others],
    /** Every kind at least once. */
    kinds: [...kinds.flatMap((_, kind) => combine(kind, kind)), ...others],
    /** Every kind and every cause at least once. */
    causes: [...causes.flatMap((_, cause) => combine(cause, cause)), ...others]
  }
}

/** Statuses that a receiver answers with. */
export const statuses = [200, 204, 301, 302, 307, 400, 401, 403, 404, 408, 413, 418, 429, 500, 502, 503, 504, 599]

export const checkStatuses = Effect.fnUntraced(function*(key: string, statuses: ReadonlyArray<number>) {
  const output: Output = { texts: [], lines: 0 }
  for (const status of statuses) {
    const headers = {
      "retry-after": key,
      "x-ratelimit-reset": key,
      location: `https://other.example/?api_key=${key}`
    }
    const bodies = [`{"errors":["no ${key}","${"x".repeat(190)}${key}"]}`, key, `${"x".repeat(185)} ${key}`]
    const body = status === 204 ? null : bodies[status % bodies.length]!
    assert.isTrue(Exit.isSuccess(yield* runSession(output, key, respond(status, body, headers))))
  }
  assert.isAbove(output.lines, statuses.length)
  assertHidden(output, key)
})

/** Answers with the key in each encoding, in one of three bodies or in all of them. */
export const checkEncodedAnswers = Effect.fnUntraced(function*(key: string, isEveryBody: boolean) {
  const output: Output = { texts: [], lines: 0 }
  for (const [i, form] of formsOf(key).entries()) {
    const bodies = [form, JSON.stringify({ errors: [{ detail: form }] }), JSON.stringify({ errors: [form] })]
    for (const body of isEveryBody ? bodies : [bodies[i % bodies.length]!]) {
      yield* runSession(output, key, respond(403, body))
    }
  }
  assertHidden(output, key)
})

export const checkFailures = Effect.fnUntraced(
  function*(key: string, failures: ReadonlyArray<readonly [string, Answer]>) {
    for (const [label, answer] of failures) {
      const output: Output = { texts: [], lines: 0 }
      const exit = yield* runSession(output, key, answer)
      assert.isTrue(Exit.isSuccess(exit), label)
      assert.isAbove(output.lines, 0, label)
      assertHidden(output, key)
    }
  }
)

/** Uses keys of a source: one that the receiver refuses, and one that is not a valid header. */
export const checkKeySource = Effect.fnUntraced(function*(key: string) {
  const output: Output = { texts: [], lines: 0 }
  for (const source of [Effect.succeed(Redacted.make(key)), Effect.succeed(Redacted.make(`${key} `))]) {
    const layer = ThreadStats.layerHttpClientWith(settings(key)).pipe(
      Layer.provide(layerAnswering(respond(403, `no ${key}`))),
      Layer.provide(ApiKey.layer(source))
    )
    yield* runToEnd(watch(output, Effect.provide(session(output), layer)))
  }
  assert.isAbove(output.lines, 0)
  assertHidden(output, key)
})

/** Builds clients from valid and invalid settings, and renders the settings, the client and its layer. */
export const checkSettings = Effect.fnUntraced(function*(key: string) {
  const output: Output = { texts: [], lines: 0 }
  const layer = ThreadStats.layerHttpClientWith(settings(key))
  yield* Effect.gen(function*() {
    const self = yield* ThreadStats.ThreadStats
    for (const value of [layer, self, self.config, self.config.apiKey]) output.texts.push(...renderings(value))
  }).pipe(Effect.provide(Layer.provide(layer, layerAnswering(respond(202, "{}")))))
  const wrong = [`${key} `, `${key}\r\nX: y`, `${key}\0`, `é${key}`, ` ${key} ${key}`]
  for (const apiKey of [key, ...wrong]) {
    const env = new Map([["DATADOG_API_KEY", `a ${apiKey}`], ["DD_API_KEY", apiKey]])
    for (
      const effect of [
        ThreadStatsConfig.make({ apiKey: Redacted.make(apiKey) }),
        ThreadStatsConfig.make(),
        Effect.scoped(Layer.build(ThreadStats.layerHttpClient)),
        Effect.scoped(Layer.build(ThreadStats.layerHttpClientWith({ apiKey: apiKey as never }))),
        Effect.scoped(Layer.build(layerHttpReporterWith({ ...settings(key), apiUrl: "no address" }))),
        Effect.scoped(Layer.build(Layer.orDie(ThreadStats.layerHttpClient)))
      ]
    ) {
      yield* watch(
        output,
        Effect.provide(
          Effect.withConfigProvider(
            effect as Effect.Effect<unknown, unknown, HttpClient.HttpClient>,
            ConfigProvider.fromMap(env)
          ),
          layerAnswering(respond(202, "{}"))
        )
      )
    }
  }
  assertHidden(output, key)
})

const answersOf = (key: string): ReadonlyArray<Answer> => [
  respond(403, key),
  (sent) => Effect.die(sent),
  respond(400, key)
]
const outcomes = [Effect.fail("own"), Effect.die("own"), Effect.interrupt, Effect.void]

/** Runs Lambda handlers with these answers of the receiver, in every outcome of the program, and renders their results. */
export const checkHandlers = (key: string, isEveryAnswer: boolean): Effect.Effect<void> => {
  const output: Output = { texts: [], lines: 0 }
  const answers = answersOf(key)
  const run = Effect.gen(function*() {
    for (const [i, outcome] of outcomes.entries()) {
      for (const answer of isEveryAnswer ? answers : [answers[i % answers.length]!]) {
        for (const apiKey of [key, `${key} x`]) {
          const logger = Logger.replace(Logger.defaultLogger, recordingLogger(output))
          const layer = ThreadStats.layerHttpClientWith({ ...settings(apiKey), flushTimeout: "5 millis" }).pipe(
            Layer.provide(layerAnswering(answer)),
            Layer.provideMerge(Layer.mergeAll(logger, Logger.minimumLogLevel(LogLevel.All)))
          )
          const handler = Lambda.makeHandler({ handler: () => Effect.zipRight(record, outcome), layer })
          const result = yield* Effect.promise(() =>
            handler({}, {} as Lambda.LambdaContext).then((value) => value, (error: unknown) => error)
          )
          output.texts.push(...renderings(result), ...renderings(handler))
        }
      }
    }
  })
  return Effect.map(captureStreams(output, run), () => {
    assert.isAbove(output.lines, 0)
    assertHidden(output, key)
  })
}
