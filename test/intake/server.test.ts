import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpApiClient from "@effect/platform/HttpApiClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { assert, describe, it } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as TestClock from "effect/TestClock"
import { request } from "node:http"
import { connect } from "node:net"
import { deflateSync } from "node:zlib"
import { gamma } from "../../src/internal/intakeFeed.js"
import wire from "../fixtures/wire.json" with { type: "json" }
import { eventually } from "../support/dogstatsd.js"
import * as Feed from "../support/feed.js"
import { layerIntake } from "../support/intake.js"

const now = 1_700_000_020

interface Reply {
  readonly status: number
  readonly headers: Record<string, string | Array<string> | undefined>
  readonly text: string
}

/** Not `fetch`, which lets nobody say who they are. */
const ask = (
  method: string,
  path: string,
  options: { readonly headers?: Record<string, string>; readonly body?: unknown } = {}
) =>
  Effect.flatMap(LocalIntake.LocalIntake, ({ url }) =>
    Effect.async<Reply, Error>((resume) => {
      const sent = request(url + path, { method, headers: options.headers ?? {} }, (response) => {
        const chunks: Array<Buffer> = []
        response.on("data", (chunk) => chunks.push(chunk))
        response.on("error", (error) => resume(Effect.fail(error)))
        response.on("end", () =>
          resume(Effect.succeed({
            status: response.statusCode!,
            headers: response.headers,
            text: Buffer.concat(chunks).toString()
          })))
      })
      sent.on("error", (error) => resume(Effect.fail(error)))
      sent.end(options.body === undefined ? undefined : JSON.stringify(options.body))
      return Effect.sync(() => sent.destroy())
    }))

const post = (path: string, body: unknown) => ask("POST", path, { body, headers: { "dd-api-key": "k" } })

const postSeries = (...series: ReadonlyArray<object>) => post("/api/v1/series", { series })

const gauge = (metric: string, at: number, value: number, more: object = {}) => ({
  metric,
  type: "gauge",
  points: [[at, value]],
  ...more
})

const findings = Effect.flatMap(LocalIntake.LocalIntake, ({ findings }) => findings)

const codesOf = (found: ReadonlyArray<LocalIntake.Verdict>) => found.map(({ code, outcome }) => `${outcome} ${code}`)

const seconds = Effect.clockWith((clock) => Effect.map(clock.currentTimeMillis, (millis) => Math.floor(millis / 1000)))

describe("verdicts", () => {
  it.effect("say of a request what Datadog would do with it", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* TestClock.setTime(now * 1000)
      yield* postSeries(
        gauge("shop queue", now, 1, { tags: ["Env:Prod"] }),
        gauge("old", now - 4000, 1),
        gauge("fine", now, 1)
      )
      yield* postSeries({ metric: "bad", points: "none" })
      yield* post("/api/v1/distribution_points", { series: [{ metric: "fine", points: [[now, [1, 2]]] }] })
      yield* ask("GET", "/api/v1/validate")
      yield* post("/api/v1/events", { title: "t", text: "", date_happened: now - 100_000 })
      const requests = yield* intake.requests
      assert.deepStrictEqual(requests.map(({ verdicts }) => codesOf(verdicts)), [
        ["accepted Accepted", "rewritten NameRewritten", "rewritten TagRewritten", "dropped TooOld"],
        ["refused WrongForm"],
        ["accepted Accepted", "warning KindConflict"],
        ["refused NoKey"],
        ["refused TooOld"]
      ])
      assert.deepStrictEqual(requests[0]?.verdicts[0]?.message, "3 series with 2 points")
      assert.deepStrictEqual(
        (yield* findings).map(({ code, count, metric }) => [code, metric, count]),
        [
          ["NameRewritten", "shop queue", 1],
          ["TagRewritten", "shop queue", 1],
          ["TooOld", "old", 1],
          ["WrongForm", null, 1],
          ["KindConflict", "fine", 1],
          ["NoKey", null, 1],
          ["TooOld", null, 1]
        ]
      )
      yield* intake.clear
      assert.deepStrictEqual(yield* findings, [])
    }).pipe(Effect.provide(layerIntake())))

  it.effect("notice what is overwritten, by whichever form and way of writing the same series", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now * 1000)
      yield* postSeries(gauge("m", now, 1, { tags: ["a:b", "C"] }))
      yield* postSeries(gauge("m", now, 1, { tags: ["c", "a:b"] }))
      assert.deepStrictEqual(codesOf(yield* findings), ["rewritten TagRewritten"])
      yield* post("/api/v2/series", {
        series: [{
          metric: "m",
          type: 3,
          points: [{ timestamp: now, value: 7 }, { timestamp: now - 1, value: 0 }],
          tags: ["a:b", "c"]
        }]
      })
      yield* postSeries(
        gauge("m", now, 8, { host: "h", tags: ["a:b", "c"] }),
        gauge("m", now + 1, 8, { tags: ["a:b", "c"] })
      )
      const found = (yield* findings).filter(({ code }) => code === "Overwritten")
      assert.deepStrictEqual(found.map(({ count, message, outcome }) => ({ count, message, outcome })), [{
        count: 1,
        outcome: "overwritten",
        message: "\"m\" had a value for 2023-11-14T22:13:40.000Z, which is lost: 7 for 1"
      }])
    }).pipe(Effect.provide(layerIntake())))

  it.effect("notice a metric that grows fast, and the tag that makes it", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now * 1000)
      const users = (from: number, count: number) =>
        Array.from({ length: count }, (_, i) => gauge("users", now, 1, { tags: [`user:${from + i}`, "env:a"] }))
      yield* postSeries(...users(0, 99))
      yield* TestClock.adjust("61 seconds")
      yield* postSeries(...users(1000, 99))
      assert.deepStrictEqual(yield* findings, [])
      yield* postSeries(...users(1050, 50))
      const [found, ...rest] = yield* findings
      assert.deepStrictEqual(rest, [])
      assert.deepInclude(found, { outcome: "warning", code: "CardinalityGrows", metric: "users", count: 1 })
      assert.match(found!.message, /100 new series within a minute; the tag "user" has 199 values/)
    }).pipe(Effect.provide(layerIntake())))

  it.effect("of the requests of datadogpy: none but that they are taken", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* TestClock.setTime(now * 1000)
      for (const { body, headers, method, path } of [...wire.plain, ...wire.compressed]) {
        const text = JSON.stringify(body)
        const packed = "content-encoding" in headers ? deflateSync(text) : text
        const { url } = intake
        const response = yield* Effect.promise(() => fetch(url + path, { method, headers, body: packed }))
        assert.strictEqual(response.status, 202)
      }
      assert.deepStrictEqual(yield* findings, [])
      for (const { verdicts } of yield* intake.requests) {
        assert.deepStrictEqual(codesOf(verdicts), ["accepted Accepted"])
      }
      // two hours later they are too old, as far as they are dated
      yield* TestClock.adjust("2 hours")
      for (const { body, path } of wire.plain) yield* post(path, body)
      assert.deepStrictEqual(new Set(codesOf(yield* findings)), new Set(["dropped TooOld"]))
    }).pipe(Effect.provide(layerIntake())))
})

describe("strict", () => {
  it.effect("refuses what Datadog would drop in silence, and nothing else", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* TestClock.setTime(now * 1000)
      const fine = gauge("fine", now, 1)
      const refused = yield* postSeries(fine, gauge("old", 1, 1), gauge("9", now, 1))
      assert.strictEqual(refused.status, 400)
      assert.match(refused.text, /^\{"errors":\["Datadog would drop a part of this: TooOld: 1 of 1 .*; NameStart: /)
      const others = [
        yield* post("/api/v1/distribution_points", { series: [{ metric: "d", points: [[now + 1000, [1]]] }] }),
        yield* post("/api/v2/series", { series: [{ metric: "old", type: 3, points: [{ timestamp: 1, value: 1 }] }] }),
        yield* post("/api/v1/events", { title: "t", text: "", date_happened: now + 10_000 })
      ]
      assert.deepStrictEqual(others.map(({ status }) => status), [400, 400, 400])
      assert.deepStrictEqual(yield* intake.series, [])
      assert.deepStrictEqual(yield* intake.distributions, [])
      assert.deepStrictEqual(yield* intake.events, [])
      // rewritten and overwritten is what Datadog keeps
      const taken = yield* postSeries(fine, gauge("fine", now, 2), gauge("not fine", now, 1))
      assert.strictEqual(taken.status, 202)
      assert.lengthOf(yield* intake.series, 3)
      assert.strictEqual((yield* intake.requests)[0]?.reason?.startsWith("Datadog would drop"), true)
    }).pipe(Effect.provide(layerIntake({ strict: true }))))
})

describe("faults", () => {
  const fault = (words: string) => Either.getOrThrowWith(LocalIntake.fault(words), (why) => new Error(why))
  const validate = ask("GET", "/api/v1/validate", { headers: { "dd-api-key": "k" } })

  it("are read, or said what is wrong with them", () => {
    for (
      const words of [
        "status=503",
        "status=503 rate=0.2",
        "delay=2s",
        "delay=100 status=500",
        " hang  path=/api/v1/series ",
        "reset rate=1",
        "rate-limit",
        "rate-limit=30 rate=.5"
      ]
    ) {
      assert.strictEqual(fault(words).text, words.trim())
    }
    for (
      const [words, why] of [
        ["", /does nothing|a fault is/],
        ["rate=0.2", /does nothing/],
        ["path=/a", /does nothing/],
        ["nonsense", /a fault is status=503/],
        ["status", /from 200 to 599/],
        ["status=99", /from 200 to 599/],
        ["status=5e2", /from 200 to 599/],
        ["status=503 hang", /does one thing/],
        ["status=503 status=500", /one status already/],
        ["hang=1", /stands alone/],
        ["delay=soon", /a delay is/],
        ["delay=-1s", /a delay is/],
        ["delay=1h", /a delay is/],
        ["status=503 rate=2", /from 0 to 1/],
        ["status=503 rate=x", /from 0 to 1/],
        ["status=503 path=api", /begins with \//],
        ["rate-limit=0", /seconds/]
      ] as const
    ) {
      assert.match(Either.getOrThrow(Either.flip(LocalIntake.fault(words))), why, words)
    }
  })

  it.effect("answer in place of Datadog, on the path they are for, and are seen", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      assert.strictEqual((yield* validate).status, 200)
      const answered = yield* postSeries(gauge("a", 0, 1))
      assert.strictEqual(answered.status, 503)
      const limited = yield* post("/api/v1/events", { title: "t", text: "" })
      assert.strictEqual(limited.status, 429)
      assert.deepInclude(limited.headers, {
        "x-ratelimit-limit": "1",
        "x-ratelimit-period": "7",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": "7"
      })
      assert.deepStrictEqual(yield* intake.series, [])
      assert.deepStrictEqual((yield* intake.requests).map(({ fault, status }) => [fault, status]), [
        [undefined, 200],
        ["status=503 path=/api/v1/series", 503],
        ["rate-limit=7 path=/api/v1/events", 429]
      ])
      yield* intake.script(["usual"])
      assert.strictEqual((yield* postSeries(gauge("a", 0, 1))).status, 202)
    }).pipe(
      Effect.provide(layerIntake({
        faults: [fault("status=503 path=/api/v1/series"), fault("rate-limit=7 path=/api/v1/events")]
      }))
    ))

  it.effect("happen as often as they should, the same ones for the same seed", () =>
    Effect.gen(function*() {
      const draw = (seed: number) =>
        Effect.replicateEffect(Effect.map(validate, ({ status }) => status), 40).pipe(
          Effect.provide(layerIntake({ faults: [fault("status=500 rate=0.3")] })),
          Effect.withRandom(Random.make(seed))
        )
      const statuses = yield* draw(1)
      assert.deepStrictEqual(yield* draw(1), statuses)
      assert.notDeepEqual(yield* draw(2), statuses)
      const failed = statuses.filter((status) => status === 500).length
      assert.isTrue(failed > 4 && failed < 22, String(failed))
    }))

  it.live("take their time, hang until nobody waits any more, and cut the connection", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const reset = yield* Effect.flip(post("/api/v1/series", { series: [] }))
      assert.include(["ECONNRESET", "EPIPE"], (reset as NodeJS.ErrnoException).code)
      const before = performance.now()
      assert.strictEqual((yield* post("/api/v1/distribution_points", { series: [] })).status, 202)
      assert.isAtLeast(performance.now() - before, 90)
      assert.isTrue(
        (yield* Effect.timeoutOption(post("/api/v1/events", { title: "t", text: "" }), "100 millis"))._tag === "None"
      )
      assert.deepStrictEqual((yield* intake.requests).map(({ fault, status }) => [fault, status]), [
        ["reset path=/api/v1/series", undefined],
        ["delay=100ms path=/api/v1/distribution_points", 202],
        ["hang path=/api/v1/events", undefined]
      ])
    }).pipe(
      Effect.provide(layerIntake({
        faults: [
          fault("reset path=/api/v1/series"),
          fault("delay=100ms path=/api/v1/distribution_points"),
          fault("hang path=/api/v1/events")
        ]
      }))
    ))

  it.live("that hang or wait do not hold an intake that closes", () =>
    Effect.gen(function*() {
      const replies = yield* Effect.gen(function*() {
        const intake = yield* LocalIntake.LocalIntake
        const fibers = [
          yield* Effect.forkDaemon(validate),
          yield* Effect.forkDaemon(postSeries(gauge("a", 0, 1)))
        ]
        yield* Effect.repeat(intake.requests, {
          until: ({ length }) => length === 2,
          schedule: Schedule.spaced("5 millis")
        })
        return fibers
      }).pipe(
        Effect.provide(layerIntake({ faults: [fault("hang path=/api/v1/validate"), fault("delay=10m")] })),
        Effect.timeout("10 seconds")
      )
      for (const fiber of replies) assert.strictEqual((yield* fiber).status, 503)
    }))
})

describe("who may ask", () => {
  const key = { "dd-api-key": "k" }

  it.effect("is whoever finds the intake under an address, localhost, or a name it was given", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const { host, port } = new URL(intake.url)
      const status = (headers: Record<string, string>, path = "/") =>
        Effect.map(ask("GET", path, { headers }), ({ status }) => status)
      for (
        const good of [
          host,
          `localhost:${port}`,
          `LOCALHOST:${port}`,
          "127.0.0.1",
          "[::1]:1",
          "10.0.0.7:80",
          "intake:99"
        ]
      ) {
        assert.strictEqual(yield* status({ host: good }), 200, good)
      }
      for (
        const bad of [
          "evil.example",
          `evil.example:${port}`,
          "localhost.evil.example",
          "127.0.0.1.evil.example",
          "a b",
          "@",
          "intake.example"
        ]
      ) {
        for (const path of ["/", "/feed", "/docs", "/openapi.json", "/api/v1/validate"]) {
          assert.strictEqual(yield* status({ host: bad, ...key }, path), 403, `${bad} ${path}`)
        }
      }
      const reply = yield* ask("GET", "/", { headers: { host: "evil.example" } })
      assert.deepStrictEqual(JSON.parse(reply.text), { errors: ["Host \"evil.example\" is not a name of this intake"] })
      assert.deepStrictEqual(yield* intake.requests, [])
    }).pipe(Effect.provide(layerIntake({ hosts: ["Intake"] }))))

  it.effect("is no page of elsewhere", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const { port } = new URL(intake.url)
      yield* postSeries(gauge("a", 0, 1))
      const others = [
        "https://evil.example",
        "null",
        `https://127.0.0.1:${Number(port) === 443 ? 1 : port}0`,
        `http://localhost:${port}`,
        "http://127.0.0.1",
        "chrome-extension://abc",
        "nonsense"
      ]
      for (const origin of others) {
        for (
          const [method, path] of [["POST", "/clear"], ["GET", "/feed"], ["GET", "/"], [
            "POST",
            "/api/v1/series"
          ]] as const
        ) {
          const reply = yield* ask(method, path, {
            headers: { origin, ...key },
            ...(method === "POST" ? { body: {} } : {})
          })
          assert.strictEqual(reply.status, 403, `${origin} ${path}`)
          assert.notProperty(reply.headers, "access-control-allow-origin")
        }
      }
      for (const site of ["cross-site", "same-site"]) {
        for (const path of ["/feed", "/openapi.json"]) {
          const headers = { "sec-fetch-site": site, "sec-fetch-mode": "navigate" }
          assert.strictEqual((yield* ask("GET", path, { headers })).status, 403, `${site} ${path}`)
        }
        assert.strictEqual(
          (yield* ask("GET", "/", { headers: { "sec-fetch-site": site, "sec-fetch-mode": "no-cors" } })).status,
          403
        )
        const link = { "sec-fetch-site": site, "sec-fetch-mode": "navigate" }
        assert.strictEqual((yield* ask("GET", "/", { headers: link })).status, 200)
      }
      assert.lengthOf(yield* intake.series, 1)
      assert.lengthOf(yield* intake.requests, 1)
      const own = { origin: intake.url, "sec-fetch-site": "same-origin" }
      assert.strictEqual((yield* ask("POST", "/clear", { headers: own })).status, 204)
      assert.deepStrictEqual(yield* intake.series, [])
      yield* postSeries(gauge("a", 0, 1))
      assert.strictEqual((yield* ask("POST", "/clear")).status, 204)
      assert.deepStrictEqual(yield* intake.requests, [])
    }).pipe(Effect.provide(layerIntake())))

  it.effect("is told what a browser is to keep to", () =>
    Effect.gen(function*() {
      for (const [path, accept] of [["/", "application/json"], ["/", "text/html"], ["/docs", "text/html"]] as const) {
        const { headers, status } = yield* ask("GET", path, { headers: { accept } })
        assert.strictEqual(status, 200)
        assert.include(headers["content-security-policy"], "default-src 'none'")
        assert.include(headers["content-security-policy"], "frame-ancestors 'none'")
        assert.deepInclude(headers, {
          "x-content-type-options": "nosniff",
          "x-frame-options": "DENY",
          "referrer-policy": "no-referrer",
          "cross-origin-resource-policy": "same-origin"
        })
      }
    }).pipe(Effect.provide(layerIntake())))

  it.effect("may be a browser that looks for an icon, which is no request of a client", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const icon = yield* ask("GET", "/favicon.ico", { headers: { "sec-fetch-site": "same-origin" } })
      assert.strictEqual(icon.status, 404)
      assert.deepStrictEqual(yield* intake.requests, [])
      assert.deepStrictEqual(yield* findings, [])
      yield* ask("GET", "/favicon.ico")
      assert.deepStrictEqual(codesOf(yield* findings), ["refused NotFound"])
    }).pipe(Effect.provide(layerIntake())))
})

describe("the routes", () => {
  it.effect("are a definition, of which there is a client", () =>
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
      const other = yield* HttpApiClient.make(LocalIntake.Api, { baseUrl: intake.url })
      assert.deepStrictEqual(yield* Effect.flip(other.datadog.validate()), { errors: ["API key required"] })
    }).pipe(Effect.provide([layerIntake(), FetchHttpClient.layer])))

  it.effect("are documented, in a form for machines and one for people, without anything from elsewhere", () =>
    Effect.gen(function*() {
      const document = JSON.parse((yield* ask("GET", "/openapi.json")).text)
      assert.deepStrictEqual(Object.keys(document.paths).sort(), [
        "/",
        "/api/v1/distribution_points",
        "/api/v1/events",
        "/api/v1/series",
        "/api/v1/validate",
        "/api/v2/series",
        "/clear",
        "/feed"
      ])
      assert.deepStrictEqual(document.components.securitySchemes.apiKey, {
        type: "apiKey",
        name: "dd-api-key",
        in: "header"
      })
      const docs = yield* ask("GET", "/docs")
      assert.include(docs.headers["content-type"], "text/html")
      assert.include(docs.text, "/api/v1/distribution_points")
      assert.notMatch(docs.text, /<(?:script|link|img|iframe)[^>]*\s(?:src|href)=/)
    }).pipe(Effect.provide(layerIntake())))

  it.effect("show a page to who would rather have one, and say how to get it where there is none", () =>
    Effect.gen(function*() {
      const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
      for (const accept of [browser, "text/html", "Text/HTML", "application/json;q=0.5, text/html;q=0.6"]) {
        assert.notInclude((yield* ask("GET", "/", { headers: { accept } })).headers["content-type"], "json", accept)
      }
      for (
        const accept of [
          "*/*",
          "application/json",
          "text/html, application/json",
          "text/html;q=0.1, */*",
          "text/plain",
          ""
        ]
      ) {
        assert.include((yield* ask("GET", "/", { headers: { accept } })).headers["content-type"], "json", accept)
      }
    }).pipe(Effect.provide(layerIntake())))
})

describe("limits", () => {
  it.effect("keep what is newest, and count what is not kept", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* TestClock.setTime(now * 1000)
      for (let i = 0; i < 6; i++) {
        yield* postSeries(gauge(`m${i}`, now, i), gauge("same", now - i, i))
        yield* post("/api/v1/distribution_points", { series: [{ metric: `d${i}`, points: [[now, [i]]] }] })
        yield* post("/api/v1/events", { title: `e${i}`, text: "" })
      }
      assert.deepStrictEqual((yield* intake.series).map(({ metric }) => metric), ["m4", "same", "m5", "same"])
      assert.deepStrictEqual((yield* intake.distributions).map(({ metric }) => metric), ["d2", "d3", "d4", "d5"])
      assert.deepStrictEqual((yield* intake.events).map(({ title }) => title), ["e4", "e5"])
      const requests = yield* intake.requests
      assert.lengthOf(requests, 5)
      assert.strictEqual((yield* intake.summary).requests, 5)
      // the bodies of the last two fit
      assert.deepStrictEqual(requests.map(({ body }) => body !== undefined), [false, false, false, true, true])
      const reader = yield* Feed.open(intake.url)
      const snapshot = yield* reader.next("snapshot")
      assert.deepStrictEqual(new Set(snapshot.series.map(({ metric }) => metric)), new Set(["same", "m5", "d5"]))
      const same = snapshot.series.find(({ metric }) => metric === "same")!.id
      assert.deepStrictEqual(snapshot.points.filter(([id]) => id === same), [[same, now - 4, 4], [same, now - 5, 5]])
      assert.strictEqual(snapshot.health.requests, 18)
      assert.isAbove(snapshot.health.forgotten, 8 + 2 + 4 + 13)
      assert.lengthOf(snapshot.requests, 5)
    }).pipe(
      Effect.scoped,
      Effect.provide(layerIntake({
        limits: { series: 3, pointsPerSeries: 2, accepted: 4, events: 2, requests: 5, bodyBytes: 100 }
      }))
    ))

  it.effect("hold for the bins of a distribution, and for values without a bound", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* TestClock.setTime(now * 1000)
      const values = Array.from({ length: 20_000 }, (_, i) =>
        Math.exp(((i % 14_000) - 7000) / 10) * (i % 2 === 0 ? 1 : -1))
      yield* post("/api/v1/distribution_points", { series: [{ metric: "wide", points: [[now, [...values, 0]]] }] })
      const snapshot = yield* Effect.flatMap(Feed.open(intake.url), ({ next }) =>
        next("snapshot"))
      const [point] = snapshot.distributions
      assert.isAtMost(point!.positive.length, 1024)
      assert.isAtMost(point!.negative.length, 1024)
      assert.deepInclude(point, { count: 20_001, zeros: 1, min: Math.min(...values), max: Math.max(...values) })
      const counted = [...point!.positive, ...point!.negative].reduce((sum, [, count]) => sum + count, 0)
      assert.strictEqual(counted, 20_000)
    }).pipe(Effect.scoped, Effect.provide(layerIntake())))
})

describe("the feed", () => {
  it.live("begins with what there is, and goes on with what happens", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const at = yield* seconds
      yield* postSeries(gauge("before", at, 1, { tags: ["b", "a"], host: "h", interval: 10 }))
      const reader = yield* Feed.open(intake.url)
      assert.include(reader.headers.get("content-type") ?? "", "text/event-stream")
      assert.strictEqual(reader.headers.get("cache-control"), "no-store")
      const hello = yield* reader.next("hello")
      assert.deepInclude(hello, { url: intake.url, dogstatsd: null, strict: false, version: "0.1.0" })
      assert.isTrue(Object.values(hello.limits).every((limit) => Number.isSafeInteger(limit)))
      const snapshot = yield* reader.next("snapshot")
      const [before] = snapshot.series
      assert.deepInclude(before, {
        metric: "before",
        kind: "gauge",
        tags: ["a", "b"],
        host: "h",
        interval: 10,
        unit: null
      })
      assert.deepStrictEqual(snapshot.points, [[before!.id, at, 1]])
      assert.deepInclude(snapshot.requests[0], {
        target: "POST /api/v1/series",
        status: 202,
        items: 1,
        points: 1,
        protocol: "http"
      })

      yield* postSeries(gauge("before", at, 5, { tags: ["a", "b"], host: "h", interval: 10 }))
      const update = yield* reader.next("update", ({ points }) => points.length > 0)
      assert.deepStrictEqual(update.points, [[before!.id, at, 5]])
      assert.deepStrictEqual(update.series, [])
      assert.strictEqual(update.health.verdicts["Overwritten"], 1)
      assert.strictEqual(update.requests.at(-1)?.verdicts.at(-1)?.code, "Overwritten")

      yield* post("/api/v1/distribution_points", { series: [{ metric: "d", points: [[at, [1, 1, -1, 0]]] }] })
      yield* post("/api/v1/events", { title: "<b>", text: "x", alert_type: "error" })
      const first = yield* reader.next("update", ({ distributions }) => distributions.length > 0)
      assert.deepInclude(first.distributions[0], {
        count: 4,
        sum: 1,
        min: -1,
        max: 1,
        zeros: 1,
        positive: [[0, 2]],
        negative: [[0, 1]]
      })
      const events = first.events.length > 0
        ? first.events
        : (yield* reader.next("update", ({ events }) => events.length > 0)).events
      assert.deepInclude(events[0], { title: "<b>", alertType: "error", priority: "normal" })
    }).pipe(Effect.scoped, Effect.provide(layerIntake())))

  it.effect("says nothing while nothing happens, but that it is there, and begins anew with who comes back", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* TestClock.setTime(now * 1000)
      const gone = yield* Effect.scoped(Effect.gen(function*() {
        const reader = yield* Feed.open(intake.url)
        yield* reader.next("snapshot")
        yield* TestClock.adjust("15 seconds")
        assert.isTrue(yield* eventually(() => reader.text().endsWith("\n\n:\n\n")))
        return reader
      }))
      assert.deepStrictEqual(gone.messages.map(({ event }) => event), ["hello", "snapshot"])
      yield* postSeries(gauge("a", now, 1))
      yield* TestClock.adjust("1 minute")
      const reader = yield* Feed.open(intake.url)
      assert.lengthOf((yield* reader.next("snapshot")).points, 1)
      yield* postSeries(gauge("a", now + 1, 1))
      yield* TestClock.adjust("250 millis")
      assert.lengthOf((yield* reader.next("update")).points, 1)
      assert.lengthOf(gone.messages, 2)
    }).pipe(Effect.scoped, Effect.provide(layerIntake())))

  it.live("tells two readers the same, and both when all is forgotten", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const at = yield* seconds
      const readers = yield* Effect.replicateEffect(Feed.open(intake.url), 2)
      for (const reader of readers) yield* reader.next("snapshot")
      yield* postSeries(gauge("a", at, 1))
      const updates = yield* Effect.forEach(
        readers,
        (reader) => reader.next("update", ({ points }) => points.length > 0)
      )
      assert.deepStrictEqual(updates[0], updates[1])
      yield* postSeries(gauge("b", at, 1))
      yield* ask("POST", "/clear")
      yield* postSeries(gauge("c", at, 1))
      for (const reader of readers) {
        yield* reader.next("clear")
        const after = yield* reader.next("update", ({ points }) => points.length > 0)
        assert.deepStrictEqual(after.series.map(({ metric }) => metric), ["c"])
        assert.strictEqual(after.health.requests, 1)
      }
    }).pipe(Effect.scoped, Effect.provide(layerIntake())))

  it.live("says which series are not kept any more", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const at = yield* seconds
      yield* postSeries(gauge("a", at, 1), gauge("b", at, 1))
      const reader = yield* Feed.open(intake.url)
      const { series } = yield* reader.next("snapshot")
      yield* postSeries(gauge("a", at + 1, 1), gauge("c", at, 1))
      const { forgotten } = yield* reader.next("update", ({ points }) => points.length > 0)
      assert.deepStrictEqual(forgotten, series.filter(({ metric }) => metric === "b").map(({ id }) => id))
    }).pipe(Effect.scoped, Effect.provide(layerIntake({ limits: { series: 2 } }))))

  it.live("ends with the intake, at once, and begins anew with the next", () =>
    Effect.gen(function*() {
      const first = yield* Effect.gen(function*() {
        const intake = yield* LocalIntake.LocalIntake
        const reader = yield* Feed.open(intake.url)
        yield* reader.next("snapshot")
        return reader
      }).pipe(Effect.provide(layerIntake()), Effect.timeout("10 seconds"))
      yield* first.ended
      const instance = (message: Feed.Message | undefined) =>
        message?.event === "hello" ? message.data.instance : undefined
      const second = yield* Effect.gen(function*() {
        const intake = yield* LocalIntake.LocalIntake
        return yield* Effect.flatMap(Feed.open(intake.url), ({ next }) => next("hello"))
      }).pipe(Effect.provide(layerIntake()))
      assert.notStrictEqual(second.instance, instance(first.messages[0]))
    }).pipe(Effect.scoped))

  it.effect("lets a reader go that does not read, and no other", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const { hostname, port } = new URL(intake.url)
      yield* TestClock.setTime(now * 1000)
      const at = now
      const reader = yield* Feed.open(intake.url)
      const slow = yield* Effect.acquireRelease(
        Effect.sync(() => connect({ host: hostname, port: Number(port) })),
        (socket) => Effect.sync(() => socket.destroy())
      )
      const closed = new Promise<void>((resume) => slow.once("close", () => resume()))
      slow.on("error", () => {})
      slow.pause()
      slow.write(`GET /feed HTTP/1.1\r\nhost: ${hostname}\r\n\r\n`)
      const tags = Array.from({ length: 90 }, (_, i) => `tag${i}:${"x".repeat(150)}`)
      const before = process.memoryUsage().rss
      // every update is about a megabyte, of which its connection takes a few
      for (let i = 0; i < 60; i++) {
        yield* postSeries(...Array.from({ length: 60 }, (_, j) => gauge(`m${i}.${j}`, at, 1, { tags })))
        yield* TestClock.adjust("250 millis")
        yield* reader.next("update")
      }
      yield* Effect.promise(() => {
        slow.resume()
        return closed
      })
      assert.isBelow(process.memoryUsage().rss - before, 400 * 1024 * 1024)
      yield* postSeries(gauge("last", at, 1))
      yield* TestClock.adjust("250 millis")
      yield* reader.next("update", ({ series }) => series.some(({ metric }) => metric === "last"))
    }).pipe(Effect.scoped, Effect.provide(layerIntake())), 60_000)

  it.live("is cheap with a thousand series that change every second", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const reader = yield* Feed.open(intake.url)
      yield* reader.next("snapshot")
      const at = yield* seconds
      const rounds = 5
      const cpu = process.cpuUsage()
      for (let round = 0; round < rounds; round++) {
        yield* postSeries(
          ...Array.from({ length: 1000 }, (_, i) => gauge("m", at + round, i, { tags: [`series:${i}`, "env:test"] }))
        )
        yield* reader.next("update", ({ points }) => points.length > 0)
      }
      const { system, user } = process.cpuUsage(cpu)
      const millis = (user + system) / 1000 / rounds
      assert.isBelow(millis, 500, "CPU time for each second, sender and reader included")
      const points = reader.messages.flatMap(({ data, event }) => event === "update" ? data.points : [])
      assert.lengthOf(points, 1000 * rounds)
    }).pipe(Effect.scoped, Effect.provide(layerIntake())), 60_000)

  it("has bins from which quantiles are near", () => {
    assert.isAtMost(Math.sqrt(gamma) - 1, 0.02)
  })
})

it.effect("a key stays out of everything that is shown", () =>
  Effect.gen(function*() {
    const intake = yield* LocalIntake.LocalIntake
    const secret = "s3cret-k3y"
    yield* ask("GET", "/api/v1/validate", { headers: { "dd-api-key": secret } })
    yield* ask("GET", "/api/v1/validate", { headers: { "dd-api-key": `${secret}-wrong` } })
    const reader = yield* Feed.open(intake.url)
    yield* reader.next("snapshot")
    const { text } = yield* ask("GET", "/")
    assert.notInclude(reader.text() + text + JSON.stringify(yield* findings), secret)
  }).pipe(Effect.scoped, Effect.provide(layerIntake({ apiKey: Redacted.make("s3cret-k3y") }))))
