import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { ThreadStats } from "effect-threadstats"
import { memoryContents, metricValues } from "../support/clientAssertions.js"
import * as scripted from "../support/scripted.js"

const throwing = (value: unknown) => () => {
  throw value
}

/** A value whose every use throws. */
const unprintable = new Proxy({}, {
  get: throwing(new Error("get")),
  has: throwing(new Error("has")),
  getPrototypeOf: throwing(new Error("getPrototypeOf"))
})

const hooks: { readonly [kind: string]: () => void } = {
  "throws an error": throwing(new Error("broken hook")),
  "dies in an effect": () => Effect.runSync(Effect.die(new Error("broken hook"))),
  "fails in an effect": () => Effect.runSync(Effect.fail("broken hook")),
  "throws undefined": throwing(undefined),
  "throws an object that cannot be converted to a string": throwing(Object.create(null)),
  "throws a value that cannot be printed": throwing(unprintable)
}

const throwingLoggers: { readonly [kind: string]: Layer.Layer<never> } = {
  "throws an error": Logger.replace(Logger.defaultLogger, Logger.make(throwing(new Error("broken logger")))),
  "throws a value that cannot be printed": Logger.replace(Logger.defaultLogger, Logger.make(throwing(unprintable)))
}

/** Flushes with a failing hook and a working one, and closes the scope of both. */
const flushWith = (hook: () => void) =>
  Effect.gen(function*() {
    const client = yield* ThreadStats.ThreadStats
    yield* Effect.scoped(Effect.gen(function*() {
      yield* client.onFlush(hook)
      yield* client.onFlush(() => client.unsafeGauge("other", 1))
      yield* client.gauge("g", 1)
      const { errors, metrics } = yield* client.flush()
      assert.deepStrictEqual({ errors, metrics }, { errors: [], metrics: { delivered: 2, pending: 0, dropped: 0 } })
      assert.sameDeepMembers(metricValues((yield* memoryContents).metrics), [["g", 1], ["other", 1]])
    }))
    const { metrics } = yield* client.flush()
    assert.deepStrictEqual(metrics, { delivered: 1, pending: 0, dropped: 0 })
  })

describe("onFlush", () => {
  for (const [kind, hook] of Object.entries(hooks)) {
    it.effect(`delivers everything else and logs one warning for each run when a hook ${kind}`, () => {
      const lines: Array<scripted.Line> = []
      return Effect.gen(function*() {
        yield* flushWith(hook)
        assert.deepStrictEqual(lines.map(({ level }) => level), ["WARN", "WARN"])
        for (const { message } of lines) assert.match(message, /^A flush hook failed: ./)
      }).pipe(Effect.provide(Layer.merge(ThreadStats.layerTest, scripted.logsTo(lines))))
    })

    for (const [loggerKind, layerLogger] of Object.entries(throwingLoggers)) {
      it.effect(`delivers everything else when a hook ${kind} and the logger ${loggerKind}`, () =>
        flushWith(hook).pipe(Effect.provide(Layer.merge(ThreadStats.layerTest, layerLogger))))
    }
  }
})
