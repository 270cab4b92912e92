import { FetchHttpClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import * as Reporter from "effect-threadstats/Reporter"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { layerEventsAggregator, layerMetricsAggregator, layerReporterWith } from "../support/layers.js"

const src = fileURLToPath(new URL("../../src", import.meta.url))

/** The modules of the library. The page and the command are programs, whose state lives as long as their process. */
const modules = readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts") && !/^intake\/(?:page|cli)\//.test(file))

/** Declarations at module level that can change: the formatter puts these at the beginning of a line. */
const mutable = [
  /^(?:export )?(?:let|var) .*/gm,
  // Collections are allowed if their declared type is read-only.
  /^(?:export )?const \w+(?:: (?!Readonly)[^=\n]+)? =\s+(?:\/\*#__PURE__\*\/ )?new (?:Map|Set|WeakMap|WeakSet|Array)\b.*/gm,
  /^(?:export )?const \w+: (?:Array|Map|Set|Record)<.*/gm,
  /^(?:export )?const \w+ = (?:\[\]|\{\}).*/gm
]

describe("modules of src", () => {
  it("declare no mutable state at module level", () => {
    assert.isAbove(modules.length, 50)
    const found = modules.flatMap((file) => {
      const text = readFileSync(join(src, file), "utf8")
      return mutable.flatMap((pattern) => Array.from(text.matchAll(pattern), ([line]) => `${file}: ${line}`))
    })
    assert.deepStrictEqual(found, [])
  })
})

class First extends Context.Tag("test/First")<First, ThreadStats.ThreadStats["Type"]>() {}
class Second extends Context.Tag("test/Second")<Second, ThreadStats.ThreadStats["Type"]>() {}

const settings = Layer.setConfigProvider(
  ConfigProvider.fromMap(new Map([["DD_API_KEY", "key"], ["DD_THREADSTATS_PERIODIC_FLUSH", "false"]]))
)

describe("ThreadStats layers", () => {
  const layers = {
    layer: ThreadStats.layer,
    layerHttpClient: Layer.provide(ThreadStats.layerHttpClient, FetchHttpClient.layer),
    layerDogStatsD: ThreadStats.layerDogStatsD,
    layerAuto: ThreadStats.layerAuto,
    layerTest: ThreadStats.layerTest,
    "layer()": layerReporterWith({ periodicFlush: false }).pipe(
      Layer.provide([layerMetricsAggregator, layerEventsAggregator, Reporter.layerMemory])
    )
  } as const

  for (const [name, layer] of Object.entries(layers)) {
    it.scoped(`create one client when ${name} is used twice in a build, and another in the next build`, () =>
      Effect.gen(function*() {
        const client = layer as Layer.Layer<ThreadStats.ThreadStats>
        const both = Layer.build(
          Layer.merge(
            Layer.provide(Layer.effect(First, ThreadStats.ThreadStats), client),
            Layer.provide(Layer.effect(Second, ThreadStats.ThreadStats), client)
          ).pipe(Layer.provide(settings))
        )
        const [context, next] = [yield* both, yield* both]
        assert.strictEqual(Context.get(context, First), Context.get(context, Second))
        assert.notStrictEqual(Context.get(context, First), Context.get(next, First))
        // An invalid point is counted and leaves nothing to flush.
        Context.get(context, First).unsafeGauge("x", Number.NaN)
        assert.strictEqual((yield* Context.get(context, Second).stats).metrics.received, 1)
        assert.strictEqual((yield* Context.get(next, First).stats).metrics.received, 0)
      }))
  }
})
