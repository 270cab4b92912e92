import { HttpClient, HttpClientResponse } from "@effect/platform"
import type { HttpBody, HttpClientRequest } from "@effect/platform"
import { assert, describe, it, vi } from "@effect/vitest"
import { Context, Effect, FastCheck as fc, Fiber, Layer, Redacted, TestClock } from "effect"
import {
  EventsAggregator,
  HttpReporter,
  MetricsAggregator,
  Reporter,
  ThreadStats,
  ThreadStatsConfig
} from "effect-threadstats"
import type { RollUp, Series } from "effect-threadstats"
import { Deflate, inflateSync } from "node:zlib"
import { countOf, encode, type Encoded, groupBySize, makeWriter } from "../../src/internal/encoder.js"
import { distributionPoints, type EnvelopedEndpoint, series, seriesV2 } from "../../src/internal/endpoints.js"
import { type Dress, lineWriter, sorted, syntax, toDistribution, toSeries } from "../../src/internal/series.js"
import { syntaxV2, toV2 } from "../../src/internal/seriesV2.js"

const start = 1_700_000_000_000

const texts = <A>({ chunks }: Encoded<A>) =>
  chunks.map(({ body, encoding }) => Buffer.from(encoding === "deflate" ? inflateSync(body) : body).toString())

describe("bodies that are written line by line", () => {
  const text = fc.oneof(
    fc.string({ maxLength: 30 }),
    fc.string({ unit: "grapheme", maxLength: 12 }),
    fc.constantFrom("\"", "\\", "\u2028", "\ud800", "ü:日本語", "🙂")
  )
  const point = fc.record({
    kind: fc.constantFrom<RollUp.Kind>("counter", "gauge", "set", "histogram", "timing", "distribution"),
    name: text.map((rest) => `m${rest}`),
    value: fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer()),
    tags: fc.array(text.filter((tag) => tag !== ""), { maxLength: 3 }),
    host: fc.constantFrom(null, "", "web-1", "hôst\""),
    many: fc.integer({ min: 1, max: 60 }),
    at: fc.integer({ min: 0, max: 25_000 })
  })
  const units = { "mä": "second", m: "by\"te" }

  it.effect.prop("are those of the same items as a batch, whatever is in them and within whatever limits", {
    points: fc.array(point, { maxLength: 25 }),
    bytes: fc.integer({ min: 150, max: 3000 }),
    unpackedBytes: fc.integer({ min: 150, max: 6000 }),
    compress: fc.boolean(),
    dressed: fc.record({
      prefix: fc.constantFrom("", "n\"s."),
      tags: fc.constantFrom([], ["env:ü", "a"]),
      host: fc.constantFrom(undefined, "mine"),
      attachHost: fc.boolean(),
      device: fc.constantFrom(undefined, "sda")
    })
  }, ({ bytes, compress, dressed, points, unpackedBytes }) =>
    Effect.gen(function*() {
      const aggregator = yield* MetricsAggregator.make()
      for (const { at, host, kind, many, name, tags, value } of points) {
        for (let i = 0; i < many; i++) aggregator.unsafeAdd(kind, name, value - i, start + at, { tags, host })
      }
      const items = yield* aggregator.flush({ temporality: "total", now: start + 30_000 })
      const dress: Dress = { ...dressed, interval: 10 }
      const ways = [
        [series, syntax, undefined, false],
        [seriesV2, syntaxV2(units), toV2(units), false],
        [distributionPoints, syntax, sorted, true]
      ] as const
      for (const [full, written, form, isDistribution] of ways) {
        const own = items.filter(({ kind }) => (kind === "distribution") === isDistribution)
        const endpoint: EnvelopedEndpoint = { ...full, limits: { bytes, unpackedBytes } }
        const encoding = compress ? "deflate" : "identity"
        const writer = makeWriter<MetricsAggregator.RolledUp>(endpoint, encoding)
        const write = lineWriter(dress, written, writer)
        for (const item of own) write(item, isDistribution)
        const streamed = yield* writer.end
        const lines = own.flatMap((item): ReadonlyArray<Reporter.Item> =>
          isDistribution ? [toDistribution(dress, item)] : toSeries(dress, item)
        )
        const batch = yield* encode(endpoint, lines, {
          compress,
          form: form as (item: Reporter.Item) => unknown,
          group: groupBySize
        })
        assert.deepStrictEqual(texts(streamed), texts(batch))
        assert.strictEqual(streamed.unencodable.length, batch.unencodable.length)
        for (const { body } of streamed.chunks) assert.isAtMost(body.byteLength, bytes)
        for (const each of texts(streamed)) assert.isAtMost(Buffer.byteLength(each), unpackedBytes)
        // what gives back the items tells of the same lines
        const json = ({ entries }: { readonly entries: ReadonlyArray<{ readonly json: string }> }) =>
          entries.map((entry) => entry.json)
        assert.deepStrictEqual(streamed.chunks.map(json), batch.chunks.map(json))
        // and each line of the item that it was written for
        if (streamed.unencodable.length > 0) continue
        const owners = own.flatMap((item) => isDistribution ? [item] : item.points.map(() => item))
        const entries = streamed.chunks.flatMap((chunk) => chunk.entries)
        assert.isTrue(entries.every(({ item }, i) => item === owners[i]))
        assert.strictEqual(streamed.chunks.reduce((sum, chunk) => sum + countOf(chunk), 0), owners.length)
      }
    }), { fastCheck: { numRuns: 60 }, timeout: 60_000 })

  it.effect(
    "are those of a batch where they are large enough to be packed meanwhile, or too large once they are",
    () =>
      Effect.gen(function*() {
        const items = Array.from({ length: 12_000 }, (_, i): Series.Series => ({
          metric: `m.${(i * 2_654_435_761 % 4_294_967_296).toString(36)}.ü`,
          points: [[1_700_000_000, i]],
          type: "gauge",
          tags: [`customer:${i}`],
          interval: 10
        }))
        for (const limit of [3_200_000, 20_000]) {
          const endpoint = { ...series, limits: { bytes: limit, unpackedBytes: 62_914_560 } }
          const writer = makeWriter<Series.Series>(endpoint, "deflate")
          for (const [i, item] of items.entries()) {
            const line = JSON.stringify(item)
            writer.add(item, 1_700_000_000, line, Buffer.byteLength(line))
            yield* writer.settle
            // what is packed meanwhile leaves memory to write to
            if (i % 100 === 0) yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
          }
          const streamed = yield* writer.end
          const sent = texts(streamed).flatMap((body) => JSON.parse(body).series)
          assert.deepStrictEqual(sent, items)
          assert.strictEqual(streamed.chunks.length === 1, limit > 1_000_000)
          for (const { body } of streamed.chunks) assert.isAtMost(body.byteLength, limit)
          assert.deepStrictEqual(streamed.unencodable, [])
        }
      }),
    60_000
  )
})

interface Sent {
  readonly path: string
  readonly series: ReadonlyArray<
    Omit<Series.Series, "points"> & { readonly points: ReadonlyArray<readonly [number, unknown]> }
  >
}

const sentBy = (request: HttpClientRequest.HttpClientRequest): Sent => {
  const { body } = request.body as HttpBody.Uint8Array
  const text = Buffer.from(request.headers["content-encoding"] === "deflate" ? inflateSync(body) : body).toString()
  return { path: new URL(request.url).pathname, series: JSON.parse(text).series }
}

/** A client over HTTP whose requests are answered as told. */
const client = Effect.fnUntraced(function*(
  options: ThreadStatsConfig.Options = {},
  answer: (sent: Sent) => Effect.Effect<number> = () => Effect.succeed(202)
) {
  const requests: Array<Sent> = []
  const http = HttpClient.make((request) =>
    Effect.suspend(() => {
      const sent = sentBy(request)
      requests.push(sent)
      return Effect.map(answer(sent), (status) => HttpClientResponse.fromWeb(request, new Response("{}", { status })))
    })
  )
  const context = yield* Layer.build(
    ThreadStats.layerHttpWith({ apiKey: Redacted.make("key"), periodicFlush: false, maxContexts: 100_000, ...options })
      .pipe(Layer.provide(Layer.succeed(HttpClient.HttpClient, http)))
  )
  return { self: Context.get(context, ThreadStats.ThreadStats), requests }
})

const many = 20_000

const record = (self: ThreadStats.ThreadStats["Type"], from = 0) => {
  for (let i = from; i < from + many; i++) self.unsafeIncrement("c", 1, { tags: [`i:${i}`] })
}

/** Runs something whenever the event loop comes round, until it is told to stop. */
const onTurns = (f: (turn: number) => void) => {
  let turns = 0
  let handle = setImmediate(function turn() {
    f(turns++)
    handle = setImmediate(turn)
  })
  return () => {
    clearImmediate(handle)
    return turns
  }
}

const assertBalanced = ({ metrics: { delivered, dropped, held, received } }: ThreadStats.Stats) =>
  assert.strictEqual(received, delivered + held + Object.values(dropped).reduce((sum, n) => sum + n, 0))

describe("a flush of many contexts", () => {
  it.scoped("lets the event loop come round, and one of a few does not wait for that", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(start)
      const { requests, self } = yield* client({ compress: false })
      record(self)
      const stop = onTurns(() => {})
      const receipt = yield* self.flush()
      // 2000 lines or so are a slice
      assert.isAtLeast(stop(), 8)
      assert.deepInclude(receipt, { errors: [], metrics: { delivered: many, kept: 0, dropped: 0 } })
      assert.strictEqual(requests.flatMap(({ series }) => series).length, many)
    }), 60_000)

  it.scoped("lets the event loop come round where the reporter takes batches, too", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(start)
      const context = yield* Layer.build(ThreadStats.layerTestWith({ maxContexts: 100_000 }))
      const self = Context.get(context, ThreadStats.ThreadStats)
      record(self)
      const stop = onTurns(() => {})
      const receipt = yield* self.flush()
      assert.isAtLeast(stop(), 8)
      assert.deepInclude(receipt, { errors: [], metrics: { delivered: many, kept: 0, dropped: 0 } })
      assert.lengthOf(yield* Context.get(context, Reporter.MemoryReporter).metrics, many)
    }), 60_000)

  it.scoped(
    "hands the thread that packs more at a time than is written until it is heard of again",
    () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(start)
        const { self } = yield* client()
        for (let i = 0; i < 3; i++) record(self, i * many)
        const write = vi.spyOn(Deflate.prototype as unknown as { write: (part: Uint8Array) => boolean }, "write")
        yield* Effect.addFinalizer(() => Effect.sync(() => write.mockRestore()))
        yield* self.flush()
        const sizes = write.mock.calls.map(([{ byteLength }]) => byteLength)
        assert.isAbove(sizes.reduce((sum, size) => sum + size, 0), 5_000_000)
        // without those before it was known to be much, and without the last one
        const inBetween = sizes.filter((size) => size > 256 * 1024)
        assert.isAtLeast(inBetween.length, 4)
        // a slice of writing makes half of that
        for (const size of inBetween.slice(0, -1)) assert.isAbove(size, 900_000)
      }),
    60_000
  )

  it.scoped(
    "takes what is recorded in between for the next one, or along, and accounts for it at every turn",
    () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(start)
        const { requests, self } = yield* client()
        record(self)
        let during = 0
        const stop = onTurns((turn) => {
          // one that was taken out already, one that is still to come, one that is new
          self.unsafeIncrement("c", 1, { tags: ["i:0"] })
          self.unsafeIncrement("c", 1, { tags: [`i:${many - 1}`] })
          self.unsafeIncrement("d", 1, { tags: [`turn:${turn}`] })
          self.unsafeDistribution("e", turn)
          during += 4
          assertBalanced(Effect.runSync(self.stats))
        })
        const first = yield* self.flush()
        stop()
        assert.isAbove(during, 8)
        const taken = requests.flatMap(({ series }) => series)
        // nothing twice: the receiver keeps the last value, and requests of one flush have no order
        const ofFirst = taken.filter(({ metric }) => metric === "c")
        assert.strictEqual(ofFirst.length, many)
        const second = yield* self.flush()
        assert.strictEqual(first.metrics.delivered + second.metrics.delivered, many + during)
        const stats = yield* self.stats
        assertBalanced(stats)
        assert.deepInclude(stats.metrics, { received: many + during, delivered: many + during, held: 0 })
        // totals, as the receiver has them in the end
        const last = new Map<string, number>()
        for (
          const { metric, points, tags } of requests.flatMap(({ series }) => series)
        ) {
          if (metric !== "e") last.set(`${metric} ${tags.join()}`, points[0]![1] as number * 10)
        }
        assert.closeTo(Array.from(last.values()).reduce((sum, n) => sum + n, 0), many + (during * 3) / 4, 1e-6)
        const values = requests.flatMap(({ series }) => series).filter(({ metric }) => metric === "e")
          .flatMap(({ points }) => points[0]![1] as ReadonlyArray<number>)
        assert.strictEqual(values.length, during / 4)
      }),
    60_000
  )

  for (const delivery of ["at-least-once", "at-most-once"] as const) {
    it.scoped(
      `that is interrupted between two slices gives back what it took (${delivery})`,
      () =>
        Effect.gen(function*() {
          yield* TestClock.setTime(start)
          const { requests, self } = yield* client({ delivery, counters: "distributions" })
          record(self)
          yield* self.event("title", "text")
          const fiber = yield* Effect.fork(self.flush())
          for (let turn = 0; turn < 3; turn++) {
            yield* Effect.async<void>((resume) => {
              setImmediate(() => resume(Effect.void))
            })
          }
          yield* Fiber.interrupt(fiber)
          assert.deepStrictEqual(requests, [])
          const stats = yield* self.stats
          assert.deepInclude(stats.metrics, { received: many, delivered: 0, held: many, dropped: {} })
          assert.deepInclude(stats.events, { held: 1, dropped: {} })
          const receipt = yield* self.flush()
          assert.deepInclude(receipt.metrics, { delivered: many, kept: 0, dropped: 0 })
          assert.strictEqual(requests.flatMap(({ series }) => series ?? []).length, many)
        }),
      60_000
    )
  }

  it.scoped("gives up, at most once, what adds up and may have arrived, and nothing else", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(start)
      let status = 503
      const { self } = yield* client({ delivery: "at-most-once" }, () => Effect.sync(() => status))
      self.unsafeGauge("g", 2)
      self.unsafeIncrement("c", 3)
      self.unsafeDistribution("d", 4)
      self.unsafeDistribution("d", 5)
      const flush = yield* Effect.fork(self.flush())
      for (let i = 0; i < 100 && flush.unsafePoll() === null; i++) yield* TestClock.adjust("1 second")
      yield* Fiber.join(flush)
      status = 202
      const { metrics } = yield* self.stats
      assert.deepInclude(metrics, { received: 4, delivered: 0, held: 2, dropped: { Ambiguous: 2 } })
    }))

  it.scoped("names in its error what was not delivered, as items, and keeps it", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(start)
      for (const version of ["v1", "v2"] as const) {
        const { self } = yield* client({ series: version, delivery: "at-most-once" }, () => Effect.succeed(403))
        self.unsafeGauge("g", 2, { tags: ["a:ü"], host: "web" })
        self.unsafeDistribution("d", 3)
        const receipt = yield* self.flush()
        assert.deepInclude(receipt.metrics, { delivered: 0, kept: 2 })
        const items = receipt.errors.flatMap(({ undelivered }) => undelivered)
        const expected: Series.Series = {
          metric: "g",
          points: [[start / 1000, 2]],
          type: "gauge",
          host: "web",
          tags: ["a:ü"],
          interval: 10
        }
        assert.deepInclude(items[0] as Series.Series, expected)
        assert.deepInclude(items[1] as Series.DistributionSeries, { metric: "d", points: [[start / 1000, [3]]] })
      }
    }))

  it.scoped("hands batches to whoever stands in for one of the ways", () =>
    Effect.gen(function*() {
      const batches: Array<number> = []
      const config = yield* ThreadStatsConfig.make({ apiKey: Redacted.make("key") })
      const http = HttpClient.make((request) =>
        Effect.sync(() => HttpClientResponse.fromWeb(request, new Response("{}", { status: 202 })))
      )
      const made = yield* Effect.provideService(HttpReporter.make(config), HttpClient.HttpClient, http)
      const standIn = Layer.succeed(Reporter.Reporter, {
        ...made,
        flushMetrics: (batch: ReadonlyArray<Series.Series>) => {
          batches.push(batch.length)
          return made.flushMetrics(batch)
        }
      })
      const context = yield* Layer.build(
        ThreadStats.layer({ periodicFlush: false }).pipe(
          Layer.provide([standIn, MetricsAggregator.layer(), EventsAggregator.layerWith()])
        )
      )
      const self = Context.get(context, ThreadStats.ThreadStats)
      yield* self.gauge("g", 1)
      yield* self.flush()
      assert.deepStrictEqual(batches, [1])
    }))
})
