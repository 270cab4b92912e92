import { assert, describe, it } from "@effect/vitest"
import { failureOf } from "../../src/internal/http/httpResponse.js"

const decide = (status: number, body = "", headers: Record<string, string> = {}) =>
  failureOf({ status, headers, body }, 0, (text) => text)

describe("failureOf", () => {
  it("accepts a status 2xx with JSON, plain text or nothing", () => {
    for (const body of [`{"status":"ok"}`, `{"errors":[]}`, "[]", "", "ok", "null", " \n"]) {
      for (const status of [200, 201, 202, 204]) assert.isUndefined(decide(status, body), `${status} ${body}`)
    }
    assert.isUndefined(decide(202, `{"status":"ok"}`, { "content-type": "text/html" }))
    assert.isUndefined(decide(200, "", { "content-type": "text/html" }))
  })

  it("does not take a web page for an acceptance, and names it as ambiguous", () => {
    const pages: ReadonlyArray<readonly [string, Record<string, string>]> = [
      ["<html>Log in</html>", {}],
      ["\r\n<!DOCTYPE html><title>Log in</title>", {}],
      ["Log in", { "content-type": "text/html; charset=utf-8" }]
    ]
    for (const [body, headers] of pages) {
      const failure = decide(200, body, headers)
      assert.deepInclude(failure, { reason: "UnexpectedResponse", transient: true, ambiguous: true, status: 200 })
      assert.include(failure?.description, "web page")
    }
  })

  it("takes a web page with status 400 for the response of a proxy, and JSON for a refusal of Datadog's", () => {
    assert.deepInclude(decide(400, "<html>Bad Request</html>"), { reason: "UnexpectedResponse", transient: true })
    assert.deepInclude(decide(400, `{"errors":["bad"]}`), { reason: "Rejected", transient: false })
    assert.deepInclude(decide(413, "<html>Too Large</html>"), { reason: "PayloadTooLarge", transient: false })
  })

  it("advises to check the address after a redirect or 404, and the proxy after 407", () => {
    for (const status of [301, 307, 404]) assert.include(decide(status)?.description, "DD_SITE and DATADOG_HOST")
    assert.include(decide(407)?.description, "user name and a password")
  })

  it("counts the pause of a Retry-After date from the date of the response", () => {
    const headers = {
      date: new Date(7_200_000).toUTCString(),
      "retry-after": new Date(7_202_000).toUTCString()
    }
    assert.strictEqual(decide(503, "", headers)?.retryAfter, 2000)
    assert.strictEqual(decide(503, "", { "retry-after": new Date(2000).toUTCString() })?.retryAfter, 2000)
  })
})
