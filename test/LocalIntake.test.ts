import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { assert, describe, it } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as ConfigError from "effect/ConfigError"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { untyped } from "./support/clientAssertions.js"
import { type Handler, layerInProcess } from "./support/intake.js"
import { assertNothingAccepted, fault, gauge, payloads, postEvent, postSeries, send } from "./support/intakeClient.js"
import { distributions, metrics } from "./support/reporterContract.js"

const now = 1_700_000_020_000

const validate = send("GET", "/api/v1/validate")
const postMetrics = send("POST", "/api/v1/series", { body: { series: metrics } })

describe("LocalIntake.script", () => {
  it.effect("answers one request with each scripted response, and later requests as usual", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* intake.script([
        HttpServerResponse.empty({ status: 503 }),
        "usual",
        HttpServerResponse.text("slow down", { status: 429, headers: { "retry-after": "7" } })
      ])
      const replies = yield* Effect.replicateEffect(postMetrics, 4)
      assert.deepStrictEqual(replies.map(({ status }) => status), [503, 202, 429, 202])
      assert.strictEqual(replies[2]!.text, "slow down")
      assert.strictEqual(replies[2]!.headers["retry-after"], "7")
      assert.strictEqual((yield* intake.series).length, 2 * metrics.length)
      const requests = yield* intake.requests
      assert.deepStrictEqual(requests.map(({ status }) => status), [503, 202, 429, 202])
      assert.deepStrictEqual(requests[0]?.body, JSON.parse(JSON.stringify({ series: metrics })))
    }).pipe(Effect.provide(layerInProcess())))

  it.effect("uses the script of a path before the script of all paths", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* intake.script([HttpServerResponse.empty({ status: 500 })])
      yield* intake.script([HttpServerResponse.empty({ status: 503 })], "/api/v1/series")
      assert.strictEqual((yield* postMetrics).status, 503)
      assert.strictEqual((yield* postMetrics).status, 500)
      yield* intake.script([HttpServerResponse.empty({ status: 503 })], "/api/v1/series")
      assert.strictEqual((yield* validate).status, 200)
      assert.strictEqual((yield* postMetrics).status, 503)
    }).pipe(Effect.provide(layerInProcess())))

  it.effect("keeps a request pending while its scripted answer is pending, and answers 503 when the intake closes", () =>
    Effect.gen(function*() {
      const arrived = yield* Deferred.make<void>()
      const pending = yield* Effect.gen(function*() {
        const intake = yield* LocalIntake.LocalIntake
        yield* intake.script([Effect.zipRight(Deferred.succeed(arrived, undefined), Effect.never)])
        const fiber = yield* Effect.forkDaemon(postMetrics)
        yield* Deferred.await(arrived)
        assert.strictEqual((yield* intake.requests)[0]?.status, undefined)
        assert.strictEqual((yield* validate).status, 200)
        return fiber
      }).pipe(Effect.provide(layerInProcess()))
      assert.strictEqual((yield* Fiber.join(pending)).status, 503)
    }))
})

describe("LocalIntake.summary", () => {
  it.effect("counts requests, refusals, bytes, series, points, values and events until they are cleared", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* TestClock.setTime(now)
      for (const [path, body] of payloads) yield* send("POST", path, { body })
      yield* send("POST", "/api/v1/series", { body: {} })
      const { bytes, ...summary } = yield* intake.summary
      assert.deepStrictEqual(summary, {
        requests: 4,
        accepted: 3,
        refused: 1,
        faulted: 0,
        series: metrics.length,
        points: 4,
        distributions: distributions.length,
        values: 5,
        events: 1
      })
      assert.strictEqual(
        bytes,
        payloads.reduce((total, [, body]) => total + Buffer.byteLength(JSON.stringify(body)), 2)
      )
      yield* intake.clear
      assert.strictEqual((yield* intake.summary).requests, 0)
      assert.deepStrictEqual(yield* intake.requests, [])
      yield* assertNothingAccepted(intake)
    }).pipe(Effect.provide(layerInProcess())))

  it.effect("counts a request as accepted, refused or faulted, and an empty payload or a key check as neither", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const countAfter = (reply: Effect.Effect<unknown, never, Handler>) =>
        Effect.zipRight(
          reply,
          Effect.map(intake.summary, ({ accepted, faulted, refused }) => [accepted, refused, faulted])
        )
      assert.deepStrictEqual(yield* countAfter(validate), [0, 0, 0])
      assert.deepStrictEqual(yield* countAfter(postSeries()), [0, 0, 0])
      assert.deepStrictEqual(yield* countAfter(postSeries(gauge("9", 0, 1))), [0, 0, 0])
      yield* TestClock.setTime(now)
      assert.deepStrictEqual(yield* countAfter(postSeries(gauge("a", 0, 1))), [0, 0, 0])
      assert.deepStrictEqual(yield* countAfter(postSeries(gauge("a", now / 1000, 1))), [1, 0, 0])
      assert.deepStrictEqual(yield* countAfter(send("GET", "/api/v1/validate", { key: null })), [1, 1, 0])
      yield* intake.script(["usual", HttpServerResponse.empty({ status: 503 })])
      assert.deepStrictEqual(yield* countAfter(validate), [1, 1, 0])
      assert.deepStrictEqual(yield* countAfter(postMetrics), [1, 1, 1])
      assert.deepStrictEqual(yield* countAfter(postEvent({ title: "t", text: "" })), [1, 1, 2])
    }).pipe(Effect.provide(layerInProcess({ faults: [fault("status=503 path=/api/v1/events")] }))))
})

describe("LocalIntake.series and requests", () => {
  it.effect("returns lists that later requests and clear do not change", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* postMetrics
      const series = yield* intake.series
      const requests = yield* intake.requests
      yield* validate
      yield* postMetrics
      assert.strictEqual(requests.length, 1)
      assert.strictEqual(series.length, metrics.length)
      yield* intake.clear
      assert.strictEqual(requests.length, 1)
      assert.strictEqual(series.length, metrics.length)
    }).pipe(Effect.provide(layerInProcess())))
})

/** Checks that building a layer fails with a `ConfigError` that names the option. */
const assertNames = <A>(name: string, layer: Layer.Layer<A, unknown>) =>
  Effect.map(Effect.flip(Effect.scoped(Layer.build(layer))), (error) => {
    assert.isTrue(ConfigError.isConfigError(error))
    assert.match(
      String(error),
      new RegExp(`Invalid data at ${name}: "(?:expected|there is no option of this name\\. Use) `)
    )
    assert.notInclude(String(error), "s3cret")
  })

describe("LocalIntake.layer options", () => {
  const invalid: ReadonlyArray<readonly [name: string, options: unknown]> = [
    ["maxBodyByte", { maxBodyByte: 1 }],
    ["options", "strict"],
    ["apiKey", { apiKey: "s3cret" }],
    ["apiKey", { apiKey: Redacted.make("") }],
    ["maxBodyBytes", { maxBodyBytes: -1 }],
    ["maxBodyBytes", { maxBodyBytes: 1.5 }],
    ["maxUnpackedBytes", { maxUnpackedBytes: "1 MB" }],
    ["strict", { strict: "yes" }],
    ["faults", { faults: ["status=503"] }],
    ["faults", { faults: [LocalIntake.parseFault("status=503")] }],
    ["hosts", { hosts: "intake" }],
    ["limits", { limits: 5000 }],
    ["request", { limits: { request: 1 } }],
    ["requests", { limits: { requests: Number.NaN } }]
  ]
  for (const [name, options] of invalid) {
    it.effect(`fail the layer with an error that names ${name} when they are ${JSON.stringify(options)}`, () =>
      assertNames(name, layerInProcess(untyped(options))))
  }

  it.effect("are all valid within their types", () =>
    Effect.asVoid(LocalIntake.LocalIntake).pipe(Effect.provide(layerInProcess({
      apiKey: Redacted.make("two words"),
      maxBodyBytes: 1,
      maxUnpackedBytes: Infinity,
      strict: false,
      faults: [fault("hang")],
      hosts: [],
      limits: { requests: 0, bytes: Infinity }
    }))))
})

describe("LocalIntake.layerDatagrams options", () => {
  for (const [name, value] of [["port", 65_536], ["port", "8125"], ["host", null], ["prt", 0]] as const) {
    it.effect(`fail the layer with an error that names ${name} when it is ${value}`, () =>
      assertNames(name, LocalIntake.layerDatagrams(untyped({ [name]: value }))))
  }
})

describe("LocalIntake.layer", () => {
  it.effect("builds intakes that share nothing", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* Effect.gen(function*() {
        const other = yield* LocalIntake.LocalIntake
        yield* postMetrics
        assert.strictEqual((yield* other.series).length, metrics.length)
      }).pipe(Effect.provide(layerInProcess()))
      yield* assertNothingAccepted(intake)
      assert.deepStrictEqual(yield* intake.requests, [])
    }).pipe(Effect.provide(layerInProcess())))
})
