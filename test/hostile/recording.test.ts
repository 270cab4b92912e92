import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { ThreadStats } from "effect-threadstats"
import * as hostile from "../support/hostile.js"
import { skipStackTraces } from "../support/stackTraces.js"
import { sumOf } from "./payload.js"
import { type Arguments, hugeTags, oddTags, type RecordingFunction, recordingFunctions } from "./recording.js"

skipStackTraces()

/** Makes a function that makes one call, and checks that it ends well, is counted once, and leaves all counts balanced. */
const makeCheck = Effect.map(ThreadStats.ThreadStats, (client) => {
  const recorded = { metrics: 0, events: 0 }
  return Effect.fnUntraced(function*(label: string, { call, records }: RecordingFunction, given: Arguments) {
    const exit = yield* Effect.exit(Effect.suspend(() => {
      const result = call(...given)
      return Effect.isEffect(result)
        ? hostile.lie<Effect.Effect<void, never, ThreadStats.ThreadStats>>(result)
        : Effect.void
    }))
    if (Exit.isFailure(exit)) assert.fail(`${label}: ${Cause.pretty(exit.cause).slice(0, 300)}`)
    recorded[records]++
    const { events, metrics } = yield* client.stats
    assert.deepStrictEqual([metrics.received, events.received], [recorded.metrics, recorded.events], label)
    assert.deepStrictEqual([sumOf(metrics), sumOf(events)], [recorded.metrics, recorded.events], label)
  })
})

/** Makes the calls of each function, and flushes after each function. A valid call follows the hostile ones. */
const checkEach = (
  functions: (client: ThreadStats.ThreadStats["Type"]) => ReadonlyArray<RecordingFunction>,
  callsOf: (given: RecordingFunction) => Iterable<readonly [label: string, given: Arguments]>
) =>
  Effect.gen(function*() {
    const client = yield* ThreadStats.ThreadStats
    const check = yield* makeCheck
    for (const recording of functions(client)) {
      for (const [label, given] of callsOf(recording)) yield* check(`${recording.label}(${label})`, recording, given)
      const { metrics: { delivered: metrics }, events: { delivered: events } } = yield* client.stats
      yield* check(recording.label, recording, [recording.label, recording.value, undefined])
      yield* client.flush()
      const stats = yield* client.stats
      assert.deepStrictEqual([stats.metrics.pending, stats.events.pending], [0, 0])
      assert.isAbove(stats.metrics.delivered + stats.events.delivered, metrics + events, recording.label)
    }
  }).pipe(Effect.provide(ThreadStats.layerTest))

describe("functions that record", () => {
  it.effect("count a hostile name, value or options once, and fail no program", () =>
    checkEach(recordingFunctions, function*({ label: own, value }) {
      for (const [label, make] of hostile.pool) {
        yield [`name: ${label}`, [make(), value, undefined]]
        yield [`value: ${label}`, [own, make(), undefined]]
        yield [`options: ${label}`, [own, value, make()]]
      }
    }))

  it.effect("count a call with a hostile option once, and fail no program", () =>
    checkEach(recordingFunctions, function*({ label: own, options, value }) {
      for (const name of options) {
        for (const [label, make] of hostile.others) yield [`${name}: ${label}`, [own, value, { [name]: make() }]]
      }
    }))

  it.effect("count a call with an option that throws once, and fail no program", () =>
    checkEach(recordingFunctions, function*({ label: own, options, value }) {
      for (const name of options) {
        const throwing = () => {
          throw new Error(name)
        }
        yield [`getter ${name}`, [own, value, Object.defineProperty({}, name, { get: throwing })]]
        yield [`proxy ${name}`, [
          own,
          value,
          new Proxy({}, { get: (_, key) => key === name ? throwing() : undefined })
        ]]
      }
    }))

  it.effect("count a call with odd tags once, and fail no program", () =>
    checkEach(recordingFunctions, function*({ label: own, value }) {
      for (const [label, make] of oddTags) yield [`tags: ${label}`, [own, value, { tags: make() }]]
    }))

  it.effect("count a call with tags of megabytes once, and fail no program", () =>
    checkEach(
      (client) =>
        recordingFunctions(client).filter(({ label }) =>
          ["unsafeGauge", "bindSet.unsafeAdd", "timer", "unsafeEvent"].includes(label)
        ),
      function*({ label: own, value }) {
        for (const [label, make] of hugeTags) yield [`tags: ${label}`, [own, value, { tags: make() }]]
      }
    ))
})
