import { FetchHttpClient, Headers, HttpClient, HttpClientError, HttpClientResponse } from "@effect/platform"
import type { HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
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
import { ApiKey, HttpReporter, Lambda, LocalIntake, ThreadStats, ThreadStatsConfig } from "effect-threadstats"
import { layerIntake } from "../support/intake.js"
import { formsOf, renderings } from "../support/secrets.js"
import { recordingTracer } from "../support/tracer.js"

const keys = {
  "a key as Datadog makes them": "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
  "a key of odd characters": `k3y+odd/"quo\\te'<b>&%3D=?#;{}[]|~^$.*`
}

/** Everything that was rendered. */
interface Seen {
  readonly texts: Array<string>
  lines: number
}

const assertHidden = (seen: Seen, key: string) => {
  assert.isAbove(seen.texts.length, 0)
  for (const form of formsOf(key)) {
    const text = seen.texts.find((one) => one.includes(form))
    if (text !== undefined) {
      assert.fail(`found the key: ${text.slice(Math.max(0, text.indexOf(form) - 300)).slice(0, 600)}`)
    }
  }
}

const streams = [process.stdout, process.stderr] as const
const methods = ["log", "info", "warn", "error", "debug", "trace", "group", "groupEnd", "dir"] as const

/** Keeps what the process prints from the terminal, and looks at it. */
const tapped = <A, E, R>(seen: Seen, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const writes = streams.map((stream) => stream.write)
      const prints = methods.map((method) => console[method])
      for (const stream of streams) stream.write = (chunk: unknown) => seen.texts.push(String(chunk)) > 0
      for (const method of methods) {
        console[method] = (...args: Array<unknown>) => {
          for (const arg of args) seen.texts.push(...renderings(arg))
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

const recordingLogger = (seen: Seen) =>
  Logger.make((options) => {
    seen.lines++
    seen.texts.push(
      ...renderings(options.message),
      ...renderings(options.cause),
      ...renderings([...options.annotations])
    )
    for (const { log } of [Logger.stringLogger, Logger.logfmtLogger, Logger.jsonLogger]) seen.texts.push(log(options))
    seen.texts.push(...renderings(Logger.structuredLogger.log(options)))
    Logger.prettyLogger({ colors: false }).log(options)
    Logger.defaultLogger.log(options)
  })

/** Runs it under every logger and a tracer, and looks at how it ends and at all that it says. */
const watched = Effect.fnUntraced(function*<A, E, R>(seen: Seen, effect: Effect.Effect<A, E, R>) {
  const { spans, tracer } = yield* recordingTracer
  const exit = yield* tapped(
    seen,
    effect.pipe(
      Effect.tapErrorCause((cause) => Effect.logError("it failed", cause)),
      Effect.withSpan("watched"),
      Effect.withTracer(tracer),
      Effect.exit,
      Logger.withMinimumLogLevel(LogLevel.All),
      Effect.provide(Logger.replace(Logger.defaultLogger, recordingLogger(seen)))
    )
  )
  seen.texts.push(...renderings(exit))
  for (const span of spans) {
    const { attributes, events, links, name, status } = span as typeof span & { readonly events: unknown }
    seen.texts.push(...renderings([name, Array.from(attributes), events, links, status]))
    if (status._tag === "Ended") seen.texts.push(...renderings(status.exit))
  }
  return exit
})

type Answer = (
  request: HttpClientRequest.HttpClientRequest
) => Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>

const layerAnswering = (answer: Answer) =>
  Layer.succeed(HttpClient.HttpClient, HttpClient.make((request) => answer(request)))

const respond = (status: number, body: string | null, headers: Record<string, string> = {}): Answer => (request) =>
  Effect.sync(() => HttpClientResponse.fromWeb(request, new Response(body, { status, headers })))

const settings = (key: string): ThreadStatsConfig.Options => ({
  apiKey: Redacted.make(key),
  apiUrl: "https://api.datadoghq.example",
  periodicFlush: false,
  flushTimeout: "50 millis"
})

const record = Effect.gen(function*() {
  yield* ThreadStats.increment("jobs")
  yield* ThreadStats.distribution("values", 1)
  yield* ThreadStats.event("title", "text")
})

/** Records, warms, flushes, is interrupted once, and shows all there is to show of it. */
const session = (seen: Seen) =>
  Effect.gen(function*() {
    const self = yield* ThreadStats.ThreadStats
    yield* self.warm
    yield* record
    const { errors, ...receipt } = yield* self.flush()
    const { lastError, ...stats } = yield* self.stats
    for (const value of [...errors, receipt, stats, lastError]) seen.texts.push(...renderings(value))
    const fiber = yield* Effect.fork(Effect.zipRight(record, self.flush()))
    yield* Effect.yieldNow()
    seen.texts.push(...renderings(yield* Fiber.interrupt(fiber)))
  })

/** Lets time pass until it ends. */
const driven = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
  const fiber = yield* Effect.fork(effect)
  while (Option.isNone(yield* Fiber.poll(fiber))) yield* TestClock.adjust("1 second")
  return yield* Fiber.join(fiber)
})

const through = (seen: Seen, key: string, answer: Answer) =>
  driven(watched(
    seen,
    Effect.provide(
      session(seen),
      ThreadStats.layerHttpWith(settings(key)).pipe(Layer.provide(layerAnswering(answer)))
    )
  ))

const never: Answer = () => Effect.async(() => {})

const failing = (key: string): ReadonlyArray<readonly [string, Answer]> => {
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
  return [
    ...causes.flatMap(([label, cause]): ReadonlyArray<readonly [string, Answer]> => [
      [`RequestError (Transport) over ${label}`, request("Transport", cause)],
      [`ResponseError (Decode) over ${label}`, response("Decode", cause)],
      [`ResponseError (StatusCode) over ${label}`, response("StatusCode", cause)],
      [`a defect: ${label}`, () => Effect.die(cause)],
      // Effect itself dies of a thrown proxy that lets nobody look
      ...(label === "a proxy that throws" ? [] : [
        [`a thrown defect: ${label}`, () => {
          throw cause
        }] as const
      ]),
      [`the request itself over ${label}`, (sent) => Effect.die(Object.assign(new Error("x", { cause }), { sent }))]
    ]),
    ["an address that is none", request("InvalidUrl", new TypeError(`Invalid URL: https://x/?api_key=${key}`))],
    ["a body that is none", request("Encode", `no JSON: ${key}`)],
    ["no body", response("EmptyBody", key)],
    ["a defect that is the request", (sent) => Effect.die(sent)],
    ["interruption", () => Effect.interrupt],
    ["no answer", never]
  ]
}

const statuses = [200, 204, 301, 302, 307, 400, 401, 403, 404, 408, 413, 418, 429, 500, 502, 503, 504, 599]

describe.each(Object.entries(keys))("%s is not to be seen", (_, key) => {
  it.effect("whatever status and text is answered", () =>
    Effect.gen(function*() {
      const seen: Seen = { texts: [], lines: 0 }
      for (const status of statuses) {
        const empty = status === 204
        const headers = {
          "retry-after": key,
          "x-ratelimit-reset": key,
          location: `https://other.example/?api_key=${key}`
        }
        const bodies = [`{"errors":["no ${key}","${"x".repeat(190)}${key}"]}`, key, `${"x".repeat(185)} ${key}`]
        const body = empty ? null : bodies[status % bodies.length]!
        assert.isTrue(Exit.isSuccess(yield* through(seen, key, respond(status, body, headers))))
      }
      assert.isAbove(seen.lines, statuses.length)
      assertHidden(seen, key)
    }), 60_000)

  it.effect("also where the answer has it encoded", () =>
    Effect.gen(function*() {
      const seen: Seen = { texts: [], lines: 0 }
      for (const form of formsOf(key)) {
        for (const body of [form, JSON.stringify({ errors: [{ detail: form }] }), JSON.stringify({ errors: [form] })]) {
          yield* through(seen, key, respond(403, body))
        }
      }
      assertHidden(seen, key)
    }), 60_000)

  it.effect("however a request breaks", () =>
    Effect.gen(function*() {
      // what differs with the key is how its characters are written, not where it is
      const isPlain = /^\w+$/.test(key)
      for (const [label, answer] of failing(key)) {
        if (!isPlain && !/^(RequestError|a defect)/.test(label)) continue
        const seen: Seen = { texts: [], lines: 0 }
        const exit = yield* through(seen, key, answer)
        assert.isTrue(Exit.isSuccess(exit), label)
        assert.isAbove(seen.lines, 0, label)
        assertHidden(seen, key)
      }
    }), 60_000)

  it.effect("where a key from a source is refused, and where the source breaks", () =>
    Effect.gen(function*() {
      const seen: Seen = { texts: [], lines: 0 }
      for (const source of [Effect.succeed(Redacted.make(key)), Effect.succeed(Redacted.make(`${key} `))]) {
        const layer = ThreadStats.layerHttpWith(settings(key)).pipe(
          Layer.provide(layerAnswering(respond(403, `no ${key}`))),
          Layer.provide(ApiKey.layer(source))
        )
        yield* driven(watched(seen, Effect.provide(session(seen), layer)))
      }
      assert.isAbove(seen.lines, 0)
      assertHidden(seen, key)
    }))

  it.effect("in what the settings say, right or wrong", () =>
    Effect.gen(function*() {
      const seen: Seen = { texts: [], lines: 0 }
      const layer = ThreadStats.layerHttpWith(settings(key))
      yield* Effect.gen(function*() {
        const self = yield* ThreadStats.ThreadStats
        for (const value of [layer, self, self.config, self.config.apiKey]) seen.texts.push(...renderings(value))
      }).pipe(Effect.provide(Layer.provide(layer, layerAnswering(respond(202, "{}")))))
      const wrong = [`${key} `, `${key}\r\nX: y`, `${key}\0`, `é${key}`, ` ${key} ${key}`]
      for (const apiKey of [key, ...wrong]) {
        const env = new Map([["DATADOG_API_KEY", `a ${apiKey}`], ["DD_API_KEY", apiKey]])
        for (
          const effect of [
            ThreadStatsConfig.make({ apiKey: Redacted.make(apiKey) }),
            ThreadStatsConfig.make(),
            Effect.scoped(Layer.build(ThreadStats.layerHttp)),
            Effect.scoped(Layer.build(ThreadStats.layerHttpWith({ apiKey: apiKey as never }))),
            Effect.scoped(Layer.build(HttpReporter.layer({ ...settings(key), apiUrl: "no address" }))),
            Effect.scoped(Layer.build(Layer.orDie(ThreadStats.layerHttp)))
          ]
        ) {
          yield* watched(
            seen,
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
      assertHidden(seen, key)
    }))

  it("in what a Lambda handler rejects with", async () => {
    const seen: Seen = { texts: [], lines: 0 }
    const inside = Effect.gen(function*() {
      const answers: ReadonlyArray<Answer> = [respond(403, key), (sent) => Effect.die(sent), respond(400, key)]
      for (const answer of answers) {
        for (const outcome of [Effect.fail("own"), Effect.die("own"), Effect.interrupt, Effect.void]) {
          for (const apiKey of [key, `${key} x`]) {
            const logger = Logger.replace(Logger.defaultLogger, recordingLogger(seen))
            const layer = ThreadStats.layerHttpWith({ ...settings(apiKey), flushTimeout: "5 millis" }).pipe(
              Layer.provide(layerAnswering(answer)),
              Layer.provideMerge(Layer.mergeAll(logger, Logger.minimumLogLevel(LogLevel.All)))
            )
            const handler = Lambda.makeHandler({ handler: () => Effect.zipRight(record, outcome), layer })
            const result = yield* Effect.promise(() =>
              handler({}, {} as Lambda.LambdaContext).then((value) => value, (error: unknown) => error)
            )
            seen.texts.push(...renderings(result), ...renderings(handler))
          }
        }
      }
    })
    await Effect.runPromise(tapped(seen, inside))
    assert.isAbove(seen.lines, 0)
    assertHidden(seen, key)
  })

  it.effect("in what an intake remembers, and shows", () =>
    Effect.gen(function*() {
      const seen: Seen = { texts: [], lines: 0 }
      const intake = yield* LocalIntake.LocalIntake
      for (const apiKey of [key, `${key}-wrong`]) {
        const options = { ...settings(apiKey), apiUrl: intake.url }
        for (
          const layer of [
            ThreadStats.layerNodeWith(options),
            Layer.provide(ThreadStats.layerHttpWith(options), HttpReporter.layerHttpClient)
          ]
        ) {
          const self = yield* ThreadStats.ThreadStats.pipe(
            Effect.tap((client) =>
              Effect.zipRight(client.warm, Effect.zipRight(client.event("t", "x"), client.flush()))
            ),
            Effect.provide(layer)
          )
          seen.texts.push(...renderings(yield* self.stats))
        }
      }
      yield* HttpClient.get(`${intake.url}/api/v1/validate`, { urlParams: { api_key: key } }).pipe(
        Effect.flatMap((response) => response.text),
        Effect.withTracerEnabled(false),
        Effect.provide(FetchHttpClient.layer)
      )
      const view = yield* HttpClient.get(`${intake.url}/`).pipe(
        Effect.flatMap((response) => response.text),
        Effect.withTracerEnabled(false),
        Effect.provide(FetchHttpClient.layer)
      )
      const requests = yield* intake.requests
      assert.isAbove(requests.length, 3)
      seen.texts.push(view, ...renderings(requests), ...renderings(intake), ...renderings(yield* intake.summary))
      assertHidden(seen, key)
    }).pipe(Effect.provide(layerIntake({ apiKey: Redacted.make(key) }))))
})

it("would be found", () => {
  const [key] = Object.values(keys)
  for (const form of formsOf(key!)) {
    for (
      const value of [form, new Error(form), { deep: { er: [form] } }, Cause.fail({ form }), Exit.die(new Error(form))]
    ) {
      assert.throws(() => assertHidden({ texts: [...renderings(value)], lines: 0 }, key!))
    }
  }
})
