/** Checks that settings with hostile values either work or fail with an error that names them. */
import { HttpClient, HttpClientResponse } from "@effect/platform"
import type { HttpBody, HttpClientRequest } from "@effect/platform"
import { Cause, ConfigError, ConfigProvider, Duration, Effect, Exit, Option, Redacted, TestClock } from "effect"
import {
  EventsAggregator,
  HttpReporter,
  MetricsAggregator,
  Reporter,
  ThreadStats,
  ThreadStatsConfig
} from "effect-threadstats"
import { inspect } from "node:util"
import { inflateSync } from "node:zlib"
import { assert } from "vitest"
import * as hostile from "../support/hostile.js"
import { quickClock } from "../support/quickClock.js"
import { unsafeKinds } from "./calls.js"
import { assertValid, key, start, sumOf } from "./payload.js"

const { lie } = hostile

interface Sent {
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: unknown
}

/** Accepts every request, and stores it. */
const recordingClient = (sent: Array<Sent>) =>
  HttpClient.make((request, url) =>
    Effect.sync(() => {
      const { body } = request.body as HttpBody.Uint8Array
      const text = new TextDecoder("utf-8", { fatal: true }).decode(
        request.headers["content-encoding"] === "deflate" ? inflateSync(body) : body
      )
      assert.match(url.protocol, /^https?:$/)
      assert.strictEqual(url.username + url.password + url.search + url.hash, "")
      sent.push({ path: url.pathname, headers: { ...request.headers }, body: JSON.parse(text) })
      return HttpClientResponse.fromWeb(
        request as HttpClientRequest.HttpClientRequest,
        new Response("{}", { status: 202 })
      )
    })
  )

/** Records and flushes with a client of these settings. Fails if it sends invalid payloads or loses count. */
const useClient = Effect.fnUntraced(function*(config: ThreadStatsConfig.ThreadStatsSettings) {
  const sent: Array<Sent> = []
  yield* TestClock.setTime(start)
  const exit = yield* Effect.gen(function*() {
    const self = yield* ThreadStats.make
    // Each kind has a name of its own: points of a second kind of one series are dropped.
    for (const kind of unsafeKinds) self[kind](`name.${kind}`, 1, { tags: ["a:b"], host: "" })
    self.unsafeEvent("title", "text")
    yield* self.timer(Effect.void, "timer")
    const before = yield* self.stats
    assert.strictEqual(before.metrics.received, config.disabled ? 0 : 8)
    assert.strictEqual(before.events.received, config.disabled ? 0 : 1)
    const receipt = yield* self.flush()
    const { events, metrics } = yield* self.stats
    assert.strictEqual(sumOf(metrics), metrics.received)
    assert.strictEqual(sumOf(events), events.received)
    assert.isTrue(
      Object.keys({ ...metrics.dropped, ...events.dropped }).every((reason) => reason.startsWith("TooMany"))
    )
    // A flush without any time keeps everything.
    for (const { reason } of receipt.errors) assert.strictEqual(reason, "Timeout")
    if (Duration.toMillis(Duration.min(config.flushTimeout, config.requestTimeout)) >= 2) {
      assert.deepStrictEqual(receipt.errors, [])
      assert.strictEqual(metrics.pending + events.pending, 0)
    }
  }).pipe(
    Effect.provide([MetricsAggregator.layer, EventsAggregator.layer]),
    Effect.provideService(ThreadStatsConfig.ThreadStatsConfig, { ...config, periodicFlush: false }),
    Effect.provideServiceEffect(Reporter.Reporter, HttpReporter.make(config)),
    Effect.provideService(HttpClient.HttpClient, recordingClient(sent)),
    Effect.scoped,
    Effect.exit
  )
  if (Exit.isFailure(exit)) assert.fail(Cause.pretty(exit.cause))
  for (const { body, headers, path } of sent) {
    assertValid(path.slice(path.indexOf("/api/v1/")), body, start / 1000)
    assert.deepStrictEqual(
      Object.keys(headers).filter((name) =>
        !["dd-api-key", "user-agent", "content-encoding", "content-type", "content-length"].includes(name)
      ),
      []
    )
    for (const value of Object.values(headers)) assert.match(value, /^[\t -~]*$/)
  }
})

export type Check = (
  /** The option or variable that an error has to name. */
  name: string,
  options: unknown,
  env: Readonly<Record<string, string>>,
  secrets?: ReadonlyArray<string>
) => Effect.Effect<void>

/**
 * Returns a check that resolves settings. Accepted settings have to work: it builds a client with each `every`-th of the
 * different ones. Rejected settings have to fail with a `ConfigError` that names the option or variable and shows no key.
 */
export const makeCheck = ({ every }: { readonly every: number }): Check => {
  const accepted = new Set<string>()
  return Effect.fnUntraced(function*(name, options, env, secrets = []) {
    const exit = yield* Effect.suspend(() => ThreadStatsConfig.make(lie(options))).pipe(
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(env)))),
      Effect.exit
    )
    if (Exit.isSuccess(exit)) {
      const config = exit.value
      const text = inspect({ ...config, key: Option.map(config.apiKey, Redacted.value) }, {
        depth: 4,
        maxStringLength: 300
      })
      if (accepted.has(text)) return
      accepted.add(text)
      if ((accepted.size - 1) % every === 0) yield* useClient(config)
      return
    }
    assert.isTrue(Cause.isFailType(exit.cause), Cause.pretty(exit.cause).slice(0, 500))
    if (!Cause.isFailType(exit.cause)) return
    const error: unknown = exit.cause.error
    assert.isTrue(ConfigError.isConfigError(error))
    const message = String(error)
    assert.isTrue(message.includes(name), `${name}: ${message.slice(0, 200)}`)
    for (const text of [message, inspect(error), JSON.stringify(error)]) {
      assert.isFalse([key, ...secrets].some((secret) => text.includes(secret)), `${name}: an error shows a key`)
    }
  })
}

/** Returns one part of the values, or all of them. Each value is in one of the parts. */
const partOf = <A>(values: ReadonlyArray<A>, part: Part | undefined): ReadonlyArray<A> =>
  part === undefined ? values : values.filter((_, i) => i % part.parts === part.index % part.parts)

export interface Part {
  readonly index: number
  readonly parts: number
}

/** Checks an environment variable with hostile texts. */
export const checkVariable = (check: Check, name: string, part?: Part): Effect.Effect<void> =>
  Effect.gen(function*() {
    yield* quickClock
    const isSecret = name.endsWith("API_KEY")
    for (const text of partOf(hostile.texts, part)) {
      // A blank key counts as absent.
      if (isSecret && text.trim() === "") continue
      yield* check(
        name,
        isSecret ? {} : { apiKey: Redacted.make(key) },
        { [name]: text },
        isSecret && text.trim().length > 3 ? [text] : []
      )
    }
  })

/** Environment of the checks of options. */
export const env = { DD_API_KEY: key }

/** Checks an option with hostile values, and with a getter that throws. */
export const checkOption = (check: Check, name: string, part?: Part): Effect.Effect<void> =>
  Effect.gen(function*() {
    yield* quickClock
    for (const [label, make] of partOf(hostile.pool, part)) {
      yield* Effect.suspend(() => check(name, { [name]: make() }, env)).pipe(
        Effect.catchAllDefect((defect) => Effect.die(`${label}: ${String(defect)}`))
      )
    }
    const thrower = Object.defineProperty({}, name, {
      get: () => {
        throw new Error(key)
      }
    })
    yield* check(name, thrower, env)
  })

/** Checks arrays with one hostile element, and arrays with a hole. */
export const checkArrays = (check: Check, part?: Part): Effect.Effect<void> =>
  Effect.gen(function*() {
    yield* quickClock
    for (const [, make] of partOf(hostile.pool, part)) {
      yield* check("percentiles", { percentiles: [0.5, make()] }, env)
      yield* check("aggregates", { aggregates: ["min", make()] }, env)
      yield* check("constantTags", { constantTags: ["min", make()] }, env)
    }
    yield* check("percentiles", { percentiles: [, 0.5] }, env)
    yield* check("aggregates", { aggregates: [, "min"] }, env)
  })

/** Checks redacted keys that are hostile values, and invalid texts. */
export const checkRedactedKeys = (check: Check): Effect.Effect<void> =>
  Effect.gen(function*() {
    yield* quickClock
    for (const [, make] of hostile.pool) yield* check("apiKey", { apiKey: Redacted.make(make()) }, env)
    for (const text of ["s3cret\r\nX-Injected: 1", "s3cret key", "s3cret\0", "s3cret\ud800", "s3crét"]) {
      yield* check("apiKey", { apiKey: Redacted.make(text) }, {}, [text, "s3cr"])
    }
  })

/** Checks every hostile value in place of the options. */
export const checkOptions = (check: Check): Effect.Effect<void> =>
  Effect.gen(function*() {
    yield* quickClock
    for (const [, make] of hostile.pool) yield* check("", make(), env)
  })

const everyOption: { readonly [K in keyof ThreadStatsConfig.ThreadStatsOptions]-?: true } = {
  namespace: true,
  hostname: true,
  attachHost: true,
  device: true,
  constantTags: true,
  env: true,
  service: true,
  version: true,
  rollUpInterval: true,
  flushInterval: true,
  periodicFlush: true,
  flushTimeout: true,
  submitAs: true,
  requestTimeout: true,
  disabled: true,
  compress: true,
  seriesVersion: true,
  units: true,
  percentiles: true,
  aggregates: true,
  sampleSize: true,
  maxSeries: true,
  maxValues: true,
  maxEvents: true,
  maxBytes: true,
  delivery: true,
  selfMetrics: true,
  timerUnit: true,
  acceptedTimestamps: true,
  site: true,
  apiUrl: true,
  apiKey: true
}

export const optionNames = Object.keys(everyOption)

export const variableNames = ThreadStatsConfig.variables.map(({ name }) => name)
