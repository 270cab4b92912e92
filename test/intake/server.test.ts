import * as HttpApiClient from "@effect/platform/HttpApiClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { assert, describe } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { deflateSync } from "node:zlib"
import * as Feed from "../support/feed.js"
import { layerInProcess } from "../support/intake.js"
import { assertRefused, codesOf, payloads, send } from "../support/intakeClient.js"
import { apiKey, sweepKeys } from "../support/keySweep.js"
import { distributions, events, metrics } from "../support/reporterContract.js"
import { recordingTracer } from "../support/tracer.js"

const it = sweepKeys(apiKey)

const now = 1_700_000_020

/** An intake that accepts one API key. */
const layerWithKey = layerInProcess({ apiKey: Redacted.make(apiKey) })

describe("API key check", () => {
  it.effect("answers 403 when the key is absent, empty or different", () =>
    Effect.gen(function*() {
      const requests = [
        ["GET", "/api/v1/validate", undefined],
        ...payloads.map(([path, body]) => ["POST", path, body] as const)
      ] as const
      for (const [method, path, body] of requests) {
        const sendWith = (key: string | null) => send(method, path, { body, key })
        assertRefused(yield* sendWith(null), 403, /API key required/)
        assertRefused(yield* sendWith(""), 403, /API key required/)
        assertRefused(yield* sendWith("another"), 403, /Forbidden/)
        assertRefused(yield* sendWith(`${apiKey} ${apiKey}`), 403, /Forbidden/)
        assert.isBelow((yield* sendWith(apiKey)).status, 300)
      }
    }).pipe(Effect.provide(layerWithKey)))

  it.effect("answers 403 to a series of version 2 when the key is absent or different", () =>
    Effect.gen(function*() {
      const body = { series: [] }
      assertRefused(yield* send("POST", "/api/v2/series", { body, key: null }), 403, /API key required/)
      assertRefused(yield* send("POST", "/api/v2/series", { body, key: "another" }), 403, /Forbidden/)
      assert.strictEqual((yield* send("POST", "/api/v2/series", { body, key: apiKey })).status, 202)
    }).pipe(Effect.provide(layerWithKey)))

  it.effect("accepts a key in the query with a warning, and records the path without the query", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const [path, body] = payloads[0]!
      assert.strictEqual((yield* send("POST", `${path}?api_key=${apiKey}`, { body, key: null })).status, 202)
      assertRefused(yield* send("POST", `${path}?api_key=another`, { body, key: null }), 403, /Forbidden/)
      assertRefused(yield* send("POST", `${path}?api_key=`, { body, key: null }), 403, /API key required/)
      assertRefused(yield* send("POST", `${path}?api_key=${apiKey}`, { body, key: "another" }), 403, /Forbidden/)
      const [request] = yield* intake.requests
      assert.strictEqual(request?.path, path)
      assert.include(codesOf(request?.verdicts ?? []), "warning KeyInQuery")
    }).pipe(Effect.provide(layerWithKey)))

  it.effect("accepts any key that is not empty by default", () =>
    Effect.gen(function*() {
      const reply = yield* send("GET", "/api/v1/validate", { key: "any" })
      assert.strictEqual(reply.status, 200)
      assert.deepStrictEqual(JSON.parse(reply.text), { valid: true })
    }).pipe(Effect.provide(layerInProcess())))
})

describe("LocalIntake.requests", () => {
  it.effect("records every request with its answer, and without secret headers", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* TestClock.setTime(now * 1000)
      const bytes = deflateSync(JSON.stringify({ series: metrics }))
      yield* send("POST", "/api/v1/series", {
        bytes,
        encoding: "deflate",
        key: apiKey,
        headers: { authorization: "Bearer s3cret" }
      })
      yield* send("POST", "/api/v1/series", { body: { series: 1 }, key: apiKey })
      yield* send("GET", "/api/v1/validate", { key: null })
      const [accepted, malformed, keyless, ...rest] = yield* intake.requests
      assert.deepStrictEqual(rest, [])
      assert.strictEqual(accepted?.receivedAt, now * 1000)
      assert.strictEqual(accepted?.status, 202)
      assert.strictEqual(accepted?.reason, undefined)
      assert.strictEqual(accepted?.bytes, bytes.byteLength)
      assert.strictEqual(accepted?.encoding, "deflate")
      assert.deepStrictEqual(accepted?.body, JSON.parse(JSON.stringify({ series: metrics })))
      assert.strictEqual(accepted?.headers["dd-api-key"], "<redacted>")
      assert.strictEqual(accepted?.headers["authorization"], "<redacted>")
      assert.strictEqual(malformed?.status, 400)
      assert.match(malformed?.reason ?? "", /expected format/)
      assert.strictEqual(malformed?.encoding, "identity")
      assert.deepStrictEqual(malformed?.body, { series: 1 })
      assert.strictEqual(keyless?.status, 403)
      assert.notProperty(keyless?.headers, "dd-api-key")
    }).pipe(Effect.provide(layerInProcess())))
})

describe("GET /", () => {
  it.effect("shows everything accepted and every request as JSON, without a key", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      for (const [path, body] of payloads) yield* send("POST", path, { body, key: apiKey })
      yield* send("POST", "/api/v1/series", { body: {}, key: `${apiKey}-wrong` })
      const reply = yield* send("GET", "/", { key: null })
      assert.strictEqual(reply.status, 200)
      assert.include(reply.headers["content-type"], "application/json")
      const view = JSON.parse(reply.text) as LocalIntake.IntakeView
      assert.deepStrictEqual(Object.keys(view), ["series", "distributions", "events", "requests"])
      assert.deepStrictEqual<unknown>(view.series, metrics)
      assert.deepStrictEqual<unknown>(view.distributions, distributions)
      assert.deepStrictEqual<unknown>(view.events, [events[0]])
      assert.deepStrictEqual(view.requests.map(({ status }) => status), [202, 202, 202, 403])
      assert.strictEqual((yield* intake.requests).length, 4)
    }).pipe(Effect.provide(layerWithKey)))

  it.effect("answers after a payload that is nested too deep, which is refused", () =>
    Effect.gen(function*() {
      const deep = (levels: number) => new TextEncoder().encode(`{"series":${"[".repeat(levels)}${"]".repeat(levels)}}`)
      const reply = yield* send("POST", "/api/v1/series", { bytes: deep(20_000), key: apiKey })
      assertRefused(reply, 400, /nested deeper than 64 levels/)
      assertRefused(yield* send("POST", "/api/v1/series", { bytes: deep(40), key: apiKey }), 400, /expected format/)
      const view = yield* send("GET", "/")
      assert.strictEqual(view.status, 200)
      assert.deepStrictEqual(JSON.parse(view.text).requests.map(({ status }: { readonly status: number }) => status), [
        400,
        400
      ])
    }).pipe(Effect.provide(layerWithKey)))

  it.effect("shows no key in the JSON view, the feed or the findings", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* send("GET", "/api/v1/validate", { key: apiKey })
      yield* send("GET", "/api/v1/validate", { key: `${apiKey}-wrong` })
      const reader = yield* Feed.openInProcess
      yield* reader.next("snapshot")
      const { text } = yield* send("GET", "/")
      assert.notInclude(reader.text() + text + JSON.stringify(yield* intake.findings), apiKey)
    }).pipe(Effect.scoped, Effect.provide(layerWithKey)))

  it.effect("answers with a page when the client prefers HTML, and with JSON otherwise", () =>
    Effect.gen(function*() {
      const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
      for (const accept of [browser, "text/html", "Text/HTML", "application/json;q=0.5, text/html;q=0.6"]) {
        assert.notInclude((yield* send("GET", "/", { headers: { accept } })).headers["content-type"], "json", accept)
      }
      const others = [
        "*/*",
        "application/json",
        "text/html, application/json",
        "text/html;q=0.1, */*",
        "text/plain",
        ""
      ]
      for (const accept of others) {
        assert.include((yield* send("GET", "/", { headers: { accept } })).headers["content-type"], "json", accept)
      }
    }).pipe(Effect.provide(layerInProcess())))
})

describe("GET /favicon.ico", () => {
  it.effect("answers 404 to a browser without a record or a finding", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const icon = yield* send("GET", "/favicon.ico", { headers: { "sec-fetch-site": "same-origin" }, key: null })
      assert.strictEqual(icon.status, 404)
      assert.deepStrictEqual(yield* intake.requests, [])
      assert.deepStrictEqual(yield* intake.findings, [])
      yield* send("GET", "/favicon.ico", { key: null })
      assert.deepStrictEqual(codesOf(yield* intake.findings), ["refused NotFound"])
    }).pipe(Effect.provide(layerInProcess())))
})

describe("unknown route", () => {
  it.effect("answers 404 with or without a key, and records the request", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const routes = [
        ["GET", "/api/v1/series", "k"],
        ["POST", "/api/v1/validate", null],
        ["POST", "/api/v2/events", null],
        ["PUT", "/", null]
      ] as const
      for (const [method, path, key] of routes) {
        const body = method === "GET" ? {} : { body: {} }
        assertRefused(yield* send(method, path, { ...body, key }), 404, /Not found/)
      }
      assert.deepStrictEqual(
        (yield* intake.requests).map(({ method, path }) => [method, path]),
        routes.map(([method, path]) => [method, path])
      )
    }).pipe(Effect.provide(layerInProcess())))
})

describe("LocalIntake.Api", () => {
  it.effect("derives a client for every route, with typed errors", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* TestClock.setTime(now * 1000)
      const client = yield* HttpApiClient.make(LocalIntake.Api, {
        baseUrl: intake.url,
        transformClient: HttpClient.mapRequest(HttpClientRequest.setHeader("dd-api-key", "k"))
      })
      assert.deepStrictEqual(yield* client.datadog.validate(), { valid: true })
      const series = [{ metric: "a", type: "gauge" as const, points: [[now, 1] as const] }]
      assert.deepStrictEqual(yield* client.datadog.series({ payload: { series } }), { status: "ok" })
      const v2 = [{ metric: "b", type: 1 as const, points: [{ timestamp: now, value: 2 }] }]
      assert.deepStrictEqual(yield* client.datadog.seriesV2({ payload: { series: v2 } }), { errors: [] })
      const distributions = [{ metric: "c", points: [[now, [1, 2]] as const] }]
      yield* client.datadog.distributionPoints({ payload: { series: distributions } })
      const { event } = yield* client.datadog.event({ payload: { title: "t", text: "x" } })
      assert.strictEqual(event.title, "t")
      const view = yield* client.view()
      assert.deepStrictEqual(view.series.map(({ metric }) => metric), ["a", "b"])
      assert.deepStrictEqual(view.distributions, distributions)
      assert.deepStrictEqual(view.requests.map(({ status }) => status), [200, 202, 202, 202, 202])
      yield* client.clear()
      assert.deepStrictEqual((yield* client.view()).series, [])
      const refused = yield* Effect.flip(client.datadog.event({ payload: { title: "t", text: "x", date_happened: 1 } }))
      assert.deepStrictEqual(refused, { errors: ["Event too far in the past"] })
      const keyless = yield* HttpApiClient.make(LocalIntake.Api, { baseUrl: intake.url })
      assert.deepStrictEqual(yield* Effect.flip(keyless.datadog.validate()), { errors: ["API key required"] })
    }).pipe(Effect.provide(layerInProcess())))
})

describe("GET /openapi.json and GET /docs", () => {
  it.effect("documents every route, and loads nothing from another server", () =>
    Effect.gen(function*() {
      const document = JSON.parse((yield* send("GET", "/openapi.json")).text)
      assert.deepStrictEqual(Object.keys(document.paths).sort(), [
        "/",
        "/api/v1/check_run",
        "/api/v1/distribution_points",
        "/api/v1/events",
        "/api/v1/series",
        "/api/v1/validate",
        "/api/v2/series",
        "/clear",
        "/feed",
        "/requests/{id}"
      ])
      assert.deepStrictEqual(document.components.securitySchemes.apiKey, {
        type: "apiKey",
        name: "dd-api-key",
        in: "header"
      })
      const docs = yield* send("GET", "/docs")
      assert.include(docs.headers["content-type"], "text/html")
      assert.include(docs.text, "/api/v1/distribution_points")
      assert.notMatch(docs.text, /<script|<(?:link|img|iframe)[^>]*\s(?:src|href)=/)
      assert.isBelow(docs.text.length, 200_000)
    }).pipe(Effect.provide(layerInProcess())))
})

describe("tracing", () => {
  it.effect("creates no spans for requests of a traced program", () =>
    Effect.gen(function*() {
      const { spans, tracer } = yield* recordingTracer
      yield* send("GET", "/api/v1/validate").pipe(Effect.provide(layerInProcess()), Effect.withTracer(tracer))
      assert.deepStrictEqual(spans.map(({ name }) => name), [])
    }))
})
