/** Tests of the pure parts of `runtimeApi`; `runtimeApi.io.test.ts` has those of its connections. */
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as runtimeApi from "../../src/internal/lambda/runtimeApi.js"

describe("runtimeApi.address", () => {
  const read = (value: string) =>
    Effect.withConfigProvider(
      runtimeApi.address,
      ConfigProvider.fromMap(new Map([["AWS_LAMBDA_RUNTIME_API", value]]))
    )

  for (
    const [value, href] of [
      ["127.0.0.1:9001", "http://127.0.0.1:9001/"],
      ["sandbox.localdomain:9001", "http://sandbox.localdomain:9001/"],
      ["http://127.0.0.1:9001/base/", "http://127.0.0.1:9001/base/"]
    ] as const
  ) {
    it.effect(`reads ${value} as ${href}`, () => Effect.map(read(value), (url) => assert.strictEqual(url.href, href)))
  }

  it.effect("fails with the variable's name and its value when it is not an address", () =>
    Effect.map(Effect.flip(read("not an address")), (error) => {
      assert.match(String(error), /AWS_LAMBDA_RUNTIME_API.*host and port.*not an address/)
    }))
})

describe("runtimeApi.prepare", () => {
  const base = new URL("http://127.0.0.1:9001/base/")

  it("keeps the path of the address in front of the request's path", () => {
    assert.strictEqual(
      runtimeApi.prepare(base, { method: "GET", path: "/2018-06-01/runtime/invocation/next" }).url,
      "http://127.0.0.1:9001/base/2018-06-01/runtime/invocation/next"
    )
  })

  it("sends a body as JSON with its length in bytes", () => {
    const { headers } = runtimeApi.prepare(base, { method: "POST", path: "/response", body: "\"żółw\"" })
    assert.deepStrictEqual(headers, { "content-type": "application/json", "content-length": "9" })
  })

  it("sends only the request's own headers when the body is absent", () => {
    const { body, headers } = runtimeApi.prepare(base, { method: "GET", path: "/next", headers: { "x-id": "1" } })
    assert.deepStrictEqual(headers, { "x-id": "1" })
    assert.isUndefined(body)
  })
})

describe("runtimeApi.describe", () => {
  for (
    const [content, body, description] of [
      [
        "an error of the API",
        "{\"errorType\":\"InvalidStateTransition\",\"errorMessage\":\"not now\"}",
        "status 403: InvalidStateTransition: not now"
      ],
      ["an error without a message", "{\"errorType\":\"Container.Error\"}", "status 403: Container.Error"],
      ["JSON of another form", "{\"message\":\"Forbidden\"}", "status 403: {\"message\":\"Forbidden\"}"],
      ["null", "null", "status 403: null"],
      ["text between spaces", "  container error\n", "status 403: container error"],
      ["nothing", "", "status 403"],
      ["a long page", `<html>${"x".repeat(5000)}`, `status 403: <html>${"x".repeat(194)}`]
    ] as const
  ) {
    it(`describes an answer whose body is ${content}`, () => {
      assert.strictEqual(runtimeApi.describe({ status: 403, headers: {}, body }), description)
    })
  }
})
