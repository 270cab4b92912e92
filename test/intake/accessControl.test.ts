import { assert, describe, it } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Effect from "effect/Effect"
import { layerInProcess } from "../support/intake.js"
import { gauge, postSeries, send, url } from "../support/intakeClient.js"

describe("host check", () => {
  it.effect("accepts addresses, localhost and the names of the option hosts, and refuses all other hosts", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const statusFor = (host: string, path = "/") =>
        Effect.map(send("GET", path, { headers: { host } }), ({ status }) => status)
      const accepted = [
        "127.0.0.1:8080",
        "localhost:8080",
        "LOCALHOST:8080",
        "127.0.0.1",
        "[::1]:1",
        "10.0.0.7:80",
        "intake:99"
      ]
      for (const host of accepted) assert.strictEqual(yield* statusFor(host), 200, host)
      const refused = [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "a b",
        "@",
        "intake.example"
      ]
      for (const host of refused) {
        for (const path of ["/", "/feed", "/docs", "/openapi.json", "/api/v1/validate"]) {
          assert.strictEqual(yield* statusFor(host, path), 403, `${host} ${path}`)
        }
      }
      const reply = yield* send("GET", "/", { headers: { host: "evil.example" } })
      assert.deepStrictEqual(JSON.parse(reply.text), {
        errors: [
          "Host \"evil.example\" is not a name of this intake. Allow it with --allow-host or the option hosts"
        ]
      })
      assert.deepStrictEqual(yield* intake.requests, [])
    }).pipe(Effect.provide(layerInProcess({ hosts: ["Intake"] }))))
})

describe("origin check", () => {
  it.effect("refuses requests that pages of other origins send", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* postSeries(gauge("a", 0, 1))
      const origins = [
        "https://evil.example",
        "null",
        "https://127.0.0.1:80800",
        "http://localhost:8080",
        "http://127.0.0.1",
        "chrome-extension://abc",
        "nonsense"
      ]
      const routes = [["POST", "/clear"], ["GET", "/feed"], ["GET", "/"], ["POST", "/api/v1/series"]] as const
      for (const origin of origins) {
        for (const [method, path] of routes) {
          const reply = yield* send(method, path, {
            headers: { origin },
            ...(method === "POST" ? { body: {} } : {})
          })
          assert.strictEqual(reply.status, 403, `${origin} ${path}`)
          assert.notProperty(reply.headers, "access-control-allow-origin")
        }
      }
      assert.lengthOf(yield* intake.series, 1)
      assert.lengthOf(yield* intake.requests, 1)
    }).pipe(Effect.provide(layerInProcess())))

  it.effect("refuses subresource requests from other sites, and accepts a link to the page", () =>
    Effect.gen(function*() {
      for (const site of ["cross-site", "same-site"]) {
        const navigation = { "sec-fetch-site": site, "sec-fetch-mode": "navigate" }
        for (const path of ["/feed", "/openapi.json"]) {
          assert.strictEqual((yield* send("GET", path, { headers: navigation })).status, 403, `${site} ${path}`)
        }
        const subresource = { "sec-fetch-site": site, "sec-fetch-mode": "no-cors" }
        assert.strictEqual((yield* send("GET", "/", { headers: subresource })).status, 403)
        assert.strictEqual((yield* send("GET", "/", { headers: navigation })).status, 200)
      }
    }).pipe(Effect.provide(layerInProcess())))

  it.effect("accepts POST /clear from the page of the intake and from clients that are not browsers", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* postSeries(gauge("a", 0, 1))
      const own = { origin: url, "sec-fetch-site": "same-origin" }
      assert.strictEqual((yield* send("POST", "/clear", { headers: own })).status, 204)
      assert.deepStrictEqual(yield* intake.series, [])
      yield* postSeries(gauge("a", 0, 1))
      assert.strictEqual((yield* send("POST", "/clear")).status, 204)
      assert.deepStrictEqual(yield* intake.requests, [])
    }).pipe(Effect.provide(layerInProcess())))
})

describe("security headers of a response", () => {
  it.effect("forbids a browser to load, frame or share the documents of the intake", () =>
    Effect.gen(function*() {
      for (const [path, accept] of [["/", "application/json"], ["/", "text/html"], ["/docs", "text/html"]] as const) {
        const { headers, status } = yield* send("GET", path, { headers: { accept } })
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
    }).pipe(Effect.provide(layerInProcess())))
})
