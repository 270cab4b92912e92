import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { ThreadStats } from "effect-threadstats"
import * as scripted from "../support/scripted.js"

describe("ThreadStats.orDisabled", () => {
  it.effect("logs the error once and builds a disabled client when a setting is invalid", () => {
    const lines: Array<scripted.Line> = []
    return Effect.gen(function*() {
      for (let i = 0; i < 3; i++) {
        yield* ThreadStats.increment("c")
        assert.deepInclude(yield* ThreadStats.flush(), { payloads: 0, errors: [] })
      }
      assert.strictEqual((yield* ThreadStats.stats).metrics.received, 0)
      assert.isTrue((yield* ThreadStats.ThreadStats).config.disabled)
      assert.lengthOf(lines, 1)
      assert.strictEqual(lines[0]!.level, "ERROR")
      assert.match(
        lines[0]!.message,
        /^The client is disabled, because it could not be built: .*\bsite\b.*datadoghq\.eu/s
      )
    }).pipe(
      Effect.provide(
        Layer.provideMerge(ThreadStats.orDisabled(ThreadStats.layerWith({ site: "no site" })), scripted.logsTo(lines))
      )
    )
  })

  it.effect("leaves a valid client as it is", () => {
    const reporter = scripted.make()
    const lines: Array<scripted.Line> = []
    return Effect.gen(function*() {
      yield* ThreadStats.increment("c")
      assert.strictEqual((yield* ThreadStats.flush()).metrics.delivered, 1)
      assert.deepStrictEqual(lines, [])
    }).pipe(
      Effect.provide(Layer.provideMerge(ThreadStats.orDisabled(scripted.client(reporter)), scripted.logsTo(lines)))
    )
  })

  it.effect("does not catch a defect", () =>
    Effect.gen(function*() {
      const layer = ThreadStats.orDisabled(Layer.effect(ThreadStats.ThreadStats, Effect.die("bug")))
      assert.strictEqual((yield* Effect.exit(Effect.scoped(Layer.build(layer))))._tag, "Failure")
    }))
})
