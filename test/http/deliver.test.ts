import { assert, describe, it } from "@effect/vitest"
import { Effect, Either, FastCheck as fc, Fiber, Option, Random, TestClock } from "effect"
import { Reporter } from "effect-threadstats"
import type { Event, HttpReporter, Series } from "effect-threadstats"
import { inflateSync } from "node:zlib"
import { encode, type Encoded, groupBySize } from "../../src/internal/encoder.js"
import { type Endpoint, series as seriesEndpoint } from "../../src/internal/endpoints.js"
import { broken, reply, reporter as scripted, type Request } from "../support/scriptedHttp.js"

const gauge = (metric: string, value = 1): Series.Series => ({
  metric,
  points: [[1_700_000_000, value]],
  type: "gauge",
  tags: [],
  interval: 10
})

const batchOf = (n: number) => Array.from({ length: n }, (_, i) => gauge(`m${i}`))

const namesOf = (items: ReadonlyArray<Reporter.Item>) => items.map((item) => (item as Series.Series).metric)

describe("the encoder", () => {
  const small = (bytes: number, unpackedBytes: number): Endpoint => ({
    ...seriesEndpoint,
    limits: { bytes, unpackedBytes }
  })

  const unpacked = ({ chunks }: Encoded) =>
    chunks.map(({ body, encoding }) => Buffer.from(encoding === "deflate" ? inflateSync(body) : body).toString())

  it.effect.prop("keeps every body within both limits, loses nothing and keeps the order", {
    names: fc.array(fc.oneof(fc.string({ unit: "grapheme", maxLength: 40 }), fc.string({ maxLength: 200 })), {
      maxLength: 40
    }),
    bytes: fc.integer({ min: 90, max: 2000 }),
    unpackedBytes: fc.integer({ min: 90, max: 4000 }),
    compress: fc.boolean()
  }, ({ bytes, compress, names, unpackedBytes }) =>
    Effect.gen(function*() {
      const items = names.map((name) => gauge(name))
      const encoded = yield* encode(small(bytes, unpackedBytes), items, { compress, group: groupBySize })
      const texts = unpacked(encoded)
      for (const [i, { body, encoding }] of encoded.chunks.entries()) {
        assert.isAtMost(body.byteLength, bytes)
        assert.isAtMost(Buffer.byteLength(texts[i]!), unpackedBytes)
        assert.strictEqual(encoding, compress ? "deflate" : "identity")
      }
      const sent = texts.flatMap((text) => JSON.parse(text).series)
      const left = encoded.unencodable.map(({ item }) => item)
      assert.deepStrictEqual(sent, JSON.parse(JSON.stringify(items.filter((item) => !left.includes(item)))))
      assert.strictEqual(sent.length + left.length, items.length)
      for (const item of left) {
        const alone = yield* encode(small(bytes, unpackedBytes), [item], { compress, group: groupBySize })
        assert.deepStrictEqual([alone.chunks.length, alone.unencodable.length], [0, 1])
      }
    }), 30_000)

  it.effect("fills a body to the byte, counting UTF-8 and not characters", () =>
    Effect.gen(function*() {
      const items = [gauge("äöü"), gauge("日本語"), gauge("🙂")]
      const size = Buffer.byteLength(JSON.stringify({ series: items }))
      const exact = yield* encode(small(size, size), items, { compress: false, group: groupBySize })
      assert.deepStrictEqual(exact.chunks.map(({ entries }) => entries.length), [3])
      assert.strictEqual(exact.chunks[0]?.body.byteLength, size)
      const less = yield* encode(small(size, size - 1), items, { compress: false, group: groupBySize })
      assert.deepStrictEqual(less.chunks.map(({ entries }) => entries.length), [2, 1])
      assert.deepStrictEqual(less.unencodable, [])
    }))

  it.effect("halves by the measured size on the wire where the unpacked size would do", () =>
    Effect.gen(function*() {
      const items = batchOf(64)
      const encoded = yield* encode(small(200, 1_000_000), items, { compress: true, group: groupBySize })
      assert.isAbove(encoded.chunks.length, 1)
      assert.isTrue(encoded.chunks.every(({ body }) => body.byteLength <= 200))
    }))

  it.effect("names an item that can never fit, and sends the others", () =>
    Effect.gen(function*() {
      const items = [gauge("a"), gauge("x".repeat(500)), gauge("b")]
      const encoded = yield* encode(small(1000, 300), items, { compress: false, group: groupBySize })
      assert.deepStrictEqual(encoded.chunks.flatMap(({ entries }) => namesOf(entries.map(({ item }) => item))), [
        "a",
        "b"
      ])
      assert.deepStrictEqual(encoded.unencodable.map(({ item, reason }) => [item, reason]), [
        [items[1]!, "PayloadTooLarge"]
      ])
    }))

  it.effect("makes no body of nothing, and packs a large one off the event loop to the same bytes", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* encode(seriesEndpoint, [], { compress: true, group: groupBySize })).chunks, [])
      const items = batchOf(5000)
      const encoded = yield* encode(seriesEndpoint, items, { compress: true, group: groupBySize })
      assert.strictEqual(encoded.chunks.length, 1)
      assert.deepStrictEqual(JSON.parse(unpacked(encoded)[0]!), { series: items })
    }))
})

describe("a refused body", () => {
  it.effect("is halved where it is too large, until it goes through", () =>
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

  it.effect("loses a single item that is too large, and no other", () =>
    Effect.gen(function*() {
      const { reporter } = yield* scripted(({ body }) => reply(body.series.some((s) => s.metric === "m7") ? 413 : 202))
      const error = yield* Effect.flip(reporter.flushMetrics(batchOf(20)))
      assert.strictEqual(error.reason, "PayloadTooLarge")
      assert.deepStrictEqual(namesOf(error.refused), ["m7"])
      assert.deepStrictEqual([error.undelivered, error.receipt.items], [[], 19])
    }))

  it.effect("as malformed costs only the series that are, and few requests", () =>
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

  it.effect("as malformed whatever is in it costs a bounded number of requests", () =>
    Effect.gen(function*() {
      const { reporter, requests } = yield* scripted(() => reply(400))
      const error = yield* Effect.flip(reporter.flushMetrics(batchOf(5000)))
      assert.strictEqual(error.refused.length, 5000)
      assert.isAtMost(requests.length, 257)
    }))

  it.effect("is not taken apart for a key that is refused, or an address that is wrong", () =>
    Effect.gen(function*() {
      for (const status of [401, 403, 404]) {
        const { reporter, requests } = yield* scripted(() => reply(status))
        yield* Effect.flip(reporter.flushMetrics(batchOf(10)))
        assert.strictEqual(requests.length, 1)
      }
    }))

  it.effect("does not stop the others", () =>
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

/** As a flush does: with a deadline, `budget` milliseconds from now. */
const within = (budget: number) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(TestClock.currentTimeMillis, (now) => Effect.provideService(effect, Reporter.Deadline, now + budget))

describe("a body that failed to arrive", () => {
  const batch = [gauge("a")]

  /** Sends one batch while time passes, and says when the requests were made. */
  const run = Effect.fnUntraced(function*(
    answer: Parameters<typeof scripted>[0],
    options: {
      readonly budget: number
      readonly pass: number
      readonly settings?: Partial<HttpReporter.Settings>
      readonly deliver?: (reporter: Reporter.Reporter["Type"]) => ReturnType<Reporter.Reporter["Type"]["flushMetrics"]>
    }
  ) {
    yield* TestClock.setTime(1_000_000)
    const { reporter, requests } = yield* scripted(answer, options.settings)
    const deliver = options.deliver ?? ((to) => to.flushMetrics(batch))
    const fiber = yield* Effect.fork(Effect.either(within(options.budget)(deliver(reporter))))
    yield* TestClock.adjust(options.pass)
    const outcome = yield* Fiber.poll(fiber)
    return {
      times: requests.map(({ at }) => at - 1_000_000),
      result: yield* Option.getOrThrowWith(outcome, () => new Error("still running"))
    }
  })

  for (const status of [408, 429, 500, 502, 503, 504]) {
    it.effect(`is sent again after ${status}`, () =>
      Effect.gen(function*() {
        const { result, times } = yield* run((_, i) => reply(i < 2 ? status : 202), { budget: 5000, pass: 1000 })
        assert.isTrue(Either.isRight(result))
        assert.strictEqual(times.length, 3)
      }))
  }

  for (const status of [400, 401, 403, 404, 413]) {
    it.effect(`is not sent again after ${status}`, () =>
      Effect.gen(function*() {
        const { result, times } = yield* run(() => reply(status), { budget: 5000, pass: 0 })
        assert.isTrue(Either.isLeft(result))
        assert.strictEqual(times.length, 1)
      }))
  }

  it.effect("is sent again after a connection that could not be made", () =>
    Effect.gen(function*() {
      const { result, times } = yield* run(
        (_, i) => i === 0 ? broken("ECONNREFUSED") : reply(202),
        { budget: 5000, pass: 200 }
      )
      assert.isTrue(Either.isRight(result))
      assert.strictEqual(times.length, 2)
    }))

  it.effect("is sent again at once, once, after a connection that broke", () =>
    Effect.gen(function*() {
      for (const code of ["ECONNRESET", "EPIPE", "UND_ERR_SOCKET"]) {
        const healed = yield* run((_, i) => i === 0 ? broken(code) : reply(202), { budget: 5000, pass: 0 })
        assert.isTrue(Either.isRight(healed.result))
        assert.deepStrictEqual(healed.times, [0, 0])
      }
      const dead = yield* run(() => broken("ECONNRESET"), { budget: 300, pass: 300 })
      assert.deepStrictEqual(dead.times.slice(0, 2), [0, 0])
      assert.isTrue(dead.times.slice(2).every((at) => at > 0))
      assert.isTrue(Either.isLeft(dead.result))
    }))

  it.effect("is sent again after pauses that are drawn from a growing range", () =>
    Effect.gen(function*() {
      const always = (random: number) => Effect.withRandom(Random.fixed([random]))
      const longest = yield* run(() => reply(503), { budget: 7000, pass: 7000 }).pipe(always(1))
      assert.deepStrictEqual(longest.times, [0, 200, 600, 1400, 3000, 6200])
      const half = yield* run(() => reply(503), { budget: 1500, pass: 1500 }).pipe(always(0.5))
      assert.deepStrictEqual(half.times, [0, 100, 300, 700])
    }))

  it.effect("waits as long as it is asked to: in seconds, until a date, until the limit is reset", () =>
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

  it.effect("does not mind a pause that makes no sense", () =>
    Effect.gen(function*() {
      for (const after of ["soon", "-5", "", new Date(0).toUTCString()]) {
        const { result } = yield* run(
          (_, i) => i === 0 ? reply(503, { "retry-after": after }) : reply(202),
          { budget: 5000, pass: 200 }
        )
        assert.isTrue(Either.isRight(result), after)
      }
    }))

  it.effect("is kept at once where the pause asked for is longer than the time there is", () =>
    Effect.gen(function*() {
      const { result, times } = yield* run(() => reply(429, { "retry-after": "60" }), { budget: 5000, pass: 0 })
      const error = Either.getOrThrow(Either.flip(result))
      assert.deepStrictEqual([error.reason, error.undelivered, times], ["RateLimited", batch, [0]])
    }))

  it.effect("ends within its time over a server that never answers", () =>
    Effect.gen(function*() {
      const { result, times } = yield* run(() => Effect.never, { budget: 5000, pass: 5000 })
      const error = Either.getOrThrow(Either.flip(result))
      assert.strictEqual(error.reason, "Timeout")
      assert.deepStrictEqual(error.undelivered, batch)
      assert.isAtLeast(times.length, 2)
      assert.strictEqual(times[0], 0)
    }))

  it.effect("failed for what the tries before said, where the end of the flush cuts the last one short", () =>
    Effect.gen(function*() {
      const answers = [reply(503), reply(503), Effect.never]
      const { result } = yield* run((_, i) => answers[i]!, { budget: 1000, pass: 1000 })
      const error = Either.getOrThrow(Either.flip(result))
      assert.deepInclude(error, { reason: "ServerError", status: 503 })
      assert.deepStrictEqual(error.ambiguous, batch)
    }))

  it.effect("is sent once where there is no deadline", () =>
    Effect.gen(function*() {
      const { reporter, requests } = yield* scripted(() => reply(503))
      yield* Effect.flip(reporter.flushMetrics(batch))
      assert.strictEqual(requests.length, 1)
    }))

  it.effect("counts what was sent again, in the receipt of a success and of a failure", () =>
    Effect.gen(function*() {
      const healed = yield* run((_, i) => reply(i < 2 ? 503 : 202), { budget: 5000, pass: 1000 })
      assert.deepInclude(Either.getOrThrow(healed.result), { items: 1, payloads: 1, retries: 2 })
      const dead = yield* run(() => reply(503), { budget: 3000, pass: 3000 })
      const error = Either.getOrThrow(Either.flip(dead.result))
      assert.strictEqual(error.receipt.retries, dead.times.length - 1)
      assert.isAbove(error.receipt.retries, 0)
    }))

  describe("before the hour was over that Datadog takes a point for", () => {
    const at = (metric: string, timestamp: number): Series.Series => ({ ...gauge(metric), points: [[timestamp, 1]] })
    const aged = [at("old", 0), at("young", 3600), at("edge", 1)]
    const sentBy = (requests: ReadonlyArray<Request>) =>
      requests.map(({ body }) => body.series.map(({ metric }) => metric))

    /** Hands the batch over a tenth of a second before the first point is too old, to who fails at first. */
    const late = Effect.fnUntraced(function*(
      batch: ReadonlyArray<Series.Series>,
      first: ReturnType<typeof reply>,
      settings?: Partial<HttpReporter.Settings>,
      then = reply(202)
    ) {
      yield* TestClock.setTime(3_600_000 - 100)
      const { reporter, requests } = yield* scripted((_, i) => i === 0 ? first : then, settings)
      const fiber = yield* Effect.fork(Effect.either(within(5000)(reporter.flushMetrics(batch))))
      yield* TestClock.adjust(1000)
      return { result: yield* Fiber.join(fiber), sent: sentBy(requests) }
    }, Effect.withRandom(Random.fixed([1])))

    it.effect("is sent again without the points that are too old by then, and those go back", () =>
      Effect.gen(function*() {
        const { result, sent } = yield* late(aged, reply(503))
        assert.deepStrictEqual(sent, [["old", "young", "edge"], ["young", "edge"]])
        const error = Either.getOrThrow(Either.flip(result))
        assert.deepInclude(error, { reason: "ServerError", status: 503, refused: [], undelivered: [aged[0]!] })
        assert.deepStrictEqual(error.ambiguous, [aged[0]!])
        assert.deepInclude(error.receipt, { items: 2, payloads: 1 })
      }))

    it.effect("may have arrived for all that, also what is left of it", () =>
      Effect.gen(function*() {
        const { result } = yield* late(aged, reply(503), undefined, reply(404))
        const { ambiguous, refused, undelivered } = Either.getOrThrow(Either.flip(result))
        assert.deepStrictEqual([ambiguous, undelivered, refused], [[aged[0]!], [aged[0]!], aged.slice(1)])
        const unknown = yield* late(aged, reply(503), undefined, reply(401))
        assert.deepStrictEqual(Either.getOrThrow(Either.flip(unknown.result)).ambiguous, aged)
      }))

    it.effect("is not sent again where all of it is", () =>
      Effect.gen(function*() {
        const { result, sent } = yield* late([aged[0]!], reply(503))
        assert.deepStrictEqual(sent, [["old"]])
        assert.deepStrictEqual(Either.getOrThrow(Either.flip(result)).undelivered, [aged[0]!])
      }))

    it.effect("is not sent at all where it had to wait for its turn too long", () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(3_600_000 + 1)
        const { reporter, requests } = yield* scripted(() => reply(202))
        const error = yield* Effect.flip(within(5000)(reporter.flushMetrics(aged)))
        assert.deepStrictEqual(sentBy(requests), [["young", "edge"]])
        assert.deepInclude(error, { reason: "Timeout", undelivered: [aged[0]!], ambiguous: [] })
      }))

    it.effect("is sent again as it was where historical metrics are ingested", () =>
      Effect.gen(function*() {
        const { result, sent } = yield* late(aged, reply(503), { timestamps: "any" })
        assert.isTrue(Either.isRight(result))
        assert.deepStrictEqual(sent[1], ["old", "young", "edge"])
      }))
  })

  describe("and may have arrived", () => {
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
      series: (to: Reporter.Reporter["Type"]) => to.flushMetrics(batch),
      distributions: (to: Reporter.Reporter["Type"]) => to.flushDistributions(distributions),
      events: (to: Reporter.Reporter["Type"]) => to.flushEvents(events)
    }
    const doubtful = {
      "500": () => reply(500),
      "502": () => reply(502),
      "503": () => reply(503),
      "504": () => reply(504),
      "a reset": () => broken("ECONNRESET"),
      "an unknown failure": () => broken("EWHATEVER"),
      "no answer": () => Effect.never
    }
    const certain = {
      "408": () => reply(408),
      "429": () => reply(429),
      "a closed port": () => broken("ECONNREFUSED"),
      "an unknown host": () => broken("ENOTFOUND"),
      "a bad certificate": () => broken("DEPTH_ZERO_SELF_SIGNED_CERT")
    }
    for (const [name, answer] of Object.entries(doubtful)) {
      it.effect(`(${name}) is sent again, but not where it would count twice and must not`, () =>
        Effect.gen(function*() {
          for (const what of ["series", "distributions", "events"] as const) {
            const deliver = deliveries[what]
            const often = yield* run(answer, { budget: 5000, pass: 5000, deliver })
            assert.isAbove(often.times.length, 1, what)
            const strict = yield* run(answer, { budget: 5000, pass: 5000, deliver, settings: once })
            const error = Either.getOrThrow(Either.flip(strict.result))
            assert.strictEqual(strict.times.length > 1, what === "series", what)
            assert.deepStrictEqual([error.ambiguous.length, error.undelivered.length], [1, 1], what)
          }
        }))
    }
    for (const [name, answer] of Object.entries(certain)) {
      it.effect(`(but with ${name} cannot have) is sent again in any case`, () =>
        Effect.gen(function*() {
          for (const what of ["series", "distributions", "events"] as const) {
            const { result, times } = yield* run(answer, {
              budget: 5000,
              pass: 5000,
              deliver: deliveries[what],
              settings: once
            })
            assert.isAbove(times.length, 1, what)
            assert.deepStrictEqual(Either.getOrThrow(Either.flip(result)).ambiguous, [], what)
          }
        }))
    }
  })
})
