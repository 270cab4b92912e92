// By path: the name of the package would load the eight thousand files of its v2, too.
import * as client from "@datadog/datadog-api-client/dist/packages/datadog-api-client-common/index.js"
import * as v1 from "@datadog/datadog-api-client/dist/packages/datadog-api-client-v1/index.js"
import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe } from "@effect/vitest"
import { Data, Effect, Layer, Redacted } from "effect"
import { LocalIntake } from "effect-threadstats"
import type { Event, Series } from "effect-threadstats"
import { layerIntake } from "../support/intake.js"
import { apiKey as key, sweepKeys } from "../support/keySweep.js"
import { layerHttpReporterWith } from "../support/layers.js"
import { type WireError, WireReporter } from "../support/wireReporter.js"

const it = sweepKeys(key)

/** Datadog's own client, which sends to the intake. It sends no header if the key is empty. */
const vendor = (apiKey = key) =>
  Effect.map(LocalIntake.LocalIntake, ({ url }) => {
    const configuration = client.createConfiguration({ serverIndex: 1, authMethods: { apiKeyAuth: apiKey } })
    configuration.setServerVariables({ protocol: "http", name: new URL(url).host })
    return {
      metrics: new v1.MetricsApi(configuration),
      events: new v1.EventsApi(configuration),
      authentication: new v1.AuthenticationApi(configuration)
    }
  })

/** The reporter of this library, which sends to the intake. */
const ours = (options: { readonly apiKey?: string; readonly compress?: boolean } = {}) =>
  Effect.flatMap(LocalIntake.LocalIntake, ({ url }) =>
    Effect.provide(
      WireReporter,
      layerHttpReporterWith({
        apiUrl: url,
        apiKey: Redacted.make(options.apiKey ?? key),
        compress: options.compress ?? true
      }).pipe(Layer.provide(NodeHttpClient.layer))
    ))

class Refused extends Data.TaggedError("Refused")<{ readonly code: number; readonly body: unknown }> {}

/** Returns the refusal that Datadog's client throws. Anything else that it throws is a defect. */
const refusal = (send: () => Promise<unknown>) =>
  Effect.tryPromise({
    try: send,
    catch: (error) =>
      error instanceof client.ApiException ? new Refused({ code: error.code, body: error.body }) : undefined
  }).pipe(
    Effect.catchAll((refused) => refused === undefined ? Effect.dieMessage("no ApiException") : Effect.fail(refused)),
    Effect.flip
  )

const at = 1_700_000_000

const series: ReadonlyArray<Series.Series> = [
  { metric: "shop.queue", type: "gauge", points: [[at, -3.25]], tags: [], interval: 10 },
  { metric: "shop.queue", type: "gauge", points: [[at + 10, 4]], tags: [], interval: 10 },
  {
    metric: "shop.orders",
    type: "rate",
    points: [[at, 0.1]],
    host: "web-1",
    tags: ["env:test", "urgent"],
    interval: 10
  },
  { metric: "shop.größe", type: "count", points: [[at, 1e-7]], host: "", tags: ["名:値", "🚀:x"], interval: 10 }
]

const distributions: ReadonlyArray<Series.DistributionSeries> = [
  {
    metric: "shop.latency",
    type: "distribution",
    points: [[at, [0.1, 0.2, 0.1]]],
    host: "web-1",
    tags: ["env:test"],
    interval: 10
  },
  {
    metric: "shop.latency",
    type: "distribution",
    points: [[at + 10, [7]]],
    host: "web-1",
    tags: ["env:test"],
    interval: 10
  },
  { metric: "shop.basket", type: "distribution", points: [[at, [-1]]], tags: [], interval: 10 }
]

const event = {
  title: "Größer 🚀",
  text: "line\nline",
  alert_type: "success",
  aggregation_key: "deploys",
  source_type_name: "my apps",
  date_happened: at,
  priority: "low",
  host: "web-1",
  device_name: "eth0",
  related_event_id: 7,
  tags: ["v:42"]
} as const satisfies Event.Event

const vendorSeries = (items: ReadonlyArray<Series.Series>): v1.MetricsPayload => ({
  series: items.map(({ host, interval, metric, points, tags, type }) => ({
    metric,
    type,
    points: points.map(([time, value]) => [time, value]),
    tags: [...tags],
    interval,
    ...(typeof host === "string" ? { host } : {})
  }))
})

const vendorDistributions = (items: ReadonlyArray<Series.DistributionSeries>): v1.DistributionPointsPayload => ({
  series: items.map(({ host, metric, points, tags, type }) => ({
    metric,
    type,
    points: points.map(([time, values]) => [time, [...values]]),
    tags: [...tags],
    ...(typeof host === "string" ? { host } : {})
  }))
})

const vendorEvent = (text: string = event.text): v1.EventCreateRequest => ({
  title: event.title,
  text,
  alertType: event.alert_type,
  aggregationKey: event.aggregation_key,
  sourceTypeName: event.source_type_name,
  dateHappened: event.date_happened,
  priority: event.priority,
  host: event.host,
  deviceName: event.device_name,
  relatedEventId: event.related_event_id,
  tags: [...event.tags]
})

/** Returns everything accepted since the last call, and the status of each request. */
const takeAccepted = Effect.gen(function*() {
  const intake = yield* LocalIntake.LocalIntake
  const { distributions, events, requests, series } = yield* Effect.all({
    series: intake.series,
    distributions: intake.distributions,
    events: intake.events,
    requests: intake.requests
  })
  yield* intake.clear
  return { accepted: { series, distributions, events }, answers: requests.map(({ path, status }) => [path, status]) }
})

describe("HttpReporter and Datadog's own client", () => {
  for (const [contentEncoding, compress] of [[undefined, false], ["deflate", true], ["gzip", true]] as const) {
    it.effect(`send equal series when the encoding is ${contentEncoding ?? "identity"}`, () =>
      Effect.gen(function*() {
        const { metrics } = yield* vendor()
        const reply = yield* Effect.promise(() =>
          metrics.submitMetrics({
            body: vendorSeries(series),
            ...(contentEncoding === undefined ? {} : { contentEncoding })
          })
        )
        assert.deepStrictEqual({ ...reply }, { status: "ok" })
        const theirs = yield* takeAccepted
        yield* Effect.flatMap(ours({ compress }), (reporter) => reporter.flushMetrics(series))
        assert.deepStrictEqual(theirs, yield* takeAccepted)
        assert.deepStrictEqual<unknown>(theirs.accepted.series, series)
        assert.deepStrictEqual(theirs.answers, [["/api/v1/series", 202]])
      }).pipe(Effect.provide(layerIntake({ apiKey: Redacted.make(key) }))))
  }

  for (const compress of [false, true]) {
    it.effect(`send equal distribution points when the encoding is ${compress ? "deflate" : "identity"}`, () =>
      Effect.gen(function*() {
        const { metrics } = yield* vendor()
        const reply = yield* Effect.promise(() =>
          metrics.submitDistributionPoints({
            body: vendorDistributions(distributions),
            ...(compress ? { contentEncoding: "deflate" } : {})
          })
        )
        assert.deepStrictEqual({ ...reply }, { status: "ok" })
        const theirs = yield* takeAccepted
        yield* Effect.flatMap(ours({ compress }), (reporter) => reporter.flushDistributions(distributions))
        const own = yield* takeAccepted
        // The reporter sends the interval too, which the form of Datadog's client does not have.
        const shared = own.accepted.distributions.map(({ interval, ...rest }) => {
          assert.strictEqual(interval, 10)
          return rest
        })
        assert.deepStrictEqual(theirs, { ...own, accepted: { ...own.accepted, distributions: shared } })
        assert.deepStrictEqual(theirs.answers, [["/api/v1/distribution_points", 202]])
        assert.deepStrictEqual(shared.map(({ points }) => points), distributions.map(({ points }) => points))
      }).pipe(Effect.provide(layerIntake({ apiKey: Redacted.make(key) }))))
  }

  it.effect("send equal events, and Datadog's client decodes the answer of the intake", () =>
    Effect.gen(function*() {
      const { events } = yield* vendor()
      const reply = yield* Effect.promise(() => events.createEvent({ body: vendorEvent() }))
      assert.isUndefined(reply._unparsed)
      assert.strictEqual(reply.status, "ok")
      assert.isUndefined(reply.event?._unparsed)
      assert.deepInclude(reply.event, {
        title: event.title,
        text: event.text,
        dateHappened: at,
        priority: "low",
        tags: ["v:42"]
      })
      assert.match(reply.event?.idStr ?? "", /^\d{19}$/)
      const theirs = yield* takeAccepted
      yield* Effect.flatMap(ours(), (reporter) => reporter.flushEvents([event]))
      assert.deepStrictEqual(theirs, yield* takeAccepted)
      assert.deepStrictEqual(theirs.accepted.events, [event])
      assert.deepStrictEqual(theirs.answers, [["/api/v1/events", 202]])
    }).pipe(Effect.provide(layerIntake({ apiKey: Redacted.make(key) }))))

  it.effect("send equal requests to validate the key", () =>
    Effect.gen(function*() {
      const { authentication } = yield* vendor()
      assert.deepStrictEqual({ ...yield* Effect.promise(() => authentication.validate()) }, { valid: true })
      const theirs = yield* takeAccepted
      yield* Effect.flatMap(ours(), (reporter) => reporter.warm)
      assert.deepStrictEqual(theirs, yield* takeAccepted)
      assert.deepStrictEqual(theirs.answers, [["/api/v1/validate", 200]])
    }).pipe(Effect.provide(layerIntake({ apiKey: Redacted.make(key) }))))
})

const nothing = { series: [], distributions: [], events: [] }

/** Checks that both clients read the same status and reason from the refusal. */
const assertAlike = (refused: Refused, error: WireError, status: number, reason: RegExp) => {
  assert.deepStrictEqual([refused.code, error.status], [status, status])
  assert.instanceOf(refused.body, v1.APIErrorResponse)
  const { errors } = refused.body
  assert.strictEqual(errors.length, 1)
  assert.match(errors[0]!, reason)
  assert.isTrue(error.description.startsWith(errors[0]!), error.description)
}

const assertRefused = (path: string, status: number) =>
  Effect.map(takeAccepted, ({ accepted, answers }) => {
    assert.deepStrictEqual(accepted, nothing)
    assert.deepStrictEqual(answers, [[path, status], [path, status]])
  })

describe("HttpReporter and Datadog's own client when the intake refuses", () => {
  it.effect("read 403 when the key is wrong", () =>
    Effect.gen(function*() {
      const { authentication, events, metrics } = yield* vendor("wrong")
      const reporter = yield* ours({ apiKey: "wrong" })
      const compare = (
        path: string,
        send: () => Promise<unknown>,
        own: Effect.Effect<unknown, WireError>
      ) =>
        Effect.gen(function*() {
          assertAlike(yield* refusal(send), yield* Effect.flip(own), 403, /^Forbidden$/)
          yield* assertRefused(path, 403)
        })
      yield* compare(
        "/api/v1/series",
        () => metrics.submitMetrics({ body: vendorSeries(series) }),
        reporter.flushMetrics(series)
      )
      yield* compare(
        "/api/v1/distribution_points",
        () => metrics.submitDistributionPoints({ body: vendorDistributions(distributions) }),
        reporter.flushDistributions(distributions)
      )

      // Datadog's client does not expect 403 here, and returns the answer as text.
      const refused = yield* refusal(() => events.createEvent({ body: vendorEvent() }))
      const error = yield* Effect.flip(reporter.flushEvents([event]))
      assert.deepStrictEqual([refused.code, error.status], [403, 403])
      assert.include(String(refused.body), "{\"errors\":[\"Forbidden\"]}")
      yield* assertRefused("/api/v1/events", 403)

      assert.strictEqual((yield* refusal(() => authentication.validate())).code, 403)
      yield* reporter.warm
      yield* assertRefused("/api/v1/validate", 403)
    }).pipe(Effect.provide(layerIntake({ apiKey: Redacted.make(key) }))))

  it.effect("read 403 when Datadog's client sends no key; the reporter fails to build without one", () =>
    Effect.gen(function*() {
      const { authentication, metrics } = yield* vendor("")
      for (
        const send of [
          () => metrics.submitMetrics({ body: vendorSeries(series) }),
          () => metrics.submitDistributionPoints({ body: vendorDistributions(distributions) }),
          () => authentication.validate()
        ]
      ) {
        const { body, code } = yield* refusal(send)
        assert.strictEqual(code, 403)
        assert.instanceOf(body, v1.APIErrorResponse)
        assert.deepStrictEqual(body.errors, ["API key required"])
      }
      assert.deepStrictEqual((yield* takeAccepted).accepted, nothing)
      assert.strictEqual((yield* Effect.flip(ours({ apiKey: "" })))._op, "InvalidData")
    }).pipe(Effect.provide(layerIntake())))

  it.effect("read 400 when the type of a series is invalid", () =>
    Effect.gen(function*() {
      const { metrics } = yield* vendor()
      const wrong = series.slice(0, 1).map((item) => ({ ...item, type: "histogram" as "gauge" }))
      const refused = yield* refusal(() => metrics.submitMetrics({ body: vendorSeries(wrong) }))
      const error = yield* Effect.flatMap(ours(), (reporter) => Effect.flip(reporter.flushMetrics(wrong)))
      assertAlike(refused, error, 400, /series\.0\.type/)
      assert.deepStrictEqual(error.refused, wrong)
      yield* assertRefused("/api/v1/series", 400)
    }).pipe(Effect.provide(layerIntake())))

  it.effect("read 400 when a point or a value of a distribution is not a number", () =>
    Effect.gen(function*() {
      const { metrics } = yield* vendor()
      const reporter = yield* ours()
      const gauge: Series.Series = { ...series[0]!, points: [[at, Number.NaN]] }
      const refused = yield* refusal(() => metrics.submitMetrics({ body: vendorSeries([gauge]) }))
      assertAlike(refused, yield* Effect.flip(reporter.flushMetrics([gauge])), 400, /series\.0\.points/)
      yield* assertRefused("/api/v1/series", 400)

      const distribution: Series.DistributionSeries = { ...distributions[0]!, points: [[at, [1, Infinity]]] }
      const body = vendorDistributions([distribution])
      const also = yield* refusal(() => metrics.submitDistributionPoints({ body }))
      assertAlike(also, yield* Effect.flip(reporter.flushDistributions([distribution])), 400, /series\.0\.points/)
      yield* assertRefused("/api/v1/distribution_points", 400)
    }).pipe(Effect.provide(layerIntake())))

  it.effect("read 400 when the text of an event is too long", () =>
    Effect.gen(function*() {
      const text = "x".repeat(4001)
      const { events } = yield* vendor()
      const refused = yield* refusal(() => events.createEvent({ body: vendorEvent(text) }))
      const error = yield* Effect.flatMap(ours(), (reporter) => Effect.flip(reporter.flushEvents([{ ...event, text }])))
      assert.deepStrictEqual([refused.code, error.status], [400, 400])
      assert.instanceOf(refused.body, v1.APIErrorResponse)
      assert.match(refused.body.errors.join(), /text/)
      yield* assertRefused("/api/v1/events", 400)
    }).pipe(Effect.provide(layerIntake())))

  it.effect("read 413 when the body exceeds the limit", () =>
    Effect.gen(function*() {
      const one = series.slice(0, 1)
      const { metrics } = yield* vendor()
      const refused = yield* refusal(() => metrics.submitMetrics({ body: vendorSeries(one) }))
      const error = yield* Effect.flatMap(ours({ compress: false }), (reporter) =>
        Effect.flip(reporter.flushMetrics(one)))
      assertAlike(refused, error, 413, /too large: over 64 bytes/)
      yield* assertRefused("/api/v1/series", 413)
    }).pipe(Effect.provide(layerIntake({ maxBodyBytes: 64 }))))
})
