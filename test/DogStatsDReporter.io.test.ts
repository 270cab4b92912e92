import { assert, describe, it } from "@effect/vitest"
import type * as DogStatsDReporter from "effect-threadstats/DogStatsDReporter"
import type { Event } from "effect-threadstats/Event"
import type { DistributionSeries, SampleSeries } from "effect-threadstats/Series"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import { StatsD } from "hot-shots"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { layerClient, makeReporter } from "./dogstatsd/connections.js"
import { sample } from "./dogstatsd/encoding.js"
import { parse } from "./dogstatsd/lineParser.js"
import { freePort, udpServer } from "./support/dogstatsd.js"
import { eventually } from "./support/wait.js"

/** The lines that a reporter with these settings sends over UDP. */
const linesOf = (
  batches: {
    readonly samples?: ReadonlyArray<SampleSeries>
    readonly distributions?: ReadonlyArray<DistributionSeries>
    readonly events?: ReadonlyArray<Event>
  },
  options: DogStatsDReporter.DogStatsDReporterOptions = {},
  variables: Record<string, string> = {}
) =>
  Effect.scoped(Effect.gen(function*() {
    const server = yield* udpServer()
    const reporter = yield* makeReporter({ url: server.url, lineTimestamps: "never", ...options }, variables)
    if (batches.samples) yield* reporter.flushSamples!(batches.samples)
    if (batches.distributions) yield* reporter.flushDistributions(batches.distributions)
    if (batches.events) yield* reporter.flushEvents(batches.events)
    yield* server.drained
    const lines = server.lines()
    lines.forEach(parse)
    return lines
  }))

/** Sorts tags and other fields. hot-shots has its global tags first, and the time before the tags. */
const sortFields = (line: string) => {
  const text = line.replace(/\|#[^|]*/, (field) => `|#${field.slice(2).split(",").sort().join(",")}`)
  const [head, type, ...fields] = text.split("|")
  return line.startsWith("_e{") ? text : [head, type, ...fields.sort()].join("|")
}

describe("ThreadStats.layerDogStatsD", () => {
  it.scoped("sends the lines of hot-shots for the same calls", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_700_000_100_000)
      const hotShots = yield* udpServer()
      const server = yield* udpServer()
      const port = Number(new URL(hotShots.url).port)
      const client = yield* Effect.acquireRelease(
        Effect.sync(() =>
          new StatsD({
            host: "127.0.0.1",
            port,
            prefix: "app.",
            globalTags: ["env:test"],
            datadog: true,
            originDetection: false,
            cardinality: "low",
            includeDatadogTelemetry: false,
            maxBufferSize: 0
          })
        ),
        (client) => Effect.async<void>((resume) => client.close(() => resume(Effect.void)))
      )
      const tags = ["a:1", "path:/x/y-z.0", "größe:ja", "plain"]
      yield* Effect.gen(function*() {
        for (const [i, value] of [1, -2, 0.1, 1e-9, 12345678901234567890, 0.30000000000000004].entries()) {
          client.increment(`c${i}`, value, tags)
          yield* ThreadStats.increment(`c${i}`, value, { tags })
          client.histogram(`h${i}`, value)
          yield* ThreadStats.histogram(`h${i}`, value)
          client.timing(`t${i}`, value, tags)
          yield* ThreadStats.timing(`t${i}`, value, { tags })
          client.distribution(`d${i}`, value)
          yield* ThreadStats.distribution(`d${i}`, value)
          client.gauge(`g${i}`, value, { timestamp: 1_700_000_000, tags })
          yield* ThreadStats.gauge(`g${i}`, value, { timestamp: 1_700_000_000_000, tags })
        }
        for (const member of ["alice", "bob smith", "50%", "a:b", "größe", 7]) {
          client.set("users", member, tags)
          yield* ThreadStats.set("users", member, { tags })
        }
        const date = new Date(1_700_000_000_000)
        client.event("plain", "two\nlines | and a bar", {
          date_happened: date,
          hostname: "web-1",
          aggregation_key: "key",
          priority: "low",
          source_type_name: "me",
          alert_type: "error"
        }, tags)
        yield* ThreadStats.event("app.plain", "two\nlines | and a bar", {
          dateHappened: date,
          host: "web-1",
          aggregationKey: "key",
          priority: "low",
          sourceTypeName: "me",
          alertType: "error",
          tags
        })
      }).pipe(
        Effect.provide(
          layerClient({ url: server.url, cardinality: "low" }, { namespace: "app", constantTags: ["env:test"] })
        )
      )
      yield* server.drained
      yield* eventually(() => hotShots.packets.length >= 37)
      // hot-shots ends no packet with a line feed
      assert.sameMembers(
        server.lines().map(sortFields),
        hotShots.packets.map((packet) => sortFields(packet.toString()))
      )
    }))

  it.scoped("counts items that the Lambda extension would drop as refused, and names each reason", () =>
    Effect.gen(function*() {
      const server = yield* udpServer()
      yield* TestClock.setTime(1_700_000_005_000)
      yield* Effect.gen(function*() {
        yield* ThreadStats.event("title", "text")
        yield* ThreadStats.distribution("aws.lambda.enhanced.invocations", 1)
        yield* ThreadStats.distribution("aws.lambda.enhanced.errors", 1)
        yield* ThreadStats.gauge("many", 1, { tags: Array.from({ length: 101 }, (_, i) => `t${i}`) })
        yield* ThreadStats.gauge("enough", 1, { tags: Array.from({ length: 100 }, (_, i) => `t${i}`) })
        const { errors } = yield* ThreadStats.flush()
        assert.deepStrictEqual(errors.map(({ description, reason }) => [reason, description]), [
          ["Rejected", "the Lambda extension drops a metric with more than 100 tags"],
          ["Rejected", "the Lambda extension reserves the name aws.lambda.enhanced.invocations"],
          ["Rejected", "the Lambda extension does not support events"]
        ])
        const { events, metrics } = yield* ThreadStats.stats
        assert.deepInclude(metrics, { delivered: 2, pending: 0, dropped: { Refused: 2 } })
        assert.deepInclude(events, { delivered: 0, pending: 0, dropped: { Refused: 1 } })
      }).pipe(Effect.provide(layerClient({ url: server.url, profile: "extension" })))
      yield* server.drained
      assert.deepStrictEqual(server.lines().map((line) => line.replace(/#t0[^|]*/, "#…")), [
        "enough:1|g|#…|T1700000000",
        "aws.lambda.enhanced.errors:1|d|T1700000000"
      ])
    }))
})

describe("DogStatsDReporter over UDP", () => {
  it.scoped("returns refused items in the error, and sends the items beside them", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1500)
      const server = yield* udpServer()
      const reporter = yield* makeReporter({ url: server.url })
      const many = Array.from({ length: 60 }, (_, i) => `${"t".repeat(190)}${i}`)
      const invalid = [
        sample("gauge", "", [1]),
        sample("gauge", "_sc", [1]),
        sample("counter", "_e{1,1}:a|b", [1]),
        sample("gauge", "a", [Number.NaN]),
        sample("histogram", "b", [1, Infinity]),
        sample("gauge", "c", [1], { tags: many })
      ]
      const error = yield* Effect.flip(
        reporter.flushSamples!([invalid[0]!, sample("gauge", "d", [1]), ...invalid.slice(1)])
      )
      assert.deepStrictEqual(error.refused, invalid)
      assert.deepStrictEqual([error.undelivered, error.ambiguous], [[], []])
      assert.deepInclude(error.receipt, { items: 1, payloads: 1 })
      assert.include(error.message, "Encoding at udp://127.0.0.1:")
      assert.include(error.message, "\"\" is not a valid metric name (and 5 more)")
      const events = yield* Effect.flip(reporter.flushEvents([
        { title: "t".repeat(9000), text: "", tags: [] },
        { title: "u", text: "ü", tags: [] }
      ]))
      assert.strictEqual(events.reason, "PayloadTooLarge")
      assert.strictEqual(events.refused.length, 1)
      yield* server.drained
      assert.deepStrictEqual(server.lines(), ["d:1|g|T1", "_e{1,2}:u|ü"])
    }))

  it.scoped("allocates no timestamp for counts that were not delivered", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_700_000_012_000)
      const port = yield* freePort
      const reporter = yield* makeReporter({ agentHost: "127.0.0.1", port, lineTimestamps: "always" })
      const counts = [sample("counter", "c", [1])]
      for (let i = 0; i < 20; i++) yield* Effect.flip(reporter.flushSamples!(counts))
      const server = yield* udpServer({ port })
      yield* reporter.flushSamples!(counts)
      yield* reporter.flushSamples!(counts)
      yield* server.drained
      assert.deepStrictEqual(server.lines(), ["c:1|c|T1700000001", "c:1|c|T1700000002"])
    }))

  it.scoped("sends packets of `packetSize`, and a longer line in a packet of its own", () =>
    Effect.gen(function*() {
      const server = yield* udpServer()
      const reporter = yield* makeReporter({ url: server.url, packetSize: 512, packed: false, lineTimestamps: "never" })
      const tags = Array.from({ length: 20 }, (_, i) => `${"t".repeat(100)}${i}`)
      yield* reporter.flushSamples!([
        sample("histogram", "h", Array.from({ length: 200 }, (_, i) => i)),
        sample("gauge", "b", [2], { tags }),
        sample("gauge", "c", [3])
      ])
      yield* server.drained
      assert.strictEqual(server.lines().length, 202)
      const lengths = server.packets.map(({ byteLength }) => byteLength)
      assert.isTrue(lengths.slice(0, -3).every((length) => length <= 512 && length > 490))
      assert.isAbove(lengths.at(-2)!, 2000)
      assert.strictEqual(server.packets.at(-1)!.toString(), "c:3|g\n")
    }))
})

describe("DogStatsDReporter origin settings", () => {
  const batches = {
    samples: [sample("gauge", "g", [1], { tags: ["a:b"] })],
    events: [{ title: "t", text: "x", tags: [] }]
  }

  it.effect("adds external data, entity id and cardinality of the environment to every line", () =>
    Effect.gen(function*() {
      const lines = yield* linesOf(batches, {}, {
        DD_EXTERNAL_ENV: " it-false,cn-app,pu-1|2\n ",
        DD_ENTITY_ID: "1a-2b",
        DATADOG_CARDINALITY: "HIGH",
        DD_CARDINALITY: "low"
      })
      assert.deepStrictEqual(lines, [
        "g:1|g|#a:b,dd.internal.entity_id:1a-2b|e:it-false,cn-app,pu-12|card:high",
        "_e{1,1}:t|x|#dd.internal.entity_id:1a-2b|e:it-false,cn-app,pu-12|card:high"
      ])
    }))

  it.effect("adds the options to every line, before the environment", () =>
    Effect.gen(function*() {
      const lines = yield* linesOf(
        batches,
        { containerId: "ci-1", externalEnv: "cn-b", entityId: "c", cardinality: "none" },
        { DD_EXTERNAL_ENV: "cn-app", DD_ENTITY_ID: "1a", DD_CARDINALITY: "wrong" }
      )
      assert.deepStrictEqual(lines, [
        "g:1|g|#a:b,dd.internal.entity_id:c|c:ci-1|e:cn-b|card:none",
        "_e{1,1}:t|x|#dd.internal.entity_id:c|c:ci-1|e:cn-b|card:none"
      ])
    }))

  it.effect("uses DD_CARDINALITY when DATADOG_CARDINALITY is absent", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* linesOf(batches, {}, { DD_CARDINALITY: "orchestrator" }), [
        "g:1|g|#a:b|card:orchestrator",
        "_e{1,1}:t|x|card:orchestrator"
      ])
    }))

  it.effect("adds nothing to the lines for the Lambda extension", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_700_000_005_000)
      const lines = yield* linesOf(
        { samples: [sample("histogram", "h", [1, 2], { weight: 3 }), sample("set", "s", ["a", "b"])] },
        { profile: "extension", containerId: "ci-1", originDetection: true, lineTimestamps: "never" },
        { DD_EXTERNAL_ENV: "a", DD_ENTITY_ID: "b", DD_CARDINALITY: "low" }
      )
      const time = "T1700000000"
      assert.deepStrictEqual(lines, [...[1, 1, 1, 2, 2, 2].map((value) => `h:${value}|d|${time}`), `s:2|g|${time}`])
    }))

  it.scoped("adds the container unless detection is off or the option `containerId` names another one", () =>
    Effect.gen(function*() {
      const root = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "cgroup-"))),
        (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
      )
      const container = (
        options: DogStatsDReporter.DogStatsDReporterOptions = {},
        variables: Record<string, string> = {}
      ) =>
        Effect.map(
          linesOf({ samples: batches.samples }, { originDetection: undefined, root, ...options }, variables),
          ([line]) => {
            const parsed = parse(line!)
            return parsed.sort === "metric" ? parsed.container : undefined
          }
        )
      assert.strictEqual(yield* container(), undefined)
      mkdirSync(join(root, "proc/self"), { recursive: true })
      writeFileSync(join(root, "proc/self/cgroup"), `0::/\n`)
      mkdirSync(join(root, "sys/fs/cgroup"), { recursive: true })
      assert.match((yield* container())!, /^in-\d+$/)
      for (const off of ["false", "No", "0", "n", "off"]) {
        assert.strictEqual(yield* container({}, { DD_ORIGIN_DETECTION_ENABLED: off }), undefined)
      }
      const on = { DD_ORIGIN_DETECTION_ENABLED: "true" }
      assert.match((yield* container({}, on))!, /^in-\d+$/)
      assert.strictEqual(yield* container({ originDetection: false }, on), undefined)
      assert.strictEqual(yield* container({ containerId: "ci-2", originDetection: false }), "ci-2")
    }))
})
