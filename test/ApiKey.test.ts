import { HttpClient, HttpClientResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Exit, Fiber, Layer, Redacted, TestClock } from "effect"
import { ApiKey, HttpReporter, Reporter, ThreadStats } from "effect-threadstats"
import { logsTo } from "./support/scripted.js"
import type { Line } from "./support/scripted.js"
import { reply, reporter as scripted } from "./support/scriptedHttp.js"

const key = Redacted.make

/** A vault whose key can be changed, and what it was asked. */
interface Vault {
  key: string
  asked: number
  answer: () => Effect.Effect<Redacted.Redacted, ApiKey.ApiKeyError>
  readonly read: Effect.Effect<Redacted.Redacted, ApiKey.ApiKeyError>
}

const makeVault = (first: string): Vault => {
  const vault: Vault = {
    key: first,
    asked: 0,
    answer: () => Effect.succeed(key(vault.key)),
    read: Effect.suspend(() => {
      vault.asked++
      return vault.answer()
    })
  }
  return vault
}

const failure = new ApiKey.ApiKeyError({ description: "the vault is closed" })

const series = [{ metric: "m", points: [[1_700_000_000, 1]], type: "gauge", tags: [], interval: 10 }] as const

/** A reporter over a source, and an intake that takes only the key that is good now. */
const over = Effect.fnUntraced(function*(vault: Vault, good: () => string, status = 403) {
  return yield* Effect.provideServiceEffect(
    scripted((request) => reply(request.key === good() ? 202 : status)),
    ApiKey.ApiKey,
    ApiKey.make(vault.read)
  )
})

const flushed = (reporter: Reporter.Reporter["Type"]) =>
  Effect.flatMap(
    TestClock.currentTimeMillis,
    (now) => Effect.provideService(Effect.exit(reporter.flushMetrics(series)), Reporter.Deadline, now + 5000)
  )

describe("ApiKey", () => {
  it.effect("asks when the key is first needed, and remembers a success but no failure", () =>
    Effect.gen(function*() {
      const vault = makeVault("one")
      const keys = yield* ApiKey.make(vault.read)
      assert.strictEqual(vault.asked, 0)
      vault.answer = () => Effect.fail(failure)
      assert.strictEqual((yield* Effect.flip(keys.get)).message, "the vault is closed")
      vault.answer = () => Effect.succeed(key("one"))
      assert.strictEqual(Redacted.value(yield* keys.get), "one")
      assert.strictEqual(Redacted.value(yield* keys.get), "one")
      assert.strictEqual(vault.asked, 2)
    }))

  it.effect("asks once for callers that overlap, also when one of them is interrupted", () =>
    Effect.gen(function*() {
      const vault = makeVault("one")
      vault.answer = () => Effect.delay(Effect.succeed(key("one")), "1 second")
      const keys = yield* ApiKey.make(vault.read)
      const first = yield* Effect.fork(keys.get)
      const others = yield* Effect.fork(Effect.all([keys.get, keys.get], { concurrency: "unbounded" }))
      yield* TestClock.adjust("500 millis")
      assert.strictEqual(vault.asked, 1)
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual((yield* others).map(Redacted.value), ["one", "one"])
      assert.strictEqual(vault.asked, 2)
    }))

  it.effect("fails together for callers that overlap, and asks again for the next one", () =>
    Effect.gen(function*() {
      const vault = makeVault("one")
      const keys = yield* ApiKey.make(vault.read)
      for (const end of [Effect.fail(failure), Effect.die("vault")]) {
        vault.asked = 0
        vault.answer = () => Effect.delay(end, "1 second")
        const overlapping = yield* Effect.fork(
          Effect.all([keys.get, keys.get, keys.get].map(Effect.exit), { concurrency: "unbounded" })
        )
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* overlapping, Array(3).fill(yield* Effect.exit(end)))
        assert.strictEqual(vault.asked, 1)
        const next = yield* Effect.fork(Effect.exit(keys.get))
        yield* TestClock.adjust("1 second")
        assert.isTrue(Exit.isFailure(yield* next))
        assert.strictEqual(vault.asked, 2)
      }
    }))

  it.effect("reads settings where the source was put to use, not where the key is asked for", () =>
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

  it.effect("takes nothing that a header cannot carry", () =>
    Effect.gen(function*() {
      for (const bad of ["", "two words", "line\nbreak", "schlüssel"]) {
        const keys = yield* ApiKey.make(Effect.succeed(key(bad)))
        const error = yield* Effect.flip(keys.get)
        assert.include(error.message, "printable characters")
        if (bad !== "") assert.notInclude(error.message, bad)
      }
    }))

  it.effect("asks for a fresh key at most once a minute, and not for one that was replaced already", () =>
    Effect.gen(function*() {
      const vault = makeVault("one")
      const keys = yield* ApiKey.make(vault.read)
      const one = yield* keys.get
      vault.key = "two"
      assert.strictEqual(Redacted.value(yield* keys.refresh(one)), "two")
      assert.strictEqual(vault.asked, 2)
      vault.key = "three"
      assert.strictEqual(Redacted.value(yield* keys.refresh(one)), "two")
      assert.strictEqual(Redacted.value(yield* keys.refresh(key("two"))), "two")
      assert.strictEqual(vault.asked, 2)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(Redacted.value(yield* keys.refresh(key("two"))), "three")
      assert.strictEqual(Redacted.value(yield* keys.get), "three")
      assert.strictEqual(vault.asked, 3)
    }))
})

describe("a reporter over a source of keys", () => {
  for (const status of [401, 403]) {
    it.effect(`asks for a fresh key after ${status}, and sends what was refused with it`, () =>
      Effect.gen(function*() {
        const vault = makeVault("old")
        const { reporter, requests } = yield* over(vault, () => "new", status)
        vault.key = "old"
        const before = yield* flushed(reporter)
        assert.isTrue(Exit.isFailure(before))
        assert.deepStrictEqual(requests.map(({ key }) => key), ["old"])
        assert.strictEqual(vault.asked, 2)
        yield* TestClock.adjust("1 minute")
        vault.key = "new"
        const after = yield* flushed(reporter)
        assert.deepInclude(Exit.isSuccess(after) && after.value, { items: 1, payloads: 1, retries: 1 })
        assert.deepStrictEqual(requests.map(({ key }) => key), ["old", "old", "new"])
        yield* flushed(reporter)
        assert.deepStrictEqual(requests.slice(3).map(({ key }) => key), ["new"])
        assert.strictEqual(vault.asked, 3)
      }))
  }

  it.effect("asks once for a batch of many requests, and keeps everything where there is no other key", () =>
    Effect.gen(function*() {
      const vault = makeVault("bad")
      const { reporter, requests } = yield* over(vault, () => "good")
      const events = Array.from({ length: 9 }, (_, i) => ({ title: `e${i}`, text: "", tags: [] }))
      const error = yield* Effect.flip(reporter.flushEvents(events))
      assert.deepInclude(error, { reason: "Unauthorized", status: 403 })
      assert.deepStrictEqual([error.undelivered, error.refused, error.ambiguous], [events, [], []])
      assert.strictEqual(requests.length, 9)
      assert.strictEqual(vault.asked, 2)
      vault.key = "good"
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* reporter.flushEvents(events)).items, 9)
      assert.strictEqual(vault.asked, 3)
    }))

  it.effect("keeps the batch while the source fails, dies or hangs, within the flush's time", () =>
    Effect.gen(function*() {
      const vault = makeVault("good")
      const { reporter, requests } = yield* over(vault, () => "good")
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

  it.effect("is warmed without asking the source, whose signature might expire before it is needed", () =>
    Effect.gen(function*() {
      for (const source of [Effect.fail(failure), Effect.die("vault"), Effect.succeed(key("k"))]) {
        const vault = makeVault("k")
        vault.answer = () => source
        const seen: Array<string> = []
        const client = HttpClient.make((request) =>
          Effect.sync(() => {
            seen.push(`${new URL(request.url).pathname} ${request.headers["dd-api-key"]}`)
            return HttpClientResponse.fromWeb(request, new Response("{}", { status: 403 }))
          })
        )
        const reporter = yield* Reporter.Reporter.pipe(
          Effect.provide(HttpReporter.layer()),
          Effect.provideService(HttpClient.HttpClient, client),
          Effect.provideServiceEffect(ApiKey.ApiKey, ApiKey.make(vault.read)),
          Effect.withConfigProvider(ConfigProvider.fromMap(new Map()))
        )
        yield* reporter.warm
        assert.deepStrictEqual(seen, ["/api/v1/validate undefined"])
        assert.strictEqual(vault.asked, 0)
      }
    }))

  it.effect("serves a whole client, which needs no key in its settings", () => {
    const vault = makeVault("first")
    const seen: Array<string | undefined> = []
    const client = HttpClient.make((request) =>
      Effect.sync(() => {
        seen.push(request.headers["dd-api-key"])
        const status = request.headers["dd-api-key"] === "second" ? 202 : 403
        return HttpClientResponse.fromWeb(request, new Response("", { status }))
      })
    )
    const lines: Array<Line> = []
    return Effect.gen(function*() {
      yield* ThreadStats.increment("c")
      const refused = yield* ThreadStats.flush()
      assert.strictEqual(refused.metrics.kept, 1)
      yield* ThreadStats.flush()
      assert.deepStrictEqual(lines.map(({ level }) => level), ["ERROR"])
      assert.include(lines[0]?.message, "DD_API_KEY")
      vault.key = "second"
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* ThreadStats.flush()).metrics.delivered, 1)
      assert.deepStrictEqual(seen, ["first", "first", "first", "second"])
    }).pipe(
      Effect.provide([
        ThreadStats.layerHttpWith({ periodicFlush: false }).pipe(
          Layer.provide(Layer.succeed(HttpClient.HttpClient, client)),
          Layer.provide(ApiKey.layer(vault.read))
        ),
        logsTo(lines)
      ]),
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map()))
    )
  })
})
