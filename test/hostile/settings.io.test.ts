import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import { ThreadStatsConfig } from "effect-threadstats"
import { cpuMillis } from "./cpuTime.js"
import {
  checkArrays,
  checkOption,
  checkOptions,
  checkRedactedKeys,
  checkVariable,
  makeCheck,
  optionNames,
  variableNames
} from "./settings.js"

const all = { every: 1 }

describe("ThreadStats with hostile variables", () => {
  it.effect.each(variableNames)(
    "records and sends valid payloads with every accepted text of %s",
    (name) => checkVariable(makeCheck(all), name)
  )
})

describe("ThreadStats with hostile options", () => {
  it.effect.each(optionNames)(
    "records and sends valid payloads with every accepted value of %s",
    (name) => checkOption(makeCheck(all), name)
  )

  it.effect("records and sends valid payloads with every accepted element of an array option", () =>
    checkArrays(makeCheck(all)))

  it.effect("records and sends valid payloads with every accepted redacted apiKey", () =>
    checkRedactedKeys(makeCheck(all)))

  it.effect("records and sends valid payloads with every accepted value in place of the options", () =>
    checkOptions(makeCheck(all)))
})

describe("ThreadStatsConfig.make", () => {
  it("takes time in proportion to the length of a variable", () => {
    const textsOf = (length: number): ReadonlyArray<readonly [string, string]> => [
      ["DD_THREADSTATS_NAMESPACE", `a${".".repeat(length)}x`],
      ["DATADOG_HOST", `http://a${"/".repeat(length)}x`],
      ["DD_SITE", `a${"/".repeat(length)}\nx`],
      ["DATADOG_TAGS", Array.from({ length: length / 5 }, (_, i) => `t${i}`).join(",")],
      ["DD_THREADSTATS_PERCENTILES", Array.from({ length: length / 25 }, (_, i) => `0.${i + 10_000}`).join(",")]
    ]
    const resolve = (name: string, text: string) => () =>
      Effect.runSyncExit(
        Effect.withConfigProvider(ThreadStatsConfig.make(), ConfigProvider.fromMap(new Map([[name, text]])))
      )
    const [short, long] = [textsOf(10_000), textsOf(80_000)]
    for (const [i, [name, text]] of short.entries()) {
      // Eight times the text takes 8 times as long if time is linear, and 64 times if it is quadratic.
      const limit = 24 * Math.max(1, cpuMillis(resolve(name, text)))
      assert.isBelow(cpuMillis(resolve(name, long[i]![1])), limit, name)
    }
  })
})
