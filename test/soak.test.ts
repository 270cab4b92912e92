import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Worker } from "node:worker_threads"
import { beforeAll } from "vitest"
import { bundle, node } from "./lambda/child.js"
import * as CountingIntake from "./soak/intake.js"
import type { Sample } from "./soak/protocol.js"

const variables = (intake: CountingIntake.CountingIntake) => ({
  AWS_LAMBDA_FUNCTION_NAME: "soak",
  DATADOG_HOST: intake.url,
  DD_API_KEY: "0123456789abcdef0123456789abcdef"
})

describe("20,000 invocations in one process", () => {
  const invocations = 20_000
  let loop = ""
  let soaked = ""

  beforeAll(async () => {
    loop = await bundle("../soak/loop.ts")
    soaked = await bundle("../soak/function.ts")
  }, 60_000)

  it.scopedLive("deliver every count, and leave no memory, handle or listener behind", () =>
    Effect.gen(function*() {
      const intake = yield* CountingIntake.make
      const child = yield* node(["--expose-gc", loop, soaked, String(invocations), "64"], variables(intake))
      const { code, stderr, stdout } = yield* child.ended
      assert.strictEqual(code, 0, stderr)
      assert.strictEqual(stderr, "")
      const { begun, failed, samples: [early, late] } = JSON.parse(stdout) as {
        readonly begun: number
        readonly failed: number
        readonly samples: readonly [Sample, Sample]
      }
      assert.deepStrictEqual({ begun, failed }, { begun: invocations, failed: 0 })
      const counted = Array.from({ length: invocations }, (_, index) => (index + 1) % 3 + 1)
      assert.deepStrictEqual(intake.sums, { "soak.count": counted.reduce((sum, count) => sum + count) })
      assert.isAbove(intake.posts(), invocations / 100)
      assert.isBelow(late.heap - early.heap, 5_000_000)
      assert.deepStrictEqual(late.resources, early.resources)
      assert.deepStrictEqual(late.listeners, early.listeners)
      assert.isBelow(intake.connections(), 5)
    }), 60_000)
})

describe("four worker threads", () => {
  let thread = ""

  beforeAll(async () => {
    thread = await bundle("../soak/thread.ts")
  }, 60_000)

  it.scopedLive(
    "each have an environment of their own, deliver all that they count, and end by themselves",
    () =>
      Effect.gen(function*() {
        const intake = yield* CountingIntake.make
        const ends = yield* Effect.forEach(Array.from({ length: 4 }), () =>
          Effect.gen(function*() {
            const worker = yield* Effect.acquireRelease(
              Effect.sync(() => new Worker(thread, { env: variables(intake), stderr: true })),
              (worker) => Effect.promise(() => worker.terminate())
            )
            const said: Array<unknown> = []
            worker.stderr.on("data", (chunk) => said.push(String(chunk)))
            worker.on("message", (message) => said.push(message))
            return yield* Effect.async<{ readonly said: ReadonlyArray<unknown>; readonly code: number }>((resume) => {
              worker.on("error", (error) => said.push(String(error)))
              worker.on("exit", (code) => resume(Effect.succeed({ said, code })))
            })
          }), { concurrency: "unbounded" })
        for (const end of ends) assert.deepStrictEqual(end, { said: ["invoked"], code: 0 })
        assert.deepStrictEqual(intake.sums, { "soak.count": 100 })
        assert.strictEqual(intake.posts(), 100)
      }),
    30_000
  )
})
