import { FetchHttpClient, HttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { LocalIntake, ThreadStats } from "effect-threadstats"
import { layerIntake } from "../support/intake.js"
import { renderings } from "../support/secrets.js"
import {
  assertHidden,
  checkEncodedAnswers,
  checkFailures,
  checkHandlers,
  checkStatuses,
  failuresOf,
  keys,
  type Output,
  settings,
  statuses
} from "./leaks.js"

for (const [form, key] of Object.entries(keys)) {
  describe(`ThreadStats with ${form}`, () => {
    it.effect("hides the key when the receiver answers with any status", () => checkStatuses(key, statuses))

    it.effect("hides the key when the receiver answers with any encoding of it in any body", () =>
      checkEncodedAnswers(key, true))

    it.effect("hides the key when a request fails in any way with any cause", () =>
      checkFailures(key, failuresOf(key).all))

    it.effect("hides the key in the results of a Lambda handler with any answer of the receiver", () =>
      checkHandlers(key, true))
  })

  describe(`LocalIntake with ${form}`, () => {
    it.effect("hides the key in its requests and on its page when clients send over sockets", () =>
      Effect.gen(function*() {
        const output: Output = { texts: [], lines: 0 }
        const intake = yield* LocalIntake.LocalIntake
        for (const apiKey of [key, `${key}-wrong`]) {
          const options = { ...settings(apiKey), apiUrl: intake.url }
          for (
            const layer of [
              ThreadStats.layerWith(options),
              Layer.provide(ThreadStats.layerHttpClientWith(options), FetchHttpClient.layer)
            ]
          ) {
            const self = yield* ThreadStats.ThreadStats.pipe(
              Effect.tap((client) =>
                Effect.zipRight(client.warm, Effect.zipRight(client.event("t", "x"), client.flush()))
              ),
              Effect.provide(layer)
            )
            output.texts.push(...renderings(yield* self.stats))
          }
        }
        const get = (path: string, urlParams = {}) =>
          HttpClient.get(`${intake.url}${path}`, { urlParams }).pipe(
            Effect.flatMap((response) => response.text),
            Effect.withTracerEnabled(false),
            Effect.provide(FetchHttpClient.layer)
          )
        yield* get("/api/v1/validate", { api_key: key })
        const page = yield* get("/")
        const requests = yield* intake.requests
        assert.isAbove(requests.length, 3)
        output.texts.push(page, ...renderings(requests), ...renderings(intake), ...renderings(yield* intake.summary))
        assertHidden(output, key)
      }).pipe(Effect.provide(layerIntake({ apiKey: Redacted.make(key) }))))
  })
}
