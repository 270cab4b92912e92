/** Runs deliveries on the test's clock. */
import { Effect, Fiber, Option, TestClock } from "effect"
import { Reporter } from "effect-threadstats"
import type { HttpReporter, Series } from "effect-threadstats"
import { reporter as scripted } from "../support/scriptedHttp.js"
import type { WireItem, WireReporter } from "../support/wireReporter.js"

export const gauge = (metric: string, value = 1): Series.Series => ({
  metric,
  points: [[1_700_000_000, value]],
  type: "gauge",
  tags: [],
  interval: 10
})

export const batchOf = (n: number) => Array.from({ length: n }, (_, i) => gauge(`m${i}`))

export const namesOf = (items: ReadonlyArray<WireItem>) => items.map((item) => (item as Series.Series).metric)

/** Sets the deadline of a flush, `budget` milliseconds from now. */
export const withBudget = (budget: number) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(TestClock.currentTimeMillis, (now) => Effect.provideService(effect, Reporter.Deadline, now + budget))

export const batch = [gauge("a")]

/** Delivers one batch while `pass` milliseconds pass. Returns the times of the requests and the result. */
export const run = Effect.fnUntraced(function*(
  answer: Parameters<typeof scripted>[0],
  options: {
    readonly budget: number
    readonly pass: number
    readonly settings?: Partial<HttpReporter.HttpReporterSettings>
    readonly deliver?: (reporter: WireReporter) => ReturnType<WireReporter["flushMetrics"]>
  }
) {
  yield* TestClock.setTime(1_000_000)
  const { reporter, requests } = yield* scripted(answer, options.settings)
  const deliver = options.deliver ?? ((to) => to.flushMetrics(batch))
  const fiber = yield* Effect.fork(Effect.either(withBudget(options.budget)(deliver(reporter))))
  yield* TestClock.adjust(options.pass)
  // A request that ends at its time limit may end a part of a millisecond later.
  yield* TestClock.adjust(1)
  const outcome = yield* Fiber.poll(fiber)
  return {
    times: requests.map(({ at }) => at - 1_000_000),
    result: yield* Option.getOrThrowWith(outcome, () => new Error("still running"))
  }
})
