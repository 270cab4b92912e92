import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Either } from "effect"
import { resolveProxy } from "../../src/internal/http/proxySettings.js"

const resolve = (apiUrl: string, variables: Record<string, string>) =>
  Effect.withConfigProvider(resolveProxy(apiUrl), ConfigProvider.fromMap(new Map(Object.entries(variables))))

const api = "https://api.datadoghq.eu"

describe("resolveProxy", () => {
  it.effect("uses Datadog's variable, then the common ones, for the protocol of the API", () =>
    Effect.gen(function*() {
      const all = { DD_PROXY_HTTPS: "http://a:1", HTTPS_PROXY: "http://b:2", https_proxy: "http://c:3" }
      const { DD_PROXY_HTTPS: _, ...common } = all
      assert.strictEqual((yield* resolve(api, all))?.name, "http://a:1")
      assert.strictEqual((yield* resolve(api, common))?.name, "http://b:2")
      assert.strictEqual((yield* resolve(api, { https_proxy: "c:3" }))?.name, "http://c:3")
      assert.isUndefined(yield* resolve(api, { HTTP_PROXY: "http://a:1", DD_PROXY_HTTP: "http://a:1" }))
      assert.isUndefined(yield* resolve("http://intake.example", all))
      assert.strictEqual((yield* resolve("http://intake.example", { HTTP_PROXY: "http://a:1" }))?.name, "http://a:1")
      assert.isUndefined(yield* resolve(api, {}))
    }))

  it.effect("uses no proxy for excluded hosts, domains and ports, and for loopback addresses", () =>
    Effect.gen(function*() {
      const proxy = { HTTPS_PROXY: "http://proxy.example" }
      for (
        const list of [
          "*",
          "api.datadoghq.eu",
          "datadoghq.eu",
          ".datadoghq.eu",
          "*.datadoghq.eu",
          "x, API.datadoghq.EU:443"
        ]
      ) {
        for (const name of ["NO_PROXY", "no_proxy", "DD_PROXY_NO_PROXY"]) {
          assert.isUndefined(yield* resolve(api, { ...proxy, [name]: list }), list)
        }
      }
      for (const list of ["doghq.eu", "datadoghq.com", "api.datadoghq.eu:8443", "datadoghq.eu.example", ","]) {
        assert.isDefined(yield* resolve(api, { ...proxy, NO_PROXY: list }), list)
      }
      for (const host of ["localhost:1", "127.0.0.1", "[::1]:8", "intake.localhost"]) {
        assert.isUndefined(yield* resolve(`https://${host}`, proxy), host)
      }
    }))

  it.effect("fails and names the variable, but not its value, when the address is invalid", () =>
    Effect.gen(function*() {
      for (const value of ["http://user:secret@[", "socks5://user:secret@proxy:1", "ftp://secret"]) {
        const error = Either.getOrThrow(Either.flip(yield* Effect.either(resolve(api, { DD_PROXY_HTTPS: value }))))
        assert.include(String(error), "DD_PROXY_HTTPS")
        assert.notInclude(String(error), "secret")
      }
    }))

  it.effect("leaves user name and password out of the name", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        (yield* resolve(api, { HTTPS_PROXY: "http://user:secret@proxy:3128/" }))?.name,
        "http://proxy:3128"
      )
    }))
})
