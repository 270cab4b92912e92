import { assert, describe, it } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { request } from "node:http"
import { layerIntake } from "../support/intake.js"
import { fault, observedFault } from "../support/intakeClient.js"

/** Sends a request on a connection of its own, and returns the status of the answer. Interruption closes the connection. */
const send = (method: string, path: string, body?: unknown): Effect.Effect<number, Error, LocalIntake.LocalIntake> =>
  Effect.flatMap(LocalIntake.LocalIntake, ({ url }) =>
    Effect.async<number, Error>((resume) => {
      const sent = request(url + path, { method, headers: { "dd-api-key": "k" }, agent: false }, (response) => {
        response.resume()
        response.on("end", () => resume(Effect.succeed(response.statusCode!)))
      })
      sent.on("error", (error) => resume(Effect.fail(error)))
      sent.end(body === undefined ? undefined : JSON.stringify(body))
      return Effect.sync(() => sent.destroy())
    }))

const validate = send("GET", "/api/v1/validate")

describe("the option faults on a port", () => {
  it.effect("resets the connection of a request when the fault is reset", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const error = yield* Effect.flip(send("POST", "/api/v1/series", { series: [] }))
      assert.include(["ECONNRESET", "EPIPE"], (error as NodeJS.ErrnoException).code)
      assert.deepStrictEqual((yield* intake.requests).map(({ fault, status }) => [fault, status]), [
        ["reset", undefined]
      ])
    }).pipe(Effect.provide(layerIntake({ faults: [fault("reset")] }))))

  it.effect("leaves a request that hangs without an answer when its client disconnects", () => {
    const { applied, fault } = observedFault("hang")
    return Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const fiber = yield* Effect.fork(validate)
      yield* applied
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual((yield* intake.requests).map(({ fault, status }) => [fault, status]), [
        ["hang", undefined]
      ])
    }).pipe(Effect.provide(layerIntake({ faults: [fault] })))
  })

  it.effect("closes the intake while requests hang or are delayed, and answers them with 503", () => {
    const hang = observedFault("hang path=/api/v1/validate")
    const delay = observedFault("delay=10m")
    return Effect.gen(function*() {
      const fibers = yield* Effect.gen(function*() {
        const fibers = [
          yield* Effect.forkDaemon(validate),
          yield* Effect.forkDaemon(send("POST", "/api/v1/series", { series: [] }))
        ]
        yield* hang.applied
        yield* delay.applied
        return fibers
      }).pipe(Effect.provide(layerIntake({ faults: [hang.fault, delay.fault] })))
      for (const fiber of fibers) assert.strictEqual(yield* fiber, 503)
    })
  })
})
