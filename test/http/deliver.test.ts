import { HttpServerResponse } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Either, Fiber, Layer, Random, Redacted, TestClock } from "effect"
import { LocalIntake, Reporter, ThreadStats } from "effect-threadstats"
import type { HttpReporter, Series } from "effect-threadstats"
import { layerInProcess } from "../support/intake.js"
import { broken, reply, reporter as scripted, type Request } from "../support/scriptedHttp.js"
import { batchOf, gauge, namesOf, withBudget } from "./deliveryRun.js"
import { reporterToIntake } from "./fakeClient.js"

const at = 1_700_000_000
const key = Redacted.make("key")

describe("deliver", () => {
  it.effect("splits a payload that is too large until the receiver accepts its parts", () =>
    Effect.gen(function*() {
      const { reporter, requests } = yield* scripted(({ body }) => reply(body.series.length > 100 ? 413 : 202))
      const batch = batchOf(1000)
      const receipt = yield* reporter.flushMetrics(batch)
      assert.strictEqual(receipt.items, 1000)
      const accepted = requests.filter(({ body }) => body.series.length <= 100)
      assert.deepStrictEqual(accepted.flatMap(({ body }) => body.series.map(({ metric }) => metric)), namesOf(batch))
      assert.strictEqual(receipt.payloads, accepted.length)
      assert.strictEqual(receipt.bytes, accepted.reduce((sum, { bytes }) => sum + bytes, 0))
    }))

  it.effect("refuses a single item that is too large, and delivers the others", () =>
    Effect.gen(function*() {
      const { reporter } = yield* scripted(({ body }) => reply(body.series.some((s) => s.metric === "m7") ? 413 : 202))
      const error = yield* Effect.flip(reporter.flushMetrics(batchOf(20)))
      assert.strictEqual(error.reason, "PayloadTooLarge")
      assert.deepStrictEqual(namesOf(error.refused), ["m7"])
      assert.deepStrictEqual([error.undelivered, error.receipt.items], [[], 19])
    }))

  it.effect("refuses the malformed series alone, with few requests", () =>
    Effect.gen(function*() {
      const bad = new Set(["m3", "m500", "m501"])
      const { reporter, requests } = yield* scripted(({ body }) =>
        reply(body.series.some(({ metric }) => bad.has(metric)) ? 400 : 202, {}, `{"errors":["bad metric"]}`)
      )
      const error = yield* Effect.flip(reporter.flushMetrics(batchOf(1000)))
      assert.strictEqual(error.reason, "Rejected")
      assert.deepStrictEqual(new Set(namesOf(error.refused)), bad)
      assert.deepStrictEqual([error.undelivered, error.receipt.items], [[], 997])
      assert.isBelow(requests.length, 3 * 2 * 11)
    }))

  it.effect("sends a bounded number of requests when the receiver refuses every payload as malformed", () =>
    Effect.gen(function*() {
      const { reporter, requests } = yield* scripted(() => reply(400))
      const error = yield* Effect.flip(reporter.flushMetrics(batchOf(2000)))
      assert.strictEqual(error.refused.length, 2000)
      assert.isAtMost(requests.length, 257)
    }))

  it.effect("does not split a payload when the key is refused or the address is wrong", () =>
    Effect.gen(function*() {
      for (const status of [401, 403, 404, 301]) {
        const { reporter, requests } = yield* scripted(() => reply(status))
        yield* Effect.flip(reporter.flushMetrics(batchOf(10)))
        assert.strictEqual(requests.length, 1)
      }
    }))

  it.effect("delivers the other parts when one is refused", () =>
    Effect.gen(function*() {
      const { reporter } = yield* scripted(({ body }) => {
        const size = body.series.length
        return reply(size > 25 ? 413 : body.series.some(({ metric }) => metric === "m0") ? 403 : 202)
      })
      const error = yield* Effect.flip(reporter.flushMetrics(batchOf(100)))
      assert.strictEqual(error.reason, "Unauthorized")
      assert.deepStrictEqual(namesOf(error.undelivered), namesOf(batchOf(25)))
      assert.strictEqual(error.receipt.items, 75)
    }))
})

describe("deliver with points near the age limit", () => {
  const at = (metric: string, timestamp: number): Series.Series => ({ ...gauge(metric), points: [[timestamp, 1]] })
  const aged = [at("old", 0), at("young", 3600), at("edge", 1)]
  const sentBy = (requests: ReadonlyArray<Request>) =>
    requests.map(({ body }) => body.series.map(({ metric }) => metric))

  /** Delivers a batch 100 ms before its first point is too old. The first request fails. */
  const deliverLate = Effect.fnUntraced(function*(
    batch: ReadonlyArray<Series.Series>,
    firstReply: ReturnType<typeof reply>,
    settings?: Partial<HttpReporter.HttpReporterSettings>,
    laterReply = reply(202)
  ) {
    yield* TestClock.setTime(3_600_000 - 100)
    const { reporter, requests } = yield* scripted((_, i) => i === 0 ? firstReply : laterReply, settings)
    const fiber = yield* Effect.fork(Effect.either(withBudget(5000)(reporter.flushMetrics(batch))))
    yield* TestClock.adjust(1000)
    return { result: yield* Fiber.join(fiber), sent: sentBy(requests) }
  }, Effect.withRandom(Random.fixed([1])))

  it.effect("omits points that became too old from a retry, and returns them as undelivered", () =>
    Effect.gen(function*() {
      const { result, sent } = yield* deliverLate(aged, reply(503))
      assert.deepStrictEqual(sent, [["old", "young", "edge"], ["young", "edge"]])
      const error = Either.getOrThrow(Either.flip(result))
      assert.deepInclude(error, { reason: "ServerError", status: 503, refused: [], undelivered: [aged[0]!] })
      assert.deepStrictEqual(error.ambiguous, [aged[0]!])
      assert.deepInclude(error.receipt, { items: 2, payloads: 1 })
    }))

  it.effect("names all points of an ambiguous attempt as ambiguous, also the ones it omits later", () =>
    Effect.gen(function*() {
      const { result } = yield* deliverLate(aged, reply(503), undefined, reply(422))
      const { ambiguous, refused, undelivered } = Either.getOrThrow(Either.flip(result))
      assert.deepStrictEqual([ambiguous, undelivered, refused], [[aged[0]!], [aged[0]!], aged.slice(1)])
      const unauthorized = yield* deliverLate(aged, reply(503), undefined, reply(401))
      assert.deepStrictEqual(Either.getOrThrow(Either.flip(unauthorized.result)).ambiguous, aged)
    }))

  it.effect("does not send a payload again when all its points are too old", () =>
    Effect.gen(function*() {
      const { result, sent } = yield* deliverLate([aged[0]!], reply(503))
      assert.deepStrictEqual(sent, [["old"]])
      assert.deepStrictEqual(Either.getOrThrow(Either.flip(result)).undelivered, [aged[0]!])
    }))

  it.effect("omits points that are too old before the first request", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(3_600_000 + 1)
      const { reporter, requests } = yield* scripted(() => reply(202))
      const error = yield* Effect.flip(withBudget(5000)(reporter.flushMetrics(aged)))
      assert.deepStrictEqual(sentBy(requests), [["young", "edge"]])
      assert.deepInclude(error, { reason: "Timeout", undelivered: [aged[0]!], ambiguous: [] })
    }))

  it.effect("sends all points again when timestamps is any", () =>
    Effect.gen(function*() {
      const { result, sent } = yield* deliverLate(aged, reply(503), { acceptedTimestamps: "any" })
      assert.isTrue(Either.isRight(result))
      assert.deepStrictEqual(sent[1], ["old", "young", "edge"])
    }))
})

describe("deliver with series v2", () => {
  it.effect("refuses the invalid series alone after 400 and 413, as with series v1", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      for (const series of ["v1", "v2"] as const) {
        yield* intake.clear
        const reporter = yield* reporterToIntake({ seriesVersion: series })
        const bad = [gauge("m", Number.NaN), gauge("n", Infinity)]
        const batch = [...batchOf(20), bad[0]!, ...batchOf(30), bad[1]!]
        const error = yield* Effect.flip(reporter.flushMetrics(batch))
        assert.deepInclude(error, { reason: "Rejected", status: 400, undelivered: [], ambiguous: [] })
        assert.deepStrictEqual(error.refused, bad)
        assert.match(error.description, /expected format: series\.\d+\.points/)
        assert.strictEqual(error.receipt.items, 50)
        assert.strictEqual((yield* intake.series).length, 50)
        assert.isBelow((yield* intake.requests).length, 30)
      }
      const { reporter, requests } = yield* scripted(
        ({ body }) => reply(body.series.length > 10 ? 413 : 202, {}, `{"errors":[]}`),
        { seriesVersion: "v2" }
      )
      assert.deepInclude(yield* reporter.flushMetrics(batchOf(40)), { items: 40, payloads: 4 })
      assert.strictEqual(requests.length, 7)
    }).pipe(Effect.provide(layerInProcess())))

  it.effect("sends series again when an answer was lost, also when delivery is at-most-once", () =>
    Effect.gen(function*() {
      for (const first of [reply(503), broken("ECONNRESET"), reply(429, { "x-ratelimit-reset": "1" })]) {
        const { reporter, requests } = yield* scripted(
          (_, i) => i === 0 ? first : reply(202),
          { seriesVersion: "v2", delivery: "at-most-once" }
        )
        const now = yield* TestClock.currentTimeMillis
        const fiber = yield* Effect.fork(
          Effect.provideService(reporter.flushMetrics([gauge("m")]), Reporter.Deadline, now + 5000)
        )
        yield* TestClock.adjust("2 seconds")
        assert.deepInclude(yield* Fiber.join(fiber), { items: 1, retries: 1 })
        assert.deepStrictEqual(requests[0]?.body, requests[1]?.body)
      }
    }))

  it.effect("sends distributions, events and the validation of the key to their v1 endpoints", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const reporter = yield* reporterToIntake()
      yield* reporter.flushDistributions([{ ...gauge("d"), type: "distribution", points: [[at, [1]]] }])
      yield* reporter.flushEvents([{ title: "e", text: "", tags: [] }])
      yield* reporter.warm
      assert.deepStrictEqual((yield* intake.requests).map(({ encoding, path }) => [path, encoding]), [
        ["/api/v1/distribution_points", "identity"],
        ["/api/v1/events", "identity"],
        ["/api/v1/validate", "identity"]
      ])
    }).pipe(Effect.provide(layerInProcess())))
})

describe("deliver to the local intake", () => {
  const record = Effect.gen(function*() {
    yield* ThreadStats.increment("c", 5)
    yield* ThreadStats.distribution("d", 7)
    yield* ThreadStats.event("e", "")
  })

  const paths = ["series", "distribution_points", "events"].map((name) => `/api/v1/${name}`)

  const arrived = Effect.flatMap(LocalIntake.LocalIntake, (intake) =>
    Effect.map(
      Effect.all({ series: intake.series, distributions: intake.distributions, events: intake.events }),
      ({ distributions, events, series }) => ({
        series: series.map(({ points }) => points[0]?.[1]),
        distributions: distributions.map(({ points }) => points[0]?.[1]),
        events: events.map(({ title }) => title)
      })
    ))

  const provideClient = (intake?: LocalIntake.IntakeOptions) =>
    Effect.provide(
      Layer.unwrapEffect(Effect.map(LocalIntake.LocalIntake, ({ url }) =>
        ThreadStats.layerHttpClientWith({ apiUrl: url, apiKey: key, periodicFlush: false }))).pipe(
          Layer.provideMerge(layerInProcess(intake))
        )
    )

  it.effect("delivers everything once when the intake answers 503 and 429 at first", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      for (const path of paths) {
        yield* intake.script([
          HttpServerResponse.empty({ status: 503 }),
          HttpServerResponse.empty({ status: 429, headers: { "retry-after": "1" } })
        ], path)
      }
      yield* record
      const flush = yield* Effect.fork(ThreadStats.flush())
      yield* TestClock.adjust("2 seconds")
      const receipt = yield* Fiber.join(flush)
      assert.deepStrictEqual(receipt.errors, [])
      assert.deepStrictEqual([receipt.metrics.delivered, receipt.events.delivered, receipt.retries], [2, 1, 6])
      assert.deepStrictEqual(yield* arrived, { series: [0.5], distributions: [[7]], events: ["e"] })
      assert.strictEqual((yield* intake.requests).length, 9)
    }).pipe(provideClient()))

  it.effect("ends with the flush when the intake does not answer, and delivers everything with the next flush", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      // The first request takes requestTimeout, and the deadline ends the second one.
      for (const path of paths) yield* intake.script([Effect.never, Effect.never], path)
      yield* record
      const { config } = yield* ThreadStats.ThreadStats
      const started = yield* TestClock.currentTimeMillis
      const flush = yield* Effect.fork(Effect.zipLeft(ThreadStats.flush(), TestClock.currentTimeMillis))
      yield* TestClock.adjust(config.flushTimeout)
      const receipt = yield* Fiber.join(flush)
      assert.strictEqual((yield* TestClock.currentTimeMillis) - started, Duration.toMillis(config.flushTimeout))
      assert.deepStrictEqual(receipt.errors.map(({ reason }) => reason), ["Timeout", "Timeout", "Timeout"])
      assert.deepStrictEqual([receipt.metrics.pending, receipt.events.pending], [2, 1])
      assert.deepStrictEqual(yield* arrived, { series: [], distributions: [], events: [] })
      assert.deepStrictEqual((yield* ThreadStats.flush()).errors, [])
      assert.deepStrictEqual(yield* arrived, { series: [0.5], distributions: [[7]], events: ["e"] })
      const { metrics } = yield* ThreadStats.stats
      assert.deepStrictEqual([metrics.received, metrics.delivered, metrics.pending], [2, 2, 0])
    }).pipe(provideClient()))

  it.effect("delivers all of a batch in parts when it exceeds the limit of the intake", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 500; i++) yield* ThreadStats.gauge(`metric.number.${i}`, i, { tags: [`shard:${i % 7}`] })
      const { errors, metrics, payloads } = yield* ThreadStats.flush()
      assert.deepStrictEqual(errors, [])
      assert.strictEqual(metrics.delivered, 500)
      assert.isAbove(payloads, 1)
      assert.deepStrictEqual((yield* arrived).series, Array.from({ length: 500 }, (_, i) => i))
    }).pipe(provideClient({ maxBodyBytes: 1000 })))
})
