import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { assert, describe } from "@effect/vitest"
import * as Reporter from "effect-threadstats/Reporter"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import { inspect } from "node:util"
import { apiKey, assertHidden, sweepKeys } from "../support/keySweep.js"
import { distributions, events, metrics } from "../support/reporterContract.js"
import { renderings } from "../support/secrets.js"
import { recordingTracer } from "../support/tracer.js"
import type { WireError } from "../support/wireReporter.js"
import { type Answer, failWith, makeOver, respond, scriptReporter } from "./fakeClient.js"

const it = sweepKeys(apiKey)

const assertNoKey = (value: unknown) => assertHidden(renderings(value), [apiKey])

describe("httpFailure", () => {
  const cases: ReadonlyArray<readonly [number, Reporter.Reason, "undelivered" | "refused"]> = [
    [301, "UnexpectedResponse", "undelivered"],
    [400, "Rejected", "refused"],
    [401, "Unauthorized", "undelivered"],
    [402, "UnexpectedResponse", "undelivered"],
    [403, "Unauthorized", "undelivered"],
    [404, "UnexpectedResponse", "undelivered"],
    [408, "ServerError", "undelivered"],
    [413, "PayloadTooLarge", "refused"],
    [422, "Rejected", "refused"],
    [429, "RateLimited", "undelivered"],
    [500, "ServerError", "undelivered"],
    [502, "ServerError", "undelivered"],
    [503, "ServerError", "undelivered"],
    [504, "ServerError", "undelivered"],
    [599, "ServerError", "undelivered"]
  ]

  for (const [status, reason, where] of cases) {
    it.effect(`fails with ${reason} and names the items as ${where} when the status is ${status}`, () =>
      Effect.gen(function*() {
        const { reporter } = yield* scriptReporter(respond(status, `{"errors":["unknown metric"]}`))
        const flushes: ReadonlyArray<
          readonly [Effect.Effect<unknown, WireError>, ReadonlyArray<unknown>]
        > = [
          [reporter.flushMetrics(metrics), metrics],
          [reporter.flushDistributions(distributions), distributions],
          [reporter.flushEvents(events), events]
        ]
        for (const [flush, batch] of flushes) {
          const error = yield* Effect.flip(flush)
          assert.strictEqual(error.reason, reason)
          assert.strictEqual(error.status, status)
          assert.include(error.message, "unknown metric")
          assert.deepStrictEqual(error[where], batch)
          assert.strictEqual(error[where][0], batch[0])
          assert.deepStrictEqual(error[where === "refused" ? "undelivered" : "refused"], [])
          assert.deepStrictEqual(error.receipt, Reporter.emptyReceipt)
        }
      }))
  }

  for (const status of [200, 201, 202, 204, 299]) {
    it.effect(`delivers when the status is ${status}, whatever the body contains`, () =>
      Effect.gen(function*() {
        const { reporter } = yield* scriptReporter(respond(status, status === 204 ? null : "not json"))
        assert.strictEqual((yield* reporter.flushMetrics(metrics)).items, metrics.length)
      }))
  }

  it.effect("quotes at most 200 characters of an answer, in one line", () =>
    Effect.gen(function*() {
      const describeAnswer = Effect.fnUntraced(function*(body: string, headers?: Record<string, string>) {
        const { reporter } = yield* scriptReporter(respond(400, body, headers))
        return (yield* Effect.flip(reporter.flushMetrics(metrics.slice(0, 1)))).description
      })
      assert.strictEqual(yield* describeAnswer(`{"errors":["first","second"]}`), "first, second")
      assert.strictEqual(
        yield* describeAnswer(`{"errors":["Event too far in the past"]}`, { "content-type": "text/plain" }),
        "Event too far in the past"
      )
      assert.strictEqual(yield* describeAnswer("unsupported\n  path"), "unsupported path")
      assert.strictEqual(yield* describeAnswer(`{"errors":[{"detail":"x"}]}`), `{"detail":"x"}`)
      assert.strictEqual(yield* describeAnswer(""), "no description")
      assert.strictEqual((yield* describeAnswer("no ".repeat(10_000))).length, 200)
    }))

  it.effect("reads the answer from the error of an HTTP client that fails on statuses", () =>
    Effect.gen(function*() {
      const client = HttpClient.filterStatusOk(HttpClient.make((request) =>
        Effect.sync(() => HttpClientResponse.fromWeb(request, new Response("busy", { status: 429 })))
      ))
      const reporter = yield* makeOver(client)
      const error = yield* Effect.flip(reporter.flushMetrics(metrics))
      assert.strictEqual(error.reason, "RateLimited")
      assert.strictEqual(error.description, "busy")
      assertNoKey(Cause.fail(error))
    }))

  it.effect("names the settings of key and site when the key is refused or the address is wrong", () =>
    Effect.gen(function*() {
      const hints = { 403: ["DATADOG_API_KEY", "DD_API_KEY", "DD_SITE"], 404: ["DD_SITE", "DATADOG_HOST"] }
      for (const series of ["v1", "v2"] as const) {
        for (const [status, names] of Object.entries(hints)) {
          const { reporter } = yield* scriptReporter(respond(Number(status), `{"errors":["no"]}`), {
            seriesVersion: series
          })
          const error = yield* Effect.flip(reporter.flushMetrics(metrics))
          assert.strictEqual(error.endpoint, `https://api.datadoghq.example/api/${series}/series`)
          for (const name of names) assert.include(error.message, name)
        }
      }
    }))
})

describe("httpFailure with the API key", () => {
  const leaks: ReadonlyArray<readonly [string, Answer]> = [
    ["the body of an answer repeats the key", respond(403, `{"errors":["key ${apiKey} is not known"]}`)],
    ["the text of an answer repeats the key twice", respond(400, `bad key ${apiKey}${apiKey}`)],
    ["the text of an answer is cut within the key", respond(400, "x".repeat(190) + apiKey)],
    [
      "the message of a cause contains the key",
      () => failWith(new TypeError(`Headers.append: "${apiKey}" is invalid`))
    ],
    [
      "a nested cause contains the request",
      (request) => failWith(new Error("outer", { cause: Object.assign(new Error("inner"), { request, key: apiKey }) }))
    ],
    ["the cause is a text with the key", () => failWith(`failed with ${apiKey}`)],
    ["the cause is the request", (request) => failWith(request)],
    ["the cause has several errors", () => failWith(new AggregateError([new Error(`no way for ${apiKey}`)], apiKey))],
    ["the cause is its own cause", () => {
      const error = new Error(apiKey)
      error.cause = error
      return failWith(error)
    }],
    [
      "the name and the code of the cause contain the key",
      () => failWith(Object.assign(new Error("x"), { name: apiKey, code: apiKey }))
    ],
    ["the HTTP client dies with the key", () => Effect.die(new Error(`invalid header ${apiKey}`))],
    ["an answer has the key in capitals", respond(403, `no ${apiKey.toUpperCase()}`)],
    ["an answer has the key split by line breaks", respond(403, `no ${apiKey.slice(0, 9)}\r\n ${apiKey.slice(9)}`)],
    [
      "an answer has the key as HTML entities",
      respond(403, `no ${Array.from(apiKey, (digit) => `&#${digit.charCodeAt(0)};`).join("")}`)
    ],
    ["the HTTP client throws the key", () => {
      throw new Error(`invalid header ${apiKey}`)
    }]
  ]

  for (const [condition, answer] of leaks) {
    it.effect(`hides the key in errors, logs and spans when ${condition}`, () =>
      Effect.gen(function*() {
        const { reporter } = yield* scriptReporter(answer)
        const logged: Array<string> = []
        const logger = Logger.make((options) => {
          logged.push(...renderings(options.message), ...renderings(options.cause), Logger.logfmtLogger.log(options))
        })
        const { spans, tracer } = yield* recordingTracer
        const exit = yield* reporter.flushMetrics(metrics).pipe(
          Effect.tapErrorCause((cause) => Effect.logError("flush failed", cause)),
          Effect.zipLeft(reporter.warm),
          Effect.withSpan("flush"),
          Effect.withTracer(tracer),
          Effect.exit,
          Logger.withMinimumLogLevel(LogLevel.All),
          Effect.provide(Logger.replace(Logger.defaultLogger, logger))
        )
        assert.isTrue(Exit.isFailure(exit))
        if (Exit.isFailure(exit)) {
          assert.isTrue(Cause.isFailType(exit.cause))
          assertNoKey(exit.cause)
          for (const error of Cause.failures(exit.cause)) assertNoKey(error)
        }
        assert.isAbove(logged.length, 0)
        assert.isAbove(spans.length, 0)
        assertHidden(logged, [apiKey])
        for (const span of spans) {
          assertHidden([inspect([span.name, span.attributes, span.status], { depth: Infinity })], [apiKey])
        }
      }))
  }
})
