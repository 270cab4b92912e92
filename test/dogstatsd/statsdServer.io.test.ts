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
  it.scopedLive("delivers counters, gauges, timings and sets without a bad line", () =>
    Effect.gen(function*() {
      const { line, port } = yield* startStatsd
      yield* Effect.gen(function*() {
        yield* ThreadStats.increment("count", 7, { tags: ["a:b"] })
        yield* ThreadStats.gauge("gauge", 4.5)
        for (const value of [1, 2.5, 40]) yield* ThreadStats.timing("timing", value)
        for (const member of ["x", "y", "x", "a|b"]) yield* ThreadStats.set("set", member)
        assert.deepStrictEqual((yield* ThreadStats.flush()).errors, [])
      }).pipe(
        Effect.provide(
          layerClient({ host: "127.0.0.1", port, timestamps: "never", packed: false }, { flushTimeout: "2 minutes" })
        )
      )
      let lines = ""
      const expected = [
        /set: \[ 'x', 'y', 'a%7cb' \]/,
        /'count;a=b': 7\b/,
        /gauge: 4.5/,
        /timing: \[ 1, 2.5, 40 \]/,
        /'statsd\.bad_lines_seen': 0/
      ]
      while (!expected.every((pattern) => pattern.test(lines))) lines = `${lines}${yield* line}\n`
      assert.notMatch(lines, /'statsd\.bad_lines_seen': [1-9]/)
    }))
})
