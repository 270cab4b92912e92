import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { assert, describe } from "@effect/vitest"
import type { Event } from "effect-threadstats/Event"
import * as HttpReporter from "effect-threadstats/HttpReporter"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Reporter from "effect-threadstats/Reporter"
import * as ThreadStatsConfig from "effect-threadstats/ThreadStatsConfig"
import * as Cause from "effect/Cause"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { readFileSync } from "node:fs"
import { bodyOf, failWith, respond, scriptReporter, settings } from "./http/fakeClient.js"
import { layerInProcess } from "./support/intake.js"
import { apiKey, assertHidden, sweepKeys } from "./support/keySweep.js"
import { layerHttpReporterWith } from "./support/layers.js"
import { metrics, reporterContract } from "./support/reporterContract.js"
import { renderings } from "./support/secrets.js"
import { WireReporter } from "./support/wireReporter.js"

const it = sweepKeys(apiKey)

for (const version of ["v1", "v2"] as const) {
  describe(`HttpReporter with series ${version}`, () => {
    const arrived = Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const other = version === "v1" ? "/api/v2/series" : "/api/v1/series"
      assert.notInclude((yield* intake.requests).map(({ path }) => path), other)
      return {
        metrics: yield* intake.series,
        distributions: yield* intake.distributions,
        events: yield* intake.events
      }
    })

    const layerReporter = Layer.effect(
      Reporter.Reporter,
      Effect.flatMap(LocalIntake.LocalIntake, ({ url }) => HttpReporter.make(settings(url, { seriesVersion: version })))
    )

    reporterContract(Layer.provideMerge(layerReporter, layerInProcess()), { arrived })
  })
}

describe("HttpReporter requests", () => {
  it.effect("sends the key in one header and nowhere else", () =>
    Effect.gen(function*() {
      const { reporter, requests } = yield* scriptReporter(respond(202))
      yield* reporter.flushMetrics(metrics)
      const [request] = requests
      assert.strictEqual(request!.headers["dd-api-key"], apiKey)
      assert.strictEqual(request!.url, "https://api.datadoghq.example/api/v1/series")
      assert.deepStrictEqual(request!.urlParams, [])
      assert.notInclude(JSON.stringify(bodyOf(request)), apiKey)
    }))

  it.effect("keeps the path of apiUrl", () =>
    Effect.gen(function*() {
      const { reporter, requests } = yield* scriptReporter(respond(202), { apiUrl: "http://localhost:8428/datadog" })
      yield* reporter.flushMetrics(metrics)
      assert.strictEqual(requests[0]!.url, "http://localhost:8428/datadog/api/v1/series")
    }))
})

describe("flushEvents", () => {
  const many = Array.from({ length: 9 }, (_, index): Event => ({ title: `event ${index}`, text: "", tags: [] }))

  it.effect("sends events in order, four at a time", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      let highest = 0
      let current = 0
      const full = yield* Deferred.make<void>()
      const { reporter, requests } = yield* scriptReporter(() =>
        Effect.gen(function*() {
          current++
          highest = Math.max(highest, current)
          if (current === 4) yield* Deferred.succeed(full, undefined)
          yield* Deferred.await(gate)
          current--
          return new Response("{}", { status: 202 })
        })
      )
      const fiber = yield* Effect.fork(reporter.flushEvents(many))
      yield* Deferred.await(full)
      yield* Effect.yieldNow()
      assert.strictEqual(requests.length, 4)
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* Fiber.join(fiber)).items, many.length)
      assert.strictEqual(highest, 4)
      assert.deepStrictEqual(requests.map(bodyOf), [...many])
    }))

  it.effect("names refused and undelivered events in its error when some of them fail", () =>
    Effect.gen(function*() {
      const { reporter, requests } = yield* scriptReporter((request) => {
        const { title } = bodyOf(request) as Event
        return title === "event 2"
          ? respond(400, `{"errors":["bad"]}`)()
          : title === "event 5"
          ? respond(503)()
          : title === "event 7"
          ? failWith(new Error("socket hang up"))
          : respond(202)()
      })
      const error = yield* Effect.flip(reporter.flushEvents(many))
      assert.strictEqual(requests.length, many.length)
      assert.strictEqual(error.reason, "Rejected")
      assert.strictEqual(error.status, 400)
      assert.strictEqual(error.description, "bad (and 2 more)")
      assert.deepStrictEqual(error.refused, many.slice(2, 3))
      assert.deepStrictEqual(error.undelivered, [...many.slice(5, 6), ...many.slice(7, 8)])
      assert.strictEqual(error.receipt.items, 6)
      assert.strictEqual(error.receipt.payloads, 6)
    }))
})

describe("warm", () => {
  it.effect("requests the validation of the key and ignores the answer", () =>
    Effect.gen(function*() {
      for (
        const answer of [
          respond(200, `{"valid":true}`),
          respond(403),
          respond(500),
          () => failWith(new Error("no route")),
          () => Effect.die(new Error("defect"))
        ]
      ) {
        const { reporter, requests } = yield* scriptReporter(answer)
        assert.deepStrictEqual(yield* Effect.exit(reporter.warm), Exit.void)
        assert.strictEqual(requests.length, 1)
        assert.strictEqual(requests[0]!.method, "GET")
        assert.strictEqual(requests[0]!.url, "https://api.datadoghq.example/api/v1/validate")
        assert.strictEqual(requests[0]!.headers["dd-api-key"], apiKey)
      }
    }))
})

describe("HttpReporter with the API key", () => {
  it.effect("hides the key in renderings of the reporter and its layer", () =>
    Effect.gen(function*() {
      const reporter = yield* HttpReporter.make(settings("https://api.datadoghq.example"))
      assertHidden(renderings(reporter), [apiKey])
      assertHidden(renderings(layerHttpReporterWith({ apiKey: Redacted.make(apiKey) })), [apiKey])
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.effect("fails to build, and names both variables, when the key is missing", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Effect.provide(Reporter.Reporter, layerHttpReporterWith()))
      assert.isTrue(Exit.isFailure(exit))
      if (Exit.isFailure(exit)) {
        const error = Option.getOrThrow(Cause.failureOption(exit.cause))
        assert.strictEqual(error._op, "MissingData")
        assert.include(String(error), "DATADOG_API_KEY")
        assert.include(String(error), "DD_API_KEY")
      }
    }).pipe(
      Effect.provide(FetchHttpClient.layer),
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map()))
    ))
})

describe("HttpReporter.variables", () => {
  const page = readFileSync(new URL("../docs/settings.md", import.meta.url), "utf8")
  const build = (apiUrl: string, variables: Record<string, string>) =>
    Effect.exit(Effect.scoped(HttpReporter.makeNode(settings(apiUrl)))).pipe(
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables))))
    )

  for (const { description, name } of HttpReporter.variables) {
    it.effect(`describes ${name}, which HttpReporter.makeNode reads`, () =>
      Effect.gen(function*() {
        assert.isNotEmpty(description)
        assert.include(page, `\`${name}\``)
        const apiUrl = /HTTPS/i.test(name) ? "https://api.datadoghq.example" : "http://api.datadoghq.example"
        // An invalid proxy fails the build, unless the API is excluded.
        const variables = /no_proxy/i.test(name)
          ? { HTTP_PROXY: "ftp://proxy", [name]: "*" }
          : { [name]: "ftp://proxy" }
        assert.strictEqual(Exit.isSuccess(yield* build(apiUrl, variables)), /no_proxy/i.test(name))
      }))
  }
})

describe("HttpReporter layers", () => {
  const requestsOf = Effect.fnUntraced(function*<E>(layer: Layer.Layer<Reporter.Reporter, E, HttpClient.HttpClient>) {
    const requests: Array<HttpClientRequest.HttpClientRequest> = []
    const client = HttpClient.make((request) =>
      Effect.sync(() => {
        requests.push(request)
        return HttpClientResponse.fromWeb(request, new Response("{}", { status: 202 }))
      })
    )
    const flush = Effect.flatMap(
      WireReporter,
      (reporter) => Effect.zipRight(reporter.warm, reporter.flushMetrics(metrics))
    )
    const receipt = yield* Effect.provide(flush, Layer.provide(layer, Layer.succeed(HttpClient.HttpClient, client)))
    assert.strictEqual(receipt.items, metrics.length)
    return requests.map(({ headers, url }) => ({ url, key: headers["dd-api-key"] }))
  })

  const environment = Effect.withConfigProvider(ConfigProvider.fromMap(
    new Map([["DD_API_KEY", "from-environment"], ["DD_SITE", "datadoghq.eu"]])
  ))

  it.effect("reads the settings from the environment", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* requestsOf(layerHttpReporterWith()), [
        { url: "https://api.datadoghq.eu/api/v1/validate", key: "from-environment" },
        { url: "https://api.datadoghq.eu/api/v1/series", key: "from-environment" }
      ])
    }).pipe(environment))

  it.effect("prefers options to the environment", () =>
    Effect.gen(function*() {
      const layer = layerHttpReporterWith({ apiKey: Redacted.make("from-options"), apiUrl: "http://127.0.0.1:1/" })
      assert.deepStrictEqual(yield* requestsOf(layer), [
        { url: "http://127.0.0.1:1/api/v1/validate", key: "from-options" },
        { url: "http://127.0.0.1:1/api/v1/series", key: "from-options" }
      ])
    }).pipe(environment))

  it.effect("accepts resolved settings", () =>
    Effect.gen(function*() {
      const settings = yield* ThreadStatsConfig.make()
      const layer = Layer.effect(Reporter.Reporter, HttpReporter.make(settings))
      assert.strictEqual((yield* requestsOf(layer))[1]!.key, "from-environment")
    }).pipe(environment))

  it.effect("needs no key and sends nothing when the client is disabled", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* requestsOf(layerHttpReporterWith({ disabled: true })), [])
    }).pipe(Effect.withConfigProvider(ConfigProvider.fromMap(new Map()))))
})
