import { assert, describe, it } from "@effect/vitest"
import { Effect, Either, Fiber, Random, TestClock } from "effect"
import type { Event, Series } from "effect-threadstats"
import { broken, reply, reporter as scripted } from "../support/scriptedHttp.js"
import { makeSettableClock } from "../support/settableClock.js"
import type { WireReporter } from "../support/wireReporter.js"
import { batch, run, withBudget } from "./deliveryRun.js"

describe("retryPolicy", () => {
  for (const status of [408, 429, 500, 502, 503, 504]) {
    it.effect(`sends a payload again when the status is ${status}`, () =>
      Effect.gen(function*() {
        const { result, times } = yield* run((_, i) => reply(i < 2 ? status : 202), { budget: 5000, pass: 1000 })
        assert.isTrue(Either.isRight(result))
        assert.strictEqual(times.length, 3)
      }))
  }

  for (const status of [301, 302, 307, 404, 405, 407, 425]) {
    it.effect(`sends a payload up to three times in a flush when the status is ${status}, and keeps it for the next one`, () =>
      Effect.gen(function*() {
        const recovered = yield* run((_, i) => reply(i < 2 ? status : 202), { budget: 5000, pass: 1000 })
        assert.isTrue(Either.isRight(recovered.result))
        const { result, times } = yield* run(() => reply(status), { budget: 5000, pass: 5000 })
        const error = Either.getOrThrow(Either.flip(result))
        assert.deepInclude(error, {
          reason: "UnexpectedResponse",
          status,
          undelivered: batch,
          refused: [],
          ambiguous: []
        })
        assert.strictEqual(times.length, 3)
      }))
  }

  for (const status of [400, 401, 403, 413, 415, 422]) {
    it.effect(`does not send a payload again when the status is ${status}`, () =>
      Effect.gen(function*() {
        const { result, times } = yield* run(() => reply(status), { budget: 5000, pass: 0 })
        assert.isTrue(Either.isLeft(result))
        assert.strictEqual(times.length, 1)
      }))
  }

  it.effect("sends a payload again when the connection was refused", () =>
    Effect.gen(function*() {
      const { result, times } = yield* run(
        (_, i) => i === 0 ? broken("ECONNREFUSED") : reply(202),
        { budget: 5000, pass: 200 }
      )
      assert.isTrue(Either.isRight(result))
      assert.strictEqual(times.length, 2)
    }))

  it.effect("sends a payload again at once, one time, when the connection broke", () =>
    Effect.gen(function*() {
      for (const code of ["ECONNRESET", "EPIPE", "UND_ERR_SOCKET"]) {
        const recovered = yield* run((_, i) => i === 0 ? broken(code) : reply(202), { budget: 5000, pass: 0 })
        assert.isTrue(Either.isRight(recovered.result))
        assert.deepStrictEqual(recovered.times, [0, 0])
      }
      const failed = yield* run(() => broken("ECONNRESET"), { budget: 300, pass: 300 })
      assert.deepStrictEqual(failed.times.slice(0, 2), [0, 0])
      assert.isTrue(failed.times.slice(2).every((at) => at > 0))
      assert.isTrue(Either.isLeft(failed.result))
    }))

  it.effect("draws the pauses between retries from a growing range", () =>
    Effect.gen(function*() {
      const always = (random: number) => Effect.withRandom(Random.fixed([random]))
      const longest = yield* run(() => reply(503), { budget: 7000, pass: 7000 }).pipe(always(1))
      assert.deepStrictEqual(longest.times, [0, 200, 600, 1400, 3000, 6200])
      const half = yield* run(() => reply(503), { budget: 1500, pass: 1500 }).pipe(always(0.5))
      assert.deepStrictEqual(half.times, [0, 100, 300, 700])
    }))

  it.effect("waits as long as Retry-After or X-RateLimit-Reset requests", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<Record<string, string>> = [
        { "retry-after": "2" },
        { "retry-after": new Date(1_002_000).toUTCString() },
        { "x-ratelimit-reset": "2" },
        { "retry-after": "1", "x-ratelimit-reset": "2" }
      ]
      for (const headers of cases) {
        const { result, times } = yield* run(
          (_, i) => i === 0 ? reply(429, headers) : reply(202),
          { budget: 5000, pass: 2000 }
        )
        assert.isTrue(Either.isRight(result))
        assert.deepStrictEqual(times, [0, 2000], JSON.stringify(headers))
      }
    }))

  it.effect("ignores a Retry-After that is invalid or in the past", () =>
    Effect.gen(function*() {
      for (const after of ["later", "-5", "", new Date(0).toUTCString()]) {
        const { result } = yield* run(
          (_, i) => i === 0 ? reply(503, { "retry-after": after }) : reply(202),
          { budget: 5000, pass: 200 }
        )
        assert.isTrue(Either.isRight(result), after)
      }
    }))

  for (const [direction, hours] of [["back", -6], ["forward", 6]] as const) {
    it.effect(`keeps its time budget when the machine's clock is set ${direction} during the retries`, () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(1_000_000)
        const settable = yield* makeSettableClock
        const times: Array<number> = []
        const { reporter } = yield* scripted(() => {
          times.push(settable.clock.unsafeCurrentTimeMillis() - settable.offset - 1_000_000)
          settable.offset = hours * 3_600_000
          return reply(503)
        })
        const fiber = yield* Effect.either(reporter.flushMetrics(batch)).pipe(
          withBudget(5000),
          Effect.withRandom(Random.fixed([1])),
          Effect.withClock(settable.clock),
          Effect.fork
        )
        yield* TestClock.adjust("5 seconds")
        const error = Either.getOrThrow(Either.flip(yield* Fiber.join(fiber)))
        assert.deepStrictEqual(times, [0, 200, 600, 1400, 3000])
        assert.deepInclude(error, { reason: "ServerError", undelivered: batch })
      }))
  }

  it.effect("fails at once when the requested pause is longer than the flush", () =>
    Effect.gen(function*() {
      const { result, times } = yield* run(() => reply(429, { "retry-after": "60" }), { budget: 5000, pass: 0 })
      const error = Either.getOrThrow(Either.flip(result))
      assert.deepStrictEqual([error.reason, error.undelivered, times], ["RateLimited", batch, [0]])
    }))

  it.effect("ends at the deadline with Timeout when the server does not answer", () =>
    Effect.gen(function*() {
      const { result, times } = yield* run(() => Effect.never, { budget: 5000, pass: 5000 })
      const error = Either.getOrThrow(Either.flip(result))
      assert.strictEqual(error.reason, "Timeout")
      assert.deepStrictEqual(error.undelivered, batch)
      assert.isAtLeast(times.length, 2)
      assert.strictEqual(times[0], 0)
    }))

  it.effect("fails with the reason of the attempts before when the deadline cuts the last one short", () =>
    Effect.gen(function*() {
      const answers = [reply(503), reply(503), Effect.never]
      const { result } = yield* run((_, i) => answers[i]!, { budget: 1000, pass: 1000 })
      const error = Either.getOrThrow(Either.flip(result))
      assert.deepInclude(error, { reason: "ServerError", status: 503 })
      assert.deepStrictEqual(error.ambiguous, batch)
    }))

  it.effect("sends a payload once when the flush has no deadline", () =>
    Effect.gen(function*() {
      const { reporter, requests } = yield* scripted(() => reply(503))
      yield* Effect.flip(reporter.flushMetrics(batch))
      assert.strictEqual(requests.length, 1)
    }))

  it.effect("counts retries in the receipt of a delivery and of a failure", () =>
    Effect.gen(function*() {
      const recovered = yield* run((_, i) => reply(i < 2 ? 503 : 202), { budget: 5000, pass: 1000 })
      assert.deepInclude(Either.getOrThrow(recovered.result), { items: 1, payloads: 1, retries: 2 })
      const failed = yield* run(() => reply(503), { budget: 3000, pass: 3000 })
      const error = Either.getOrThrow(Either.flip(failed.result))
      assert.strictEqual(error.receipt.retries, failed.times.length - 1)
      assert.isAbove(error.receipt.retries, 0)
    }))
})

describe("retryPolicy with the delivery option", () => {
  const events: ReadonlyArray<Event.Event> = [{ title: "e", text: "", tags: [] }]
  const distributions: ReadonlyArray<Series.DistributionSeries> = [{
    metric: "d",
    points: [[1_700_000_000, [1]]],
    type: "distribution",
    tags: [],
    interval: 10
  }]
  const once = { delivery: "at-most-once" } as const
  const deliveries = {
    series: (to: WireReporter) => to.flushMetrics(batch),
    distributions: (to: WireReporter) => to.flushDistributions(distributions),
    events: (to: WireReporter) => to.flushEvents(events)
  }
  /** Failures after which a payload may have arrived. */
  const ambiguous = {
    "status 500": () => reply(500),
    "status 502": () => reply(502),
    "status 503": () => reply(503),
    "status 504": () => reply(504),
    "a web page with status 200": () => reply(200, { "content-type": "text/html" }, "<html>Please log in</html>"),
    "a reset": () => broken("ECONNRESET"),
    "an unknown failure": () => broken("EWHATEVER"),
    "no answer": () => Effect.never
  }
  /** Failures that prove that a payload did not arrive. */
  const certain = {
    "status 408": () => reply(408),
    "status 429": () => reply(429),
    "status 404": () => reply(404),
    "status 407": () => reply(407),
    "status 425": () => reply(425),
    "a redirect": () => reply(302),
    "a closed port": () => broken("ECONNREFUSED"),
    "an unknown host": () => broken("ENOTFOUND"),
    "a bad certificate": () => broken("DEPTH_ZERO_SELF_SIGNED_CERT")
  }
  for (const [name, answer] of Object.entries(ambiguous)) {
    it.effect(`sends only series again after ${name} when delivery is at-most-once`, () =>
      Effect.gen(function*() {
        for (const part of ["series", "distributions", "events"] as const) {
          const deliver = deliveries[part]
          const repeated = yield* run(answer, { budget: 5000, pass: 5000, deliver })
          assert.isAbove(repeated.times.length, 1, part)
          const strict = yield* run(answer, { budget: 5000, pass: 5000, deliver, settings: once })
          const error = Either.getOrThrow(Either.flip(strict.result))
          assert.strictEqual(strict.times.length > 1, part === "series", part)
          assert.deepStrictEqual([error.ambiguous.length, error.undelivered.length], [1, 1], part)
        }
      }))
  }
  for (const [name, answer] of Object.entries(certain)) {
    it.effect(`sends everything again after ${name} when delivery is at-most-once`, () =>
      Effect.gen(function*() {
        for (const part of ["series", "distributions", "events"] as const) {
          const { result, times } = yield* run(answer, {
            budget: 5000,
            pass: 5000,
            deliver: deliveries[part],
            settings: once
          })
          assert.isAbove(times.length, 1, part)
          assert.deepStrictEqual(Either.getOrThrow(Either.flip(result)).ambiguous, [], part)
        }
      }))
  }
})
