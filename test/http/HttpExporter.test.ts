import { HttpClient, HttpClientResponse } from "@effect/platform"
import type { HttpBody, HttpClientRequest } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Redacted, TestClock } from "effect"
import { HttpReporter, MetricsAggregator, Reporter, Series, ThreadStats, ThreadStatsConfig } from "effect-threadstats"
import { inflateSync } from "node:zlib"
import {
  layerEventsAggregatorWith,
  layerMetricsAggregatorWith,
  layerReporterWith,
  makeMetricsAggregator
} from "../support/layers.js"
import { reply, reporter as scripted } from "../support/scriptedHttp.js"

const start = 1_700_000_000_000

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

/** A client over HTTP whose requests get the statuses of `answer`. */
const makeClient = Effect.fnUntraced(function*(
  options: ThreadStatsConfig.ThreadStatsOptions = {},
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
    ThreadStats.layerHttpClientWith({
      apiKey: Redacted.make("key"),
      periodicFlush: false,
      maxSeries: 100_000,
      ...options
    })
      .pipe(Layer.provide(Layer.succeed(HttpClient.HttpClient, http)))
  )
  return { self: Context.get(context, ThreadStats.ThreadStats), requests }
})

/** Adds nothing to a series. */
const enrichment: Reporter.Enrichment = {
  prefix: "",
  tags: [],
  hostname: undefined,
  attachHost: false,
  device: undefined,
  interval: 10
}

const many = 12_000

const record = (self: ThreadStats.ThreadStats["Type"], from = 0) => {
  for (let i = from; i < from + many; i++) self.unsafeIncrement("c", 1, { tags: [`i:${i}`] })
}

/** Runs a function in every turn of the event loop. Returns a function that stops it and returns the number of turns. */
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

const assertBalanced = ({ metrics: { delivered, dropped, pending, received } }: ThreadStats.Stats) =>
  assert.strictEqual(received, delivered + pending + Object.values(dropped).reduce((sum, n) => sum + n, 0))

describe("HttpExporter", () => {
  it.scoped("lets the event loop turn while it flushes many series", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(start)
      const { requests, self } = yield* makeClient({ compress: false })
      record(self)
      const stop = onTurns(() => {})
      const receipt = yield* self.flush()
      // A slice has about 2000 lines.
      assert.isAtLeast(stop(), 5)
      assert.deepInclude(receipt, { errors: [], metrics: { delivered: many, pending: 0, dropped: 0 } })
      assert.strictEqual(requests.flatMap(({ series }) => series).length, many)
    }))

  it.scoped("lets the event loop turn while it flushes many series to a reporter of batches", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(start)
      const context = yield* Layer.build(ThreadStats.layerTestWith({ maxSeries: 100_000 }))
      const self = Context.get(context, ThreadStats.ThreadStats)
      record(self)
      const stop = onTurns(() => {})
      const receipt = yield* self.flush()
      assert.isAtLeast(stop(), 5)
      assert.deepInclude(receipt, { errors: [], metrics: { delivered: many, pending: 0, dropped: 0 } })
      assert.lengthOf(yield* Context.get(context, Reporter.MemoryReporter).metrics, many)
    }))

  it.scoped(
    "delivers points that are recorded during a flush, and accounts for them in every turn",
    () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(start)
        const { requests, self } = yield* makeClient()
        record(self)
        let during = 0
        const stop = onTurns((turn) => {
          // A series that was drained, a series that is still pending, and a new one.
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
        const firstSeries = requests.flatMap(({ series }) => series)
        // Nothing is sent twice: the receiver keeps the last value, and requests of one flush have no order.
        const ofFirst = firstSeries.filter(({ metric }) => metric === "c")
        assert.strictEqual(ofFirst.length, many)
        const second = yield* self.flush()
        assert.strictEqual(first.metrics.delivered + second.metrics.delivered, many + during)
        const stats = yield* self.stats
        assertBalanced(stats)
        assert.deepInclude(stats.metrics, { received: many + during, delivered: many + during, pending: 0 })
        // The totals that the receiver has in the end.
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
      })
  )

  for (const delivery of ["at-least-once", "at-most-once"] as const) {
    it.scoped(
      `restores the drained series when a flush is interrupted between two slices (${delivery})`,
      () =>
        Effect.gen(function*() {
          yield* TestClock.setTime(start)
          const { requests, self } = yield* makeClient({ delivery, submitAs: "distributions" })
          record(self)
          yield* self.event("title", "text")
          const fiber = yield* Effect.fork(self.flush())
          for (let turn = 0; turn < 3; turn++) {
            yield* Effect.async<void>((resume) => {
              setImmediate(() => resume(Effect.void))
            })
          }
          yield* Fiber.interrupt(fiber)
          // The event does not wait for the series. Its request was answered before the interruption.
          assert.deepStrictEqual(requests.map(({ path }) => path), ["/api/v1/events"])
          const stats = yield* self.stats
          assert.deepInclude(stats.metrics, { received: many, delivered: 0, pending: many, dropped: {} })
          assert.deepInclude(stats.events, { delivered: 1, pending: 0, dropped: {} })
          const receipt = yield* self.flush()
          assert.deepInclude(receipt.metrics, { delivered: many, pending: 0, dropped: 0 })
          assert.strictEqual(requests.flatMap(({ series }) => series ?? []).length, many)
          assert.strictEqual(requests.filter(({ path }) => path === "/api/v1/events").length, 1)
        })
    )
  }

  it.scoped("drops additive points that may have arrived, and nothing else, when delivery is at-most-once", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(start)
      let status = 503
      const { self } = yield* makeClient({ delivery: "at-most-once" }, () => Effect.sync(() => status))
      self.unsafeGauge("g", 2)
      self.unsafeIncrement("c", 3)
      self.unsafeDistribution("d", 4)
      self.unsafeDistribution("d", 5)
      const flush = yield* Effect.fork(self.flush())
      yield* TestClock.adjust(self.config.flushTimeout)
      yield* Fiber.join(flush)
      status = 202
      const { metrics } = yield* self.stats
      assert.deepInclude(metrics, { received: 4, delivered: 0, pending: 2, dropped: { Ambiguous: 2 } })
    }))

  it.scoped("names undelivered series and distributions in its error, and keeps them pending", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(start)
      for (const version of ["v1", "v2"] as const) {
        const { self } = yield* makeClient(
          { seriesVersion: version, delivery: "at-most-once" },
          () => Effect.succeed(403)
        )
        self.unsafeGauge("g", 2, { tags: ["a:ü"], host: "web" })
        self.unsafeDistribution("d", 3)
        const receipt = yield* self.flush()
        assert.deepInclude(receipt.metrics, { delivered: 0, pending: 2 })
        const items = receipt.errors.flatMap(({ undelivered }) => undelivered)
        const expected: Series.Series = {
          metric: "g",
          points: [[start / 1000, 2]],
          type: "gauge",
          host: "web",
          tags: ["a:ü"],
          interval: 10
        }
        const [g, d] = items as ReadonlyArray<MetricsAggregator.AggregatedSeries>
        assert.deepStrictEqual(Series.fromAggregated(g!, enrichment), [expected])
        assert.deepInclude(Series.distributionFromAggregated(d!, enrichment), {
          metric: "d",
          points: [[start / 1000, [3]]]
        })
      }
    }))

  for (const version of ["v1", "v2"] as const) {
    it.scoped(`never sends a total below an earlier one of its bucket, with series ${version}`, () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(start)
        const bodies: Array<unknown> = []
        let status = 202
        const http = HttpClient.make((request) =>
          Effect.sync(() => {
            const { body } = request.body as HttpBody.Uint8Array
            bodies.push(JSON.parse(Buffer.from(body).toString()))
            return HttpClientResponse.fromWeb(request, new Response("{}", { status }))
          })
        )
        const context = yield* Layer.build(
          ThreadStats.layerHttpClientWith({
            apiKey: Redacted.make("key"),
            periodicFlush: false,
            seriesVersion: version
          })
            .pipe(Layer.provide(Layer.succeed(HttpClient.HttpClient, http)))
        )
        const self = Context.get(context, ThreadStats.ThreadStats)
        const flush = Effect.gen(function*() {
          const fiber = yield* Effect.fork(self.flush())
          yield* TestClock.adjust(self.config.flushTimeout)
          return yield* Fiber.join(fiber)
        })
        // The second flush fails after the receiver may have stored its total; the third one sends a total that includes it.
        for (const [points, answer] of [[2, 202], [3, 503], [0, 202], [4, 202]] as const) {
          status = answer
          if (points > 0) yield* self.increment("orders", points, { timestamp: start })
          yield* flush
        }
        const totals = bodies.flatMap((body) => JSON.stringify(body).match(/(?<="value":|\[1700000000,)[\d.]+/g) ?? [])
          .map((rate) => Math.round(Number(rate) * 10))
        assert.deepStrictEqual([...totals].sort((a, b) => a - b), totals)
        assert.deepStrictEqual(Array.from(new Set(totals)), [2, 5, 9])
      }))
  }

  it.scoped("sends the new values of a distribution alone when its bucket was sent before", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(start)
      const { requests, self } = yield* makeClient()
      for (const value of [1, 2]) {
        yield* self.distribution("d", value, { timestamp: start })
        yield* self.flush()
      }
      const values = requests.flatMap(({ series }) => series.flatMap(({ points }) => points.map(([, v]) => v)))
      assert.deepStrictEqual(values, [[1], [2]])
    }))

  it.scoped("passes batches to a reporter that wraps reportSeries", () =>
    Effect.gen(function*() {
      const batches: Array<number> = []
      const config = yield* ThreadStatsConfig.make({ apiKey: Redacted.make("key") })
      const http = HttpClient.make((request) =>
        Effect.sync(() => HttpClientResponse.fromWeb(request, new Response("{}", { status: 202 })))
      )
      const reporter = yield* Effect.provideService(HttpReporter.make(config), HttpClient.HttpClient, http)
      const wrapper = Layer.succeed(Reporter.Reporter, {
        ...reporter,
        reportSeries: (batch: Reporter.SeriesBatch) =>
          reporter.reportSeries({
            ...batch,
            pull: Effect.tap(batch.pull, (pulled) => {
              if (pulled.length > 0) batches.push(pulled.length)
            })
          })
      })
      const context = yield* Layer.build(
        layerReporterWith({ periodicFlush: false }).pipe(
          Layer.provide([wrapper, layerMetricsAggregatorWith(), layerEventsAggregatorWith()])
        )
      )
      const self = Context.get(context, ThreadStats.ThreadStats)
      yield* self.gauge("g", 1)
      yield* self.flush()
      assert.deepStrictEqual(batches, [1])
    }))

  it.effect("names a histogram once in its error when its lines have different outcomes", () =>
    Effect.gen(function*() {
      const lineOf = ({ body }: { readonly body: unknown }) =>
        (body as Sent).series.length === 1 ? (body as Sent).series[0]!.metric : "several"
      const statuses: Record<string, number> = { several: 413, "h.max": 400, "h.min": 503 }
      const { requests, service } = yield* scripted((request) => reply(statuses[lineOf(request)] ?? 202))
      const aggregator = yield* makeMetricsAggregator()
      aggregator.unsafeAdd("histogram", "h", 1, start)
      aggregator.unsafeAdd("counter", "c", 1, start)
      const series = yield* aggregator.drain({ temporality: "total", now: start + 10_000 })
      const histogram = series.find(({ kind }) => kind === "histogram")!
      const error = yield* Effect.flip(service.reportSeries(Reporter.batchOf(enrichment, series)))
      assert.deepStrictEqual([error.undelivered.length, error.refused, error.ambiguous.length], [1, [], 1])
      assert.strictEqual(error.undelivered[0], histogram)
      assert.strictEqual(error.ambiguous[0], histogram)
      const accepted = requests.map(lineOf).filter((line) => statuses[line] === undefined)
      assert.deepInclude(error.receipt, { items: accepted.length, payloads: accepted.length })
      assert.strictEqual(accepted.length, histogram.points.length + 1 - 2)
    }))

  it.effect("sends nothing and fails with the error of the batch when a pull fails", () =>
    Effect.gen(function*() {
      const { requests, service } = yield* scripted(() => reply(202))
      const aggregator = yield* makeMetricsAggregator()
      aggregator.unsafeAdd("gauge", "g", 1, start)
      const series = yield* aggregator.drain({ temporality: "total", now: start + 10_000 })
      const late = new Reporter.ReporterError({
        reason: "Timeout",
        endpoint: "series",
        description: "no time left",
        undelivered: series,
        refused: [],
        ambiguous: [],
        receipt: Reporter.emptyReceipt
      })
      let pulls = 0
      const pull = Effect.suspend(() => pulls++ === 0 ? Effect.succeed(series) : Effect.fail(late))
      assert.strictEqual(yield* Effect.flip(service.reportSeries({ enrichment, pull })), late)
      assert.deepStrictEqual(requests, [])
    }))
})
