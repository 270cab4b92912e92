import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { beforeAll } from "vitest"
import { bundle, node } from "../support/childProcess.js"
import { eventually } from "../support/wait.js"

/** The number of points by the second in which they were recorded. */
type Seconds = ReadonlyArray<readonly [second: number, count: number]>

const secondNow = () => Math.floor(Date.now() / 1000)

describe.concurrent("coarseClock in a process that is frozen between two bursts", () => {
  let program: string
  beforeAll(async () => {
    program = await bundle("test/runtime/recordingChild.ts")
  })

  for (const thread of ["main", "worker"]) {
    it.scopedLive(`gives points after the thaw their own time in the ${thread} thread`, () =>
      Effect.gen(function*() {
        const child = yield* node([program, thread], {})
        assert.strictEqual(yield* child.line, "\"recorded\"")
        yield* child.kill("SIGSTOP")
        // Buckets are one second long: the point after the thaw has to be in a later second than the burst.
        const frozen = secondNow()
        yield* eventually(() => secondNow() > frozen)
        yield* child.write("record")
        yield* child.kill("SIGCONT")
        const seconds: Seconds = JSON.parse(yield* child.line)
        const count = (isIn: (second: number) => boolean) =>
          seconds.filter(([second]) => isIn(second)).reduce((sum, [, points]) => sum + points, 0)
        assert.deepStrictEqual(
          [count((second) => second <= frozen), count((second) => second > frozen)],
          [1000, 1]
        )
      }))
  }
})
