import { HttpClient, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Exit, Fiber, Layer, Redacted, TestClock } from "effect"
import type { Clock } from "effect"
import { ApiKey, Reporter, ThreadStats } from "effect-threadstats"
import { layerHttpReporterWith } from "./support/layers.js"
import { logsTo } from "./support/scripted.js"
import type { Line } from "./support/scripted.js"
import { reply, reporter as scripted } from "./support/scriptedHttp.js"
import { makeSettableClock } from "./support/settableClock.js"
import type { WireReporter } from "./support/wireReporter.js"

const key = Redacted.make

/** A source of keys that counts its reads. Tests replace its key or its answer. */
interface Vault {
  key: string
  reads: number
  answer: () => Effect.Effect<Redacted.Redacted, ApiKey.ApiKeyError>
  readonly read: Effect.Effect<Redacted.Redacted, ApiKey.ApiKeyError>
}

const makeVault = (first: string): Vault => {
  const vault: Vault = {
    key: first,
    reads: 0,
    answer: () => Effect.succeed(key(vault.key)),
    read: Effect.suspend(() => {
      vault.reads++
      return vault.answer()
    })
  }
  return vault
}

const failure = new ApiKey.ApiKeyError({ description: "the vault is closed" })

const series = [{ metric: "m", points: [[1_700_000_000, 1]], type: "gauge", tags: [], interval: 10 }] as const

/** A reporter that reads its key from the vault, and an intake that accepts one key only. */
const makeReporter = Effect.fnUntraced(function*(vault: Vault, accepted: () => string, status = 403) {
  return yield* Effect.provideServiceEffect(
    scripted((request) => reply(request.key === accepted() ? 202 : status)),
    ApiKey.ApiKey,
    ApiKey.make(vault.read)
  )
})

const flushed = (reporter: WireReporter) =>
  Effect.flatMap(
    TestClock.currentTimeMillis,
    (now) => Effect.provideService(Effect.exit(reporter.flushMetrics(series)), Reporter.Deadline, now + 5000)
  )

describe("ApiKey.make", () => {
  it.effect("reads the source when a key is first requested, and caches successes but not failures", () =>
    Effect.gen(function*() {
      const vault = makeVault("one")
      const keys = yield* ApiKey.make(vault.read)
      assert.strictEqual(vault.reads, 0)
      vault.answer = () => Effect.fail(failure)
      assert.strictEqual((yield* Effect.flip(keys.get)).message, "the vault is closed")
      vault.answer = () => Effect.succeed(key("one"))
      assert.strictEqual(Redacted.value(yield* keys.get), "one")
      assert.strictEqual(Redacted.value(yield* keys.get), "one")
      assert.strictEqual(vault.reads, 2)
    }))

  it.effect("reads the source once for concurrent callers, and again when the first caller is interrupted", () =>
    Effect.gen(function*() {
      const vault = makeVault("one")
      vault.answer = () => Effect.delay(Effect.succeed(key("one")), "1 second")
      const keys = yield* ApiKey.make(vault.read)
      const first = yield* Effect.fork(keys.get)
      const others = yield* Effect.fork(Effect.all([keys.get, keys.get], { concurrency: "unbounded" }))
      yield* TestClock.adjust("500 millis")
      assert.strictEqual(vault.reads, 1)
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual((yield* others).map(Redacted.value), ["one", "one"])
      assert.strictEqual(vault.reads, 2)
    }))

  it.effect("fails for all concurrent callers, and reads the source again for the next caller", () =>
    Effect.gen(function*() {
      const vault = makeVault("one")
      const keys = yield* ApiKey.make(vault.read)
      for (const end of [Effect.fail(failure), Effect.die("vault")]) {
        vault.reads = 0
        vault.answer = () => Effect.delay(end, "1 second")
        const overlapping = yield* Effect.fork(
          Effect.all([keys.get, keys.get, keys.get].map(Effect.exit), { concurrency: "unbounded" })
        )
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* overlapping, Array(3).fill(yield* Effect.exit(end)))
        assert.strictEqual(vault.reads, 1)
        const next = yield* Effect.fork(Effect.exit(keys.get))
        yield* TestClock.adjust("1 second")
        assert.isTrue(Exit.isFailure(yield* next))
        assert.strictEqual(vault.reads, 2)
      }
    }))

  it.effect("reads settings with the ConfigProvider of its construction, not of the request", () =>
    Effect.gen(function*() {
      const set = (name: string) => Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["DD_API_KEY", name]])))
      const keys = yield* set("outer")(ApiKey.make(ApiKey.fromEnv))
      assert.strictEqual(Redacted.value(yield* set("inner")(keys.get)), "outer")
      const inLayer = yield* Effect.provide(
        ApiKey.ApiKey,
        Layer.provide(
          ApiKey.layerEnv,
          Layer.setConfigProvider(ConfigProvider.fromMap(new Map([["DATADOG_API_KEY", "layer"]])))
        )
      )
      assert.strictEqual(Redacted.value(yield* set("inner")(inLayer.get)), "layer")
      assert.isDefined(inLayer.check)
      yield* set("")(inLayer.check!)
    }))

  it.effect("fails for a key that an HTTP header cannot contain", () =>
    Effect.gen(function*() {
      for (const bad of ["", "two words", "line\nbreak", "schlüssel"]) {
        const keys = yield* ApiKey.make(Effect.succeed(key(bad)))
        const error = yield* Effect.flip(keys.get)
        assert.include(error.message, "printable characters")
        if (bad !== "") assert.notInclude(error.message, bad)
      }
    }))

  it.effect("refreshes a key after a minute also when the machine's clock was set back", () =>
    Effect.gen(function*() {
      let reads = 0
      const keys = yield* ApiKey.make(Effect.sync(() => key(`key ${reads++}`.replace(" ", ""))))
      const testClock = yield* Effect.clock
      let setBack = 0
      const clock: Clock.Clock = Object.assign(Object.create(testClock), {
        currentTimeMillis: Effect.map(testClock.currentTimeMillis, (now) => now - setBack),
        unsafeCurrentTimeMillis: () => testClock.unsafeCurrentTimeMillis() - setBack,
        unsafeCurrentTimeNanos: () => testClock.unsafeCurrentTimeNanos()
      })
      const refresh = (refused: string) =>
        Effect.map(Effect.withClock(keys.refresh(key(refused)), clock), (fresh) => Redacted.value(fresh))
      yield* keys.get
      assert.strictEqual(yield* refresh("key0"), "key1")
      setBack = 6 * 3_600_000
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* refresh("key1"), "key2")
    }))

  it.effect("refreshes a key at most once a minute, and never a key that was replaced already", () =>
    Effect.gen(function*() {
      const vault = makeVault("one")
      const keys = yield* ApiKey.make(vault.read)
      const one = yield* keys.get
      vault.key = "two"
      assert.strictEqual(Redacted.value(yield* keys.refresh(one)), "two")
      assert.strictEqual(vault.reads, 2)
      vault.key = "three"
      assert.strictEqual(Redacted.value(yield* keys.refresh(one)), "two")
      assert.strictEqual(Redacted.value(yield* keys.refresh(key("two"))), "two")
      assert.strictEqual(vault.reads, 2)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(Redacted.value(yield* keys.refresh(key("two"))), "three")
      assert.strictEqual(Redacted.value(yield* keys.get), "three")
      assert.strictEqual(vault.reads, 3)
    }))

  it.effect("refreshes a key a minute after the last time when the clock of the machine was set back", () =>
    Effect.gen(function*() {
      const settable = yield* makeSettableClock
      const vault = makeVault("one")
      const keys = yield* ApiKey.make(vault.read)
      const one = yield* keys.get
      const refresh = Effect.map(Effect.withClock(keys.refresh(one), settable.clock), Redacted.value)
      yield* refresh
      vault.key = "two"
      settable.offset = -6 * 3_600_000
      assert.strictEqual(yield* refresh, "one")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* refresh, "two")
    }))
})

describe("HttpReporter with an ApiKey", () => {
  for (const status of [401, 403]) {
    it.effect(`refreshes the key after status ${status} and sends the refused payload with the new key`, () =>
      Effect.gen(function*() {
        const vault = makeVault("old")
        const { reporter, requests } = yield* makeReporter(vault, () => "new", status)
        vault.key = "old"
        const before = yield* flushed(reporter)
        assert.isTrue(Exit.isFailure(before))
        assert.deepStrictEqual(requests.map(({ key }) => key), ["old"])
        assert.strictEqual(vault.reads, 2)
        yield* TestClock.adjust("1 minute")
        vault.key = "new"
        const after = yield* flushed(reporter)
        assert.deepInclude(Exit.isSuccess(after) && after.value, { items: 1, payloads: 1, retries: 1 })
        assert.deepStrictEqual(requests.map(({ key }) => key), ["old", "old", "new"])
        yield* flushed(reporter)
        assert.deepStrictEqual(requests.slice(3).map(({ key }) => key), ["new"])
        assert.strictEqual(vault.reads, 3)
      }))
  }

  it.effect("reads the source once for a batch of many requests, and keeps all items when the key stays wrong", () =>
    Effect.gen(function*() {
      const vault = makeVault("bad")
      const { reporter, requests } = yield* makeReporter(vault, () => "good")
      const events = Array.from({ length: 9 }, (_, i) => ({ title: `e${i}`, text: "", tags: [] }))
      const error = yield* Effect.flip(reporter.flushEvents(events))
      assert.deepInclude(error, { reason: "Unauthorized", status: 403 })
      assert.deepStrictEqual([error.undelivered, error.refused, error.ambiguous], [events, [], []])
      assert.strictEqual(requests.length, 9)
      assert.strictEqual(vault.reads, 2)
      vault.key = "good"
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* reporter.flushEvents(events)).items, 9)
      assert.strictEqual(vault.reads, 3)
    }))

  it.effect("keeps the batch until its deadline when the source fails, dies or hangs", () =>
    Effect.gen(function*() {
      const vault = makeVault("good")
      const { reporter, requests } = yield* makeReporter(vault, () => "good")
      const answers = [() => Effect.fail(failure), () => Effect.die("vault"), () => Effect.never]
      const messages: Array<string> = []
      for (const answer of answers) {
        vault.answer = answer
        const fiber = yield* Effect.fork(flushed(reporter))
        yield* TestClock.adjust("5 seconds")
        const exit = yield* fiber
        const error = Exit.isFailure(exit) && exit.cause._tag === "Fail" ? exit.cause.error : undefined
        assert.deepStrictEqual(error?.undelivered, series)
        assert.deepStrictEqual(error?.ambiguous, [])
        messages.push(`${error?.reason}: ${error?.description}`)
      }
      assert.deepStrictEqual(messages, [
        "Unauthorized: there is no API key: the vault is closed",
        "Unauthorized: there is no API key: its source died",
        "Timeout: no time left in this flush"
      ])
      assert.deepStrictEqual(requests, [])
      vault.answer = () => Effect.succeed(key("good"))
      assert.isTrue(Exit.isSuccess(yield* flushed(reporter)))
    }))

  // The signature of a source that signs its request may expire before the first payload.
  it.effect("sends a warm-up request without reading the source", () =>
    Effect.gen(function*() {
      for (const source of [Effect.fail(failure), Effect.die("vault"), Effect.succeed(key("k"))]) {
        const vault = makeVault("k")
        vault.answer = () => source
        const warmUps: Array<string> = []
        const client = HttpClient.make((request) =>
          Effect.sync(() => {
            warmUps.push(`${new URL(request.url).pathname} ${request.headers["dd-api-key"]}`)
            return HttpClientResponse.fromWeb(request, new Response("{}", { status: 403 }))
          })
        )
        const reporter = yield* Reporter.Reporter.pipe(
          Effect.provide(layerHttpReporterWith()),
          Effect.provideService(HttpClient.HttpClient, client),
          Effect.provideServiceEffect(ApiKey.ApiKey, ApiKey.make(vault.read)),
          Effect.withConfigProvider(ConfigProvider.fromMap(new Map()))
        )
        yield* reporter.warm ?? Effect.void
        assert.deepStrictEqual(warmUps, ["/api/v1/validate undefined"])
        assert.strictEqual(vault.reads, 0)
      }
    }))

  it.effect("serves a client that has no key in its settings", () => {
    const vault = makeVault("first")
    const keys: Array<string | undefined> = []
    const client = HttpClient.make((request) =>
      Effect.sync(() => {
        keys.push(request.headers["dd-api-key"])
        const status = request.headers["dd-api-key"] === "second" ? 202 : 403
        return HttpClientResponse.fromWeb(request, new Response("", { status }))
      })
    )
    const lines: Array<Line> = []
    return Effect.gen(function*() {
      yield* ThreadStats.increment("c")
      const refused = yield* ThreadStats.flush()
      assert.strictEqual(refused.metrics.pending, 1)
      yield* ThreadStats.flush()
      assert.deepStrictEqual(lines.map(({ level }) => level), ["ERROR"])
      assert.include(lines[0]?.message, "DD_API_KEY")
      vault.key = "second"
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* ThreadStats.flush()).metrics.delivered, 1)
      assert.deepStrictEqual(keys, ["first", "first", "first", "second"])
    }).pipe(
      Effect.provide([
        ThreadStats.layerHttpClientWith({ periodicFlush: false }).pipe(
          Layer.provide(Layer.succeed(HttpClient.HttpClient, client)),
          Layer.provide(ApiKey.layer(vault.read))
        ),
        logsTo(lines)
      ]),
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map()))
    )
  })
})
