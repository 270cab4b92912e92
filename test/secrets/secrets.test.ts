import { HttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Redacted } from "effect"
import { LocalIntake, ThreadStats } from "effect-threadstats"
import { layerInProcess } from "../support/intake.js"
import { formsOf, renderings } from "../support/secrets.js"
import {
  assertHidden,
  checkEncodedAnswers,
  checkFailures,
  checkHandlers,
  checkKeySource,
  checkSettings,
  checkStatuses,
  failuresOf,
  keys,
  type Output,
  settings,
  watch
} from "./leaks.js"

for (const [form, key] of Object.entries(keys)) {
  describe(`ThreadStats with ${form}`, () => {
    it.effect("hides the key when the receiver answers with an error or a redirect that contains it", () =>
      checkStatuses(key, [202, 302, 400, 403, 429, 503]))

    it.effect("hides the key when the receiver answers with an encoding of it", () => checkEncodedAnswers(key, false))

    it.effect("hides the key when a request fails with an error that contains it", () =>
      // The cause decides on the places of the key. The characters of the key only decide on its encoding.
      checkFailures(key, /^\w+$/.test(key) ? failuresOf(key).causes : failuresOf(key).kinds))

    it.effect("hides the key when its source returns an invalid or a refused one", () => checkKeySource(key))

    it.effect("hides the key in its settings and in the errors of invalid settings", () => checkSettings(key))

    it.effect("hides the key in the results of a Lambda handler", () => checkHandlers(key, false))
  })

  describe(`LocalIntake with ${form}`, () => {
    it.effect("hides the key in its requests and on its page", () =>
      Effect.gen(function*() {
        const output: Output = { texts: [], lines: 0 }
        const intake = yield* LocalIntake.LocalIntake
        const http = yield* HttpClient.HttpClient
        for (const apiKey of [key, `${key}-wrong`]) {
          const client = ThreadStats.layerHttpClientWith({ ...settings(apiKey), apiUrl: "http://127.0.0.1:8080" })
          yield* watch(
            output,
            Effect.gen(function*() {
              const self = yield* ThreadStats.ThreadStats
              yield* self.warm
              yield* self.event("t", "x")
              yield* self.flush()
              output.texts.push(...renderings(yield* self.stats))
            }).pipe(Effect.provide(Layer.provide(client, Layer.succeed(HttpClient.HttpClient, http))))
          )
        }
        const get = (path: string, urlParams = {}) =>
          Effect.flatMap(http.get(`http://127.0.0.1:8080${path}`, { urlParams }), (response) => response.text)
        yield* get("/api/v1/validate", { api_key: key })
        const page = yield* get("/")
        const requests = yield* intake.requests
        assert.isAbove(requests.length, 3)
        output.texts.push(page, ...renderings(requests), ...renderings(intake), ...renderings(yield* intake.summary))
        assertHidden(output, key)
      }).pipe(Effect.provide(layerInProcess({ apiKey: Redacted.make(key) }))))
  })
}

describe("renderings", () => {
  it("exposes a key in every encoding and nested value", () => {
    const key = keys["a key of letters and digits"]
    for (const form of formsOf(key)) {
      for (
        const value of [
          form,
          new Error(form),
          { deep: { er: [form] } },
          Cause.fail({ form }),
          Exit.die(new Error(form))
        ]
      ) {
        assert.throws(() => assertHidden({ texts: [...renderings(value)], lines: 0 }, key))
      }
    }
  })
})

describe("watch", () => {
  const key = keys["a key of letters and digits"]
  const leaks: Record<string, Effect.Effect<unknown, unknown>> = {
    "a log": Effect.log(`with ${key}`),
    "an annotation of a log": Effect.annotateLogs(Effect.log("annotated"), { key }),
    "console.error": Effect.sync(() => console.error({ key })),
    "standard output": Effect.sync(() => process.stdout.write(`with ${key}\n`)),
    "a failure": Effect.fail({ cause: new Error(`with ${key}`) }),
    "a defect": Effect.die({ key }),
    "a span's attributes": Effect.withSpan(Effect.void, "span", { attributes: { key } }),
    "a span's exit": Effect.ignore(Effect.withSpan(Effect.fail({ key }), "span")),
    "a result": Effect.succeed(key)
  }
  for (const [place, effect] of Object.entries(leaks)) {
    it.effect(`finds a key in ${place}`, () =>
      Effect.gen(function*() {
        const output: Output = { texts: [], lines: 0 }
        yield* watch(output, effect)
        assert.throws(() => assertHidden(output, key))
      }))
  }
})
