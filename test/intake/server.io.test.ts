import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpApiClient from "@effect/platform/HttpApiClient"
import { assert, describe, it } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { layerIntake } from "../support/intake.js"
import { metrics } from "../support/reporterContract.js"

const post = (url: string, body: unknown) =>
  Effect.promise((signal) =>
    fetch(`${url}/api/v1/series`, {
      method: "POST",
      headers: { "dd-api-key": "k" },
      body: JSON.stringify(body),
      signal
    })
  )

describe("LocalIntake on a port", () => {
  it.effect("accepts 200 requests over 50 concurrent connections", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const bodies = Array.from({ length: 200 }, (_, index) => ({
        series: [{ metric: `m${index}`, points: [[1, index]] }]
      }))
      const replies = yield* Effect.forEach(bodies, (body) => post(intake.url, body), { concurrency: 50 })
      for (const { status } of replies) assert.strictEqual(status, 202)
      const names = new Set((yield* intake.series).map(({ metric }) => metric))
      assert.strictEqual(names.size, bodies.length)
      assert.strictEqual((yield* intake.requests).length, bodies.length)
    }).pipe(Effect.provide(layerIntake())))

  it.effect("listens beside another intake on another port", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* Effect.gen(function*() {
        const other = yield* LocalIntake.LocalIntake
        assert.notStrictEqual(other.url, intake.url)
        yield* post(other.url, { series: metrics })
        assert.strictEqual((yield* other.series).length, metrics.length)
      }).pipe(Effect.provide(layerIntake()))
      assert.deepStrictEqual(yield* intake.series, [])
    }).pipe(Effect.provide(layerIntake())))

  it.effect("answers the derived client over fetch with typed errors", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const client = yield* HttpApiClient.make(LocalIntake.Api, { baseUrl: intake.url })
      assert.deepStrictEqual(yield* Effect.flip(client.datadog.validate()), { errors: ["API key required"] })
      assert.deepStrictEqual((yield* client.view()).requests.map(({ status }) => status), [403])
    }).pipe(Effect.provide([layerIntake(), FetchHttpClient.layer])))

  it.effect("closes while a request is pending, and answers the request with 503", () =>
    Effect.gen(function*() {
      const arrived = yield* Deferred.make<void>()
      const pending = yield* Effect.gen(function*() {
        const intake = yield* LocalIntake.LocalIntake
        yield* intake.script([Effect.zipRight(Deferred.succeed(arrived, undefined), Effect.never)])
        const fiber = yield* Effect.forkDaemon(post(intake.url, { series: metrics }))
        yield* Deferred.await(arrived)
        return fiber
      }).pipe(Effect.provide(layerIntake()))
      assert.strictEqual((yield* Fiber.join(pending)).status, 503)
    }))
})
