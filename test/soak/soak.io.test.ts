import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { Worker } from "node:worker_threads"
import { beforeAll } from "vitest"
import { bundle, node } from "../support/childProcess.js"
import * as CountingIntake from "./intake.js"
import type { Sample } from "./protocol.js"

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
    loop = await bundle("test/soak/loop.ts")
    soaked = await bundle("test/soak/function.ts")
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
    }), 120_000)
})

describe("worker threads", () => {
  let thread = ""

  beforeAll(async () => {
    thread = await bundle("test/soak/thread.ts")
  }, 60_000)

  /** What a thread said until it ended by itself, and what the intake had when it said so. */
  const ended = (intake: CountingIntake.CountingIntake, more: Record<string, string> = {}) =>
    Effect.gen(function*() {
      const worker = yield* Effect.acquireRelease(
        Effect.sync(() => new Worker(thread, { env: { ...variables(intake), ...more }, stdout: true, stderr: true })),
        (worker) => Effect.promise(() => worker.terminate())
      )
      const said: Array<unknown> = []
      const written: Array<string> = []
      let counted: number | undefined
      for (const stream of [worker.stdout, worker.stderr]) stream.on("data", (chunk) => written.push(String(chunk)))
      worker.on("message", (message) => {
        said.push(message)
        counted = intake.sums["soak.count"]
      })
      worker.on("error", (error) => said.push(String(error)))
      const code = yield* Effect.async<number>((resume) => {
        worker.on("exit", (code) => resume(Effect.succeed(code)))
      })
      return { said, code, counted, written: written.join("") }
    })

  it.scopedLive(
    "each have an environment of their own, deliver all that they count, and end by themselves",
    () =>
      Effect.gen(function*() {
        const intake = yield* CountingIntake.make
        const ends = yield* Effect.forEach(Array.from({ length: 4 }), () => ended(intake), { concurrency: "unbounded" })
        for (const { code, said, written } of ends) {
          assert.deepStrictEqual({ code, said, written }, { code: 0, said: ["invoked"], written: "" })
        }
        assert.deepStrictEqual(intake.sums, { "soak.count": 100 })
        assert.strictEqual(intake.posts(), 100)
      }),
    30_000
  )

  for (
    const [where, more, reason] of [
      ["on a Managed Instance", { AWS_LAMBDA_MAX_CONCURRENCY: "8" }, "Managed Instances"],
      ["that a function starts", {}, "worker thread"]
    ] as const
  ) {
    it.scopedLive(
      `${where} flush before the response though told to do so after it, with one warning each, and register nothing`,
      () =>
        Effect.gen(function*() {
          const intake = yield* CountingIntake.make
          // Takes registrations as Lambda would.
          const seen: Array<string> = []
          const api = yield* Effect.acquireRelease(
            Effect.async<Server>((resume) => {
              const server = createServer((request, response) => {
                seen.push(request.url!)
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
          for (let environment = 1; environment <= 2; environment++) {
            const { code, counted, said, written } = yield* ended(intake, {
              FLUSH: "after-response",
              AWS_LAMBDA_RUNTIME_API: address,
              ...more
            })
            assert.deepStrictEqual({ code, said }, { code: 0, said: ["invoked"] })
            assert.lengthOf(written.match(/WARN/g) ?? [], 1, written)
            assert.include(written, "Flushing before the response")
            assert.include(written, reason)
            assert.strictEqual(counted, environment * 25)
            assert.strictEqual(intake.posts(), environment * 25)
          }
          assert.deepStrictEqual(seen, [])
        }),
      30_000
    )
  }
})
