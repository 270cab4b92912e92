import { assert, describe, it } from "@effect/vitest"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { node } from "../support/childProcess.js"
import { freePort } from "../support/dogstatsd.js"
import { layerClient } from "./connections.js"

/** The original statsd server, in a process of its own. It prints its totals in every interval. */
const startStatsd = Effect.gen(function*() {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "statsd-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
  const port = yield* freePort
  const config = join(folder, "config.js")
  writeFileSync(
    config,
    JSON.stringify({
      port,
      address: "127.0.0.1",
      mgmt_port: 0,
      mgmt_address: "127.0.0.1",
      backends: ["./backends/console"],
      flushInterval: 300,
      title: false,
      automaticConfigReload: false
    })
  )
  // statsd needs util.log, which Node.js 23 has removed
  const shim = "data:text/javascript,import util from 'node:util'; util.log ??= console.log"
  const child = yield* node(["--import", shim, "node_modules/statsd/stats.js", config], {})
  for (let line = ""; !line.includes("server is up"); line = yield* child.line);
  return { port, line: child.line }
})

describe("ThreadStats.layerDogStatsD to a statsd server", () => {
  it.scopedLive("delivers every kind without a bad line with the profile \"plain\"", () =>
    Effect.gen(function*() {
      const { line, port } = yield* startStatsd
      yield* Effect.gen(function*() {
        yield* ThreadStats.increment("count", 7, { tags: ["a:b"] })
        // points of the past, which an Agent would get with their time
        yield* ThreadStats.increment("late", 2, { timestamp: Date.now() - 1_200_000 })
        yield* ThreadStats.gauge("gauge", 4.5)
        for (const value of [-3, -7.25]) {
          yield* ThreadStats.gauge("below", value)
          assert.deepStrictEqual((yield* ThreadStats.flush()).errors, [])
        }
        for (const value of [1, 2.5, 40]) {
          yield* ThreadStats.timing("timing", value)
          yield* ThreadStats.histogram("histogram", value)
          yield* ThreadStats.distribution("distribution", value, { tags: ["a:b"] })
        }
        for (const member of ["x", "y", "x", "a|b", "c:d"]) yield* ThreadStats.set("set", member)
        assert.deepStrictEqual((yield* ThreadStats.flush()).errors, [])
      }).pipe(
        Effect.provide(
          layerClient({ agentHost: "127.0.0.1", port, profile: "plain" }, { flushTimeout: "2 minutes" })
        )
      )
      let lines = ""
      const expected = [
        /set: \[ 'x', 'y', 'a%7cb', 'c%3ad' \]/,
        /'count;a=b': 7\b/,
        /late: 2\b/,
        /gauge: 4.5/,
        /below: -7.25/,
        /timing: \[ 1, 2.5, 40 \]/,
        /histogram: \[ 1, 2.5, 40 \]/,
        /'distribution;a=b': \[ 1, 2.5, 40 \]/,
        /'statsd\.bad_lines_seen': 0/
      ]
      while (!expected.every((pattern) => pattern.test(lines))) lines = `${lines}${yield* line}\n`
      assert.notMatch(lines, /'statsd\.bad_lines_seen': [1-9]/)
      assert.notMatch(lines, /below: -10/)
    }))
})
