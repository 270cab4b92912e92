import { assert, describe, it } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as TestClock from "effect/TestClock"
import { layerInProcess } from "../support/intake.js"
import { fault, gauge, observedFault, postEvent, postSeries, send } from "../support/intakeClient.js"

const validate = send("GET", "/api/v1/validate")

describe("LocalIntake.parseFault", () => {
  it("parses an action with a rate and a path", () => {
    for (
      const words of [
        "status=503",
        "status=503 rate=0.2",
        "delay=2s",
        "delay=100ms status=500",
        " hang  path=/api/v1/series ",
        "reset rate=1",
        "rate-limit",
        "rate-limit=30 rate=.5"
      ]
    ) {
      assert.strictEqual(fault(words).text, words.trim())
    }
  })

  it("returns a reason when the words are invalid", () => {
    for (
      const [words, reason] of [
        ["", /a fault is/],
        ["rate=0.2", /has no effect/],
        ["path=/a", /has no effect/],
        ["nonsense", /^"nonsense": "nonsense" is not a word of a fault, which is status=503/],
        ["status=503,rate=0.2", /^"status=503,rate=0.2": a status is .*, not "503,rate=0\.2"$/],
        ["delay=2 status=503", /^"delay=2": "2" has no unit: write 2ms, 2s or 2m$/],
        ["status=503 rate=20%", /^"rate=20%": a rate is .*, not "20%"$/],
        ["status", /from 200 to 599/],
        ["status=99", /from 200 to 599/],
        ["status=5e2", /from 200 to 599/],
        ["status=503 hang", /has one action/],
        ["status=503 status=500", /"status" is given twice/],
        ["hang=1", /takes no value/],
        ["delay=soon", /a delay is .*, not "soon"$/],
        ["delay", /a delay is .* such as delay=2s$/],
        ["delay=-1s", /a delay is .*, not "-1s"$/],
        ["delay=1h", /the unit "h" is unknown/],
        ["status=503 rate=2", /from 0 to 1/],
        ["status=503 rate=x", /from 0 to 1/],
        ["status=503 path=api", /begins with \//],
        ["rate-limit=0", /seconds/]
      ] as const
    ) {
      assert.match(Either.getOrThrow(Either.flip(LocalIntake.parseFault(words))), reason, words)
    }
  })
})

describe("the option faults", () => {
  it.effect("answers with the status or the rate limit of the fault on its path, and records it", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      assert.strictEqual((yield* validate).status, 200)
      assert.strictEqual((yield* postSeries(gauge("a", 0, 1))).status, 503)
      const limited = yield* postEvent({ title: "t", text: "" })
      assert.strictEqual(limited.status, 429)
      assert.deepInclude(limited.headers, {
        "x-ratelimit-limit": "1",
        "x-ratelimit-period": "7",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": "7"
      })
      assert.deepStrictEqual(yield* intake.series, [])
      assert.deepStrictEqual((yield* intake.requests).map(({ fault, status }) => [fault, status]), [
        [undefined, 200],
        ["status=503 path=/api/v1/series", 503],
        ["rate-limit=7 path=/api/v1/events", 429]
      ])
    }).pipe(
      Effect.provide(layerInProcess({
        faults: [fault("status=503 path=/api/v1/series"), fault("rate-limit=7 path=/api/v1/events")]
      }))
    ))

  it.effect("gives way to a scripted answer", () =>
    Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      yield* intake.script(["usual"])
      assert.strictEqual((yield* postSeries(gauge("a", 0, 1))).status, 202)
      assert.strictEqual((yield* postSeries(gauge("a", 0, 1))).status, 503)
    }).pipe(Effect.provide(layerInProcess({ faults: [fault("status=503")] }))))

  it.effect("applies a fault at its rate, to the same requests for the same seed", () =>
    Effect.gen(function*() {
      const statuses = (seed: number) =>
        Effect.replicateEffect(Effect.map(validate, ({ status }) => status), 40).pipe(
          Effect.provide(layerInProcess({ faults: [fault("status=500 rate=0.3")] })),
          Effect.withRandom(Random.make(seed))
        )
      const first = yield* statuses(1)
      assert.deepStrictEqual(yield* statuses(1), first)
      assert.notDeepEqual(yield* statuses(2), first)
      const failed = first.filter((status) => status === 500).length
      assert.isTrue(failed > 4 && failed < 22, String(failed))
    }))

  it.effect("delays an answer by exactly the delay of the fault", () => {
    const { applied, fault } = observedFault("delay=100ms")
    return Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const fiber = yield* Effect.fork(validate)
      yield* applied
      yield* TestClock.adjust("99 millis")
      assert.strictEqual((yield* intake.requests)[0]?.status, undefined)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* Fiber.join(fiber)).status, 200)
      assert.deepInclude((yield* intake.requests)[0], { fault: "delay=100ms", status: 200, duration: 100 })
    }).pipe(Effect.provide(layerInProcess({ faults: [fault] })))
  })

  it.effect("never answers a request that hangs", () => {
    const { applied, fault } = observedFault("hang")
    return Effect.gen(function*() {
      const intake = yield* LocalIntake.LocalIntake
      const fiber = yield* Effect.fork(validate)
      yield* applied
      yield* TestClock.adjust("1 day")
      assert.deepStrictEqual(yield* Fiber.poll(fiber), Option.none())
      assert.deepInclude((yield* intake.requests)[0], { fault: "hang", status: undefined })
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(layerInProcess({ faults: [fault] })))
  })

  it.effect("answers requests that hang or are delayed with 503 when the intake closes", () => {
    const hang = observedFault("hang path=/api/v1/validate")
    const delay = observedFault("delay=10m")
    return Effect.gen(function*() {
      const fibers = yield* Effect.gen(function*() {
        const fibers = [
          yield* Effect.forkDaemon(validate),
          yield* Effect.forkDaemon(postSeries(gauge("a", 0, 1)))
        ]
        yield* hang.applied
        yield* delay.applied
        return fibers
      }).pipe(Effect.provide(layerInProcess({ faults: [hang.fault, delay.fault] })))
      for (const fiber of fibers) assert.strictEqual((yield* fiber).status, 503)
    })
  })
})
