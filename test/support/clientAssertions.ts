/** Assertions about a client, shared by the tests of `ThreadStats` and of its pipeline. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { Reporter, ThreadStats } from "effect-threadstats"

export const seconds = (n: number) => n * 1000

/** Gives a value any type, for the calls that a caller without a type checker can make. */
export const untyped = <A>(value: unknown): A => value as A

/** The series, distributions and events that the memory reporter holds. */
export const memoryContents = Effect.flatMap(
  Reporter.MemoryReporter,
  ({ distributions, events, metrics }) => Effect.all({ distributions, events, metrics })
)

/** The name and the first value of every series. */
export const metricValues = (
  series: ReadonlyArray<{ readonly metric: string; readonly points: ReadonlyArray<readonly [number, unknown]> }>
) => series.map(({ metric, points }) => [metric, points[0]?.[1]])

const sumOf = (counts: ThreadStats.Counts<string>) =>
  counts.delivered + counts.pending + Object.values(counts.dropped).reduce<number>((a, b) => a + (b ?? 0), 0)

/** Checks promise 6 for these statistics: recorded = delivered + pending + dropped. */
export const assertBalanced = ({ events, metrics }: Pick<ThreadStats.Stats, "events" | "metrics">): void => {
  assert.strictEqual(metrics.received, sumOf(metrics))
  assert.strictEqual(events.received, sumOf(events))
}

/** Checks promise 6 for the client: recorded = delivered + pending + dropped. */
export const assertAllAccounted = Effect.map(ThreadStats.stats, assertBalanced)
