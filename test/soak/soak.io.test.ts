import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { Worker } from "node:worker_threads"
import { beforeAll } from "vitest"
import { bundle, node } from "../support/childProcess.js"
import { apiKey, assertHidden } from "../support/keySweep.js"
import * as CountingIntake from "./intake.js"
import type { Sample } from "./protocol.js"

const variables = (intake: CountingIntake.CountingIntake) => ({
  AWS_LAMBDA_FUNCTION_NAME: "soak",
  DATADOG_HOST: intake.url,
  DD_API_KEY: apiKey,
  // A request that takes longer on a busy machine must not be sent twice.
  DD_THREADSTATS_REQUEST_TIMEOUT: "60"
})

describe("Lambda.makeHandler in one process", () => {
  const invocations = 20_000
  let loop = ""
  let soaked = ""

  beforeAll(async () => {
    loop = await bundle("test/soak/loop.ts")
    soaked = await bundle("test/soak/function.ts")
  })

  it.scopedLive("delivers the counts of 20,000 invocations and retains no memory, handle or listener", () =>
    Effect.gen(function*() {
      const intake = yield* CountingIntake.make
      const child = yield* node(["--expose-gc", loop, soaked, String(invocations), "64"], variables(intake))
      const { code, stderr, stdout } = yield* child.ended
      assert.strictEqual(code, 0, stderr)
      assert.strictEqual(stderr, "")
      assertHidden([stdout, stderr], [apiKey])
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
    }))
})

describe("Lambda.makeHandler in worker threads", () => {
  let thread = ""

  beforeAll(async () => {
    thread = await bundle("test/soak/thread.ts")
  })

  /** Runs a worker thread until it ends by itself. `counted` is the sum at the intake when its last message arrived. */
  const runThread = (intake: CountingIntake.CountingIntake, more: Record<string, string> = {}) =>
    Effect.gen(function*() {
      const worker = yield* Effect.acquireRelease(
        Effect.sync(() => new Worker(thread, { env: { ...variables(intake), ...more }, stdout: true, stderr: true })),
        (worker) => Effect.promise(() => worker.terminate())
      )
      const messages: Array<unknown> = []
      const output: Array<string> = []
      let counted: number | undefined
      for (const stream of [worker.stdout, worker.stderr]) stream.on("data", (chunk) => output.push(String(chunk)))
      worker.on("message", (message) => {
        messages.push(message)
        counted = intake.sums["soak.count"]
      })
      worker.on("error", (error) => messages.push(String(error)))
      const code = yield* Effect.async<number>((resume) => {
        worker.on("exit", (code) => resume(Effect.succeed(code)))
      })
      assertHidden(output, [apiKey])
      return { messages, code, counted, output: output.join("") }
    })

  it.scopedLive(
    "builds a layer in each thread, delivers every count, and lets the thread end",
    () =>
      Effect.gen(function*() {
        const intake = yield* CountingIntake.make
        const ends = yield* Effect.forEach(Array.from({ length: 4 }), () => runThread(intake), {
          concurrency: "unbounded"
        })
        for (const { code, messages, output } of ends) {
          assert.deepStrictEqual({ code, messages, output }, { code: 0, messages: ["invoked"], output: "" })
        }
        assert.deepStrictEqual(intake.sums, { "soak.count": 100 })
        assert.strictEqual(intake.posts(), 100)
      })
  )

  for (
    const [environment, more, reason] of [
      ["on a Managed Instance", { AWS_LAMBDA_MAX_CONCURRENCY: "8" }, "Managed Instances"],
      ["of a function with one invocation at a time", {}, "worker thread"]
    ] as const
  ) {
    it.scopedLive(
      `flushes before the response, warns once, and registers no extension in a thread ${environment} although flush is after-response`,
      () =>
        Effect.gen(function*() {
          const intake = yield* CountingIntake.make
          const requests: Array<string> = []
          // The API accepts registrations.
          const api = yield* Effect.acquireRelease(
            Effect.async<Server>((resume) => {
              const server = createServer((request, response) => {
                requests.push(request.url!)
                if (request.method === "POST") {
                  response.writeHead(200, { "Lambda-Extension-Identifier": "id" }).end("{}")
                }
              })
              server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
            }),
            (server) =>
              Effect.sync(() => {
                server.close()
                server.closeAllConnections()
              })
          )
          const address = `127.0.0.1:${(api.address() as AddressInfo).port}`
          for (let thread = 1; thread <= 2; thread++) {
            const { code, counted, messages, output } = yield* runThread(intake, {
              FLUSH: "after-response",
              AWS_LAMBDA_RUNTIME_API: address,
              ...more
            })
            assert.deepStrictEqual({ code, messages }, { code: 0, messages: ["invoked"] })
            assert.lengthOf(output.match(/WARN/g) ?? [], 1, output)
            assert.include(output, "Flushing before the response")
            assert.include(output, reason)
            assert.strictEqual(counted, thread * 25)
            assert.strictEqual(intake.posts(), thread * 25)
          }
          assert.deepStrictEqual(requests, [])
        })
    )
  }
})
