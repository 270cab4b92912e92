import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ThreadStats } from "effect-threadstats"
import { metricValues, untyped } from "../support/clientAssertions.js"
import * as scripted from "../support/scripted.js"

describe("flush", () => {
  const invalid: { readonly [option: string]: ThreadStats.FlushOptions } = {
    "`upTo` is an invalid date": { upTo: new Date(Number.NaN) },
    "`upTo` is not a number": { upTo: Number.NaN },
    "`upTo` is not a time": { upTo: untyped("yesterday") },
    "`timeout` is not a duration": { timeout: untyped("soon") },
    "reading an option throws": {
      get upTo(): never {
        throw new Error("broken getter")
      }
    },
    "an option has another name": untyped({ upto: 0 }),
    "the options are not an object": untyped("5 seconds")
  }
  for (const [fault, options] of Object.entries(invalid)) {
    it.effect(`sends everything and logs one warning when ${fault}`, () => {
      const reporter = scripted.make()
      const lines: Array<scripted.Line> = []
      return Effect.gen(function*() {
        yield* ThreadStats.gauge("open", 1)
        const { metrics } = yield* ThreadStats.flush(options)
        assert.deepStrictEqual(metrics, { delivered: 1, pending: 0, dropped: 0 })
        assert.deepStrictEqual(metricValues(reporter.series()), [["open", 1]])
        assert.lengthOf(lines, 1)
        assert.match(lines[0]!.message, /^Ignored an invalid option of a flush: (?:upTo|timeout|upto|options)\. ./)
      }).pipe(Effect.provide([scripted.client(reporter), scripted.logsTo(lines)]))
    })
  }
})
