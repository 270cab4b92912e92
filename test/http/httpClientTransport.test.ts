import * as Headers from "@effect/platform/Headers"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { assert, describe } from "@effect/vitest"
import type * as Reporter from "effect-threadstats/Reporter"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as TestClock from "effect/TestClock"
import { apiKey, sweepKeys } from "../support/keySweep.js"
import { events, metrics } from "../support/reporterContract.js"
import type { WireError } from "../support/wireReporter.js"
import { makeOver, respond, scriptReporter } from "./fakeClient.js"

const it = sweepKeys(apiKey)

describe("httpClientTransport", () => {
  it.effect("adds the header of the key to the redacted names during a request", () =>
    Effect.gen(function*() {
      const redacted: Array<string | RegExp> = []
      const client = HttpClient.make((request) =>
        Effect.map(FiberRef.get(Headers.currentRedactedNames), (names) => {
          redacted.push(...names)
          return HttpClientResponse.fromWeb(request, new Response("{}", { status: 202 }))
        })
      )
      const reporter = yield* makeOver(client)
      yield* reporter.flushMetrics(metrics)
      assert.includeMembers(redacted, ["dd-api-key", "authorization"])
      assert.notInclude(yield* FiberRef.get(Headers.currentRedactedNames), "dd-api-key")
    }))

  it.effect("reads an answer to its end, or a megabyte of it", () =>
    Effect.gen(function*() {
      const chunk = new Uint8Array(64 * 1024)
      let pulled = 0
      const endless = (total: number) =>
        new ReadableStream<Uint8Array>({
          pull(controller) {
            pulled += chunk.length
            controller.enqueue(chunk)
            if (pulled >= total) controller.close()
          }
        })
      for (const [total, read] of [[256 * 1024, 256 * 1024], [64 * 1024 * 1024, 2 * 1024 * 1024]] as const) {
        pulled = 0
        const { reporter } = yield* scriptReporter(() =>
          Effect.sync(() => new Response(endless(total), { status: 202 }))
        )
        assert.strictEqual((yield* reporter.flushMetrics(metrics)).payloads, 1)
        assert.isAtLeast(pulled, Math.min(total, 1024 * 1024))
        assert.isAtMost(pulled, read)
      }
    }))

  it.effect("reads the body of every answer, whatever its status", () =>
    Effect.gen(function*() {
      for (const status of [202, 400, 403, 413, 429, 503]) {
        const responses: Array<Response> = []
        const { reporter } = yield* scriptReporter(() =>
          Effect.sync(() => {
            const response = new Response(`{"errors":["x"]}`, { status })
            responses.push(response)
            return response
          })
        )
        yield* Effect.exit(reporter.flushMetrics(metrics.slice(0, 1)))
        yield* Effect.exit(reporter.flushEvents(events))
        yield* reporter.warm
        assert.strictEqual(responses.length, 2 + events.length)
        for (const response of responses) assert.isTrue(response.bodyUsed)
      }
    }))

  it.effect("decides by the status when the body of an answer does not end", () =>
    Effect.gen(function*() {
      for (const status of [202, 500]) {
        const read = yield* Deferred.make<void>()
        const { reporter } = yield* scriptReporter(() =>
          Effect.sync(() =>
            new Response(
              new ReadableStream({
                pull: (controller) => {
                  controller.enqueue(new Uint8Array([123]))
                  Deferred.unsafeDone(read, Exit.void)
                  return new Promise(() => {})
                }
              }),
              { status }
            )
          )
        )
        const fiber = yield* Effect.fork(Effect.exit(reporter.flushMetrics(metrics)))
        yield* Deferred.await(read)
        yield* TestClock.adjust("3 seconds")
        const exit = yield* Fiber.join(fiber)
        assert.strictEqual(Exit.isSuccess(exit), status === 202)
        if (Exit.isFailure(exit)) assert.include(Cause.pretty(exit.cause), "ServerError")
      }
    }))

  const expectTimeout = Effect.fnUntraced(function*(
    answer: Effect.Effect<Response>,
    run: (flush: Effect.Effect<unknown, WireError>) => Effect.Effect<unknown, WireError>
  ) {
    const { reporter, requests } = yield* scriptReporter(() => answer, { requestTimeout: Duration.millis(250) })
    const fiber = yield* Effect.fork(Effect.flip(run(reporter.flushMetrics(metrics))))
    yield* TestClock.adjust("249 millis")
    assert.strictEqual(requests.length, 1)
    assert.isNull(fiber.unsafePoll())
    yield* TestClock.adjust("1 millis")
    const error = yield* Fiber.join(fiber)
    assert.strictEqual(error.reason, "Timeout")
    assert.deepStrictEqual(error.undelivered, metrics)
  })

  it.effect("fails with Timeout when the HTTP client does not answer", () =>
    expectTimeout(Effect.never, (flush) => flush))

  it.effect("fails with Timeout when the HTTP client cannot be interrupted", () =>
    expectTimeout(Effect.uninterruptible(Effect.never), (flush) => flush))

  it.effect("fails with Timeout in a region that cannot be interrupted", () =>
    expectTimeout(Effect.never, Effect.uninterruptible))

  it.effect("delivers from the finalizer of an interrupted fiber", () =>
    Effect.gen(function*() {
      const { reporter, requests } = yield* scriptReporter(respond(202))
      const receipt = yield* Deferred.make<Reporter.Receipt, WireError>()
      const fiber = yield* Effect.fork(
        Effect.ensuring(Effect.never, Effect.intoDeferred(reporter.flushMetrics(metrics), receipt))
      )
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(fiber)
      assert.strictEqual((yield* Deferred.await(receipt)).items, metrics.length)
      assert.strictEqual(requests.length, 1)
    }))

  it.effect("stops the request when the flush is interrupted", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const stopped = yield* Deferred.make<void>()
      const { reporter } = yield* scriptReporter(() =>
        Effect.zipRight(Deferred.succeed(started, undefined), Effect.never).pipe(
          Effect.onInterrupt(() => Deferred.succeed(stopped, undefined))
        )
      )
      const fiber = yield* Effect.fork(reporter.flushMetrics(metrics))
      yield* Deferred.await(started)
      const exit = yield* Fiber.interrupt(fiber)
      assert.isTrue(Exit.isInterrupted(exit))
      yield* Deferred.await(stopped)
    }))

  it.effect("stops warming when requestTimeout passes", () =>
    Effect.gen(function*() {
      const { reporter } = yield* scriptReporter(() => Effect.never)
      const fiber = yield* Effect.fork(reporter.warm)
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.void)
    }))
})
