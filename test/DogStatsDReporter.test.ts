import { assert, describe, it } from "@effect/vitest"
import * as DogStatsDReporter from "effect-threadstats/DogStatsDReporter"
import type { Event } from "effect-threadstats/Event"
import * as Reporter from "effect-threadstats/Reporter"
import type { DistributionSeries, SampleSeries, Series } from "effect-threadstats/Series"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { StatsD } from "hot-shots"
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { vi } from "vitest"
import wire from "./fixtures/wire.json" with { type: "json" }
import { bundle, node } from "./support/childProcess.js"
import * as dogstatsd from "./support/dogstatsd.js"
import { reporterContract } from "./support/reporterContract.js"

const environment = (variables: Record<string, string>) => ConfigProvider.fromMap(new Map(Object.entries(variables)))

// Room for a slow machine: what takes the time here is sockets and processes.
vi.setConfig({ testTimeout: 30_000 })

/** No container, so that lines are the same on every machine. */
const bare = { originDetection: false }

const reporterTo = (
  options: DogStatsDReporter.Options,
  variables: Record<string, string> = {}
): Effect.Effect<Reporter.Reporter["Type"], ConfigError.ConfigError, Scope.Scope> =>
  Effect.withConfigProvider(DogStatsDReporter.make({ ...bare, ...options }), environment(variables))

const clientTo = (
  dogstatsd: DogStatsDReporter.Options,
  options: ThreadStats.DogStatsDOptions = {}
): Layer.Layer<ThreadStats.ThreadStats, ConfigError.ConfigError> =>
  ThreadStats.layerDogStatsDWith({ periodicFlush: false, ...options, dogstatsd: { ...bare, ...dogstatsd } }).pipe(
    Layer.provide(Layer.setConfigProvider(environment({})))
  )

/** What is on its way has arrived when nothing more comes. */
const settled = (server: dogstatsd.Receiver): Effect.Effect<void> =>
  Effect.promise(async () => {
    let seen = -1
    for (let same = 0; same < 5;) {
      same = server.packets.length === seen ? same + 1 : 0
      seen = server.packets.length
      await new Promise((resume) => setTimeout(resume, 2))
    }
  })

const sample = (
  type: SampleSeries["type"],
  metric: string,
  values: ReadonlyArray<number | string>,
  more: Partial<SampleSeries> = {}
): SampleSeries => ({ metric, points: [[1_700_000_000, values]], weight: 1, type, tags: [], interval: 10, ...more })

/** The lines that a batch is sent as. */
const linesOf = (
  batches: {
    readonly metrics?: ReadonlyArray<Series>
    readonly samples?: ReadonlyArray<SampleSeries>
    readonly distributions?: ReadonlyArray<DistributionSeries>
    readonly events?: ReadonlyArray<Event>
  },
  options: DogStatsDReporter.Options = {},
  variables: Record<string, string> = {}
): Effect.Effect<ReadonlyArray<string>, Reporter.ReporterError | ConfigError.ConfigError> =>
  Effect.scoped(Effect.gen(function*() {
    const server = yield* dogstatsd.udpServer()
    const reporter = yield* reporterTo({ url: server.url, timestamps: "never", ...options }, variables)
    let bytes = 0
    if (batches.metrics) bytes += (yield* reporter.flushMetrics(batches.metrics)).bytes
    if (batches.samples) bytes += (yield* reporter.flushSamples!(batches.samples)).bytes
    if (batches.distributions) bytes += (yield* reporter.flushDistributions(batches.distributions)).bytes
    if (batches.events) bytes += (yield* reporter.flushEvents(batches.events)).bytes
    assert.isTrue(yield* dogstatsd.eventually(() => server.bytes() === bytes))
    const lines = server.lines()
    lines.forEach(dogstatsd.parse)
    return lines
  }))

/** A program in one file, as functions are deployed. */
const bundled = Effect.runSync(Effect.cached(Effect.promise(() => bundle("test/dogstatsd/program.ts"))))

const udp = (server: dogstatsd.Receiver) => ({ url: server.url })

describe("lines", () => {
  const reference = wire.dogstatsd.map((line) => line.trimEnd()).filter((line) => !line.startsWith("_sc"))

  it.scoped("equal those of the reference, times and all", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_700_000_100_000)
      const at = { timestamp: 1_700_000_003_000 }
      const common = { namespace: "myapp", constantTags: ["team:x"], rollUpInterval: "1 second" } as const
      const run = (
        timestamps: DogStatsDReporter.Timestamps,
        record: Effect.Effect<void, never, ThreadStats.ThreadStats>
      ) =>
        Effect.gen(function*() {
          const server = yield* dogstatsd.udpServer()
          yield* Effect.provide(record, clientTo({ ...udp(server), timestamps }, common))
          yield* settled(server)
          return server.lines()
        })
      const undated = yield* run(
        "never",
        Effect.gen(function*() {
          yield* ThreadStats.increment("page.views", 1, { tags: ["page:home"] })
          yield* ThreadStats.decrement("page.views", 2)
          yield* ThreadStats.gauge("fuel.level", 0.5)
          yield* ThreadStats.set("users.uniques", "alice")
          yield* ThreadStats.histogram("song.length", 20)
          yield* ThreadStats.timing("query.time", 12.5)
          yield* ThreadStats.distribution("order.value", 10, { tags: { cur: "eur" } })
          yield* ThreadStats.event("Deploy", "line one\nline two", {
            alertType: "success",
            aggregationKey: "deploys",
            sourceTypeName: "my apps",
            dateHappened: new Date(1_700_000_000_000),
            priority: "low",
            tags: ["v:42"],
            host: "web-9"
          })
        })
      )
      const dated = yield* run(
        "late",
        Effect.gen(function*() {
          yield* ThreadStats.gauge("fuel.level", 0.5, at)
          yield* ThreadStats.increment("page.views", 3, at)
        })
      )
      assert.sameMembers([...undated, ...dated], reference)
    }))

  /** hot-shots writes the time before the tags; the order of fields means nothing. */
  const fieldsOf = (line: string) => {
    const [head, type, ...fields] = line.split("|")
    return line.startsWith("_e{") ? line : [head, type, ...fields.sort()].join("|")
  }

  it.scoped("equal those of hot-shots for the same calls", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_700_000_100_000)
      const theirs = yield* dogstatsd.udpServer()
      const ours = yield* dogstatsd.udpServer()
      const port = Number(new URL(theirs.url).port)
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
        Effect.provide(clientTo({ ...udp(ours), cardinality: "low" }, { namespace: "app", constantTags: ["env:test"] }))
      )
      // it puts no newline behind a packet
      assert.isTrue(yield* dogstatsd.eventually(() => theirs.packets.length === 37))
      yield* settled(ours)
      // it has its global tags first
      const sorted = (line: string) =>
        fieldsOf(line).replace(/\|#[^|]*/, (field) => `|#${field.slice(2).split(",").sort().join(",")}`)
      assert.sameMembers(ours.lines().map(sorted), theirs.packets.map((packet) => sorted(packet.toString())))
    }))

  it.effect("hold what was recorded, and nothing of a sample is lost", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* linesOf({
          samples: [
            sample("histogram", "h", [3, 1, 2]),
            sample("timing", "t", [0.5]),
            sample("histogram", "w", [1, 2, 3], { weight: 5 / 3 }),
            sample("timing", "x", [7, 8], { weight: 93 }),
            sample("set", "s", ["a", "b"]),
            sample("counter", "c", [-0]),
            sample("gauge", "g", [-1e21])
          ]
        }),
        [
          "h:3:1:2|h",
          "t:0.5|ms",
          "w:1|h",
          "w:2:3|h|@0.5",
          "x:7:8|ms|@0.01075268817204301",
          "s:a|s",
          "s:b|s",
          "c:0|c",
          "g:-1e+21|g"
        ]
      )
      // the Agent counts one over the rate, rounded down
      assert.strictEqual(Math.floor(1 / 0.01075268817204301), 93)
      assert.notStrictEqual(Math.floor(1 / (1 / 93)), 93)
    }))

  it.effect("tell a host and a device as the Agent reads them, and no host where it is the Agent's own", () =>
    Effect.gen(function*() {
      const gauge = (host: string | null | undefined, device: string | null | undefined) =>
        sample("gauge", "g", [1], { host, device, tags: ["a:b"] })
      assert.deepStrictEqual(
        yield* linesOf({ samples: [gauge("web-1", "eth0"), gauge("", null), gauge(null, undefined)] }),
        ["g:1|g|#a:b,device:eth0,host:web-1", "g:1|g|#a:b", "g:1|g|#a:b"]
      )
    }))

  it.effect("turn a rate back into the count it was made of, to the digit", () =>
    Effect.gen(function*() {
      const counts = [1, 3, 7, 0.1, 1 / 3, 123456.789, 1e15, 0.3, -11, 49]
      const intervals = [1, 7, 10, 49, 60, 1800]
      const series = counts.flatMap((count) =>
        intervals.map((interval): Series => ({
          metric: "c",
          points: [[0, count / interval]],
          type: "rate",
          tags: [],
          interval
        }))
      )
      const lines = yield* linesOf({ metrics: series })
      assert.deepStrictEqual(lines, counts.flatMap((count) => intervals.map(() => `c:${count}|c`)))
      assert.isTrue(
        series.some(({ interval, points }, i) => points[0]![1] * interval !== counts[Math.floor(i / intervals.length)])
      )
    }))

  it.effect("of series: counts as they are, gauges, and every point of one", () =>
    Effect.gen(function*() {
      const common = { tags: [], interval: 10 }
      assert.deepStrictEqual(
        yield* linesOf({
          metrics: [
            { metric: "a", points: [[0, 0.3], [10, 0.7]], type: "rate", ...common },
            { metric: "b", points: [[0, 0.3]], type: "count", ...common },
            { metric: "c", points: [[0, 0.3]], type: "gauge", ...common }
          ],
          distributions: [{ metric: "d", points: [[0, [1, 2]], [10, [3]], [20, []]], type: "distribution", ...common }]
        }),
        ["a:3|c", "a:7|c", "b:0.3|c", "c:0.3|g", "d:1:2|d", "d:3|d"]
      )
    }))

  it.effect("survive whatever is in names, tags, members and events", () =>
    Effect.gen(function*() {
      const vile = "a|b:c\nd,e#f@g\u0000h\r\ti\ud83d\ud83d\ude80ü"
      const lines = yield* linesOf({
        samples: [
          sample("gauge", vile, [1], { tags: [vile, "k:v w", ""], host: vile, device: "|\n" }),
          sample("gauge", "next", [2]),
          sample("set", "s", [vile, "a%7cb", "a|b", "a%b", "", "%", "\ud83d", "\ufffd"]),
          sample("set", "s2", [1, "1"])
        ],
        events: [
          {
            title: vile,
            text: vile,
            host: vile,
            aggregation_key: vile,
            source_type_name: vile,
            device_name: vile,
            alert_type: "snapshot",
            tags: [vile]
          },
          { title: "\n", text: "\r\n|\r", date_happened: 1.9, tags: [] },
          { title: "next", text: "", tags: [] }
        ]
      })
      const parsed = lines.map(dogstatsd.parse)
      const metrics = parsed.filter((line) => line.sort === "metric")
      const events = parsed.filter((line) => line.sort === "event")
      const tag = "a_b:c_d_e_f_g_h__i__ü"
      assert.deepInclude(metrics[0], {
        name: "a_b_c_d,e#f@g_h__i\ufffd\ud83d\ude80ü",
        tags: [tag, "k:v_w", "device:__", `host:${tag}`]
      })
      assert.deepInclude(metrics[1], { name: "next", values: ["2"], tags: [] })
      const members = metrics.filter(({ name }) => name === "s").flatMap(({ values }) => values)
      assert.strictEqual(new Set(members).size, 8)
      assert.deepStrictEqual(members.slice(1, 4), ["a%257cb", "a%7cb", "a%b"])
      const field = "a_b:c_d,e#f@g_h__i\ufffd\ud83d\ude80ü"
      const text = "a|b:c\nd,e#f@g\u0000h\n\ti\ufffd\ud83d\ude80ü"
      assert.deepInclude(events[0], { title: text, text, fields: { h: field, k: field, s: field } })
      assert.deepStrictEqual(events[0]!.tags, [tag, `device:${tag}`])
      assert.deepInclude(events[1], { title: "\n", text: "\n|\n", fields: { d: "1" } })
      assert.deepInclude(events[2], { title: "next", text: "", fields: {}, tags: [] })
    }))

  it.scoped("refuse what cannot be said, and send what is next to it", () =>
    Effect.gen(function*() {
      const server = yield* dogstatsd.udpServer()
      const reporter = yield* reporterTo(udp(server))
      const many = Array.from({ length: 60 }, (_, i) => `${"t".repeat(190)}${i}`)
      const bad = [
        sample("gauge", "", [1]),
        sample("gauge", "_sc", [1]),
        sample("counter", "_e{1,1}:a|b", [1]),
        sample("gauge", "a", [Number.NaN]),
        sample("histogram", "b", [1, Infinity]),
        sample("gauge", "c", [1], { tags: many })
      ]
      const error = yield* Effect.flip(reporter.flushSamples!([bad[0]!, sample("gauge", "d", [1]), ...bad.slice(1)]))
      assert.deepStrictEqual(error.refused, bad)
      assert.deepStrictEqual([error.undelivered, error.ambiguous], [[], []])
      assert.deepInclude(error.receipt, { items: 1, payloads: 1 })
      assert.include(error.message, "Encoding at udp://127.0.0.1:")
      assert.include(error.message, "\"\" is no name of a metric (and 5 more)")
      const events = yield* Effect.flip(reporter.flushEvents([
        { title: "t".repeat(9000), text: "", tags: [] },
        { title: "u", text: "ü".repeat(4000) + "\ud83d\ude80".repeat(100) + "\n\n", tags: ["a:b"] },
        { title: "v", text: `${"x".repeat(8176)}\n${"y".repeat(100)}`, tags: [] }
      ]))
      assert.strictEqual(events.reason, "PayloadTooLarge")
      assert.strictEqual(events.refused.length, 1)
      assert.isTrue(yield* dogstatsd.eventually(() => server.packets.length === 3))
      const [gauge, ...long] = server.lines()
      assert.strictEqual(gauge, "d:1|g|T1")
      for (const line of long) {
        const event = dogstatsd.parse(line)
        assert.isAtMost(Buffer.byteLength(line) + 1, 8192)
        assert.isAtLeast(Buffer.byteLength(line) + 1, 8188)
        assert.match(event.sort === "event" ? event.text : "", /^ü+\ud83d\ude80*$|^x+$/u)
      }
    }).pipe(Effect.provide(Layer.effectDiscard(TestClock.setTime(1500)))))

  it.scoped("are dated only with seconds that nothing else has: neither another part, nor what the Agent adds up", () =>
    Effect.gen(function*() {
      const server = yield* dogstatsd.udpServer()
      yield* TestClock.setTime(1_700_000_012_000)
      const always = yield* reporterTo({ ...udp(server), timestamps: "always" })
      const count = sample("counter", "c", [1])
      const times = Effect.gen(function*() {
        yield* settled(server)
        const lines = server.lines().map((line) => /\|T(\d+)$/.exec(line)?.[1])
        server.packets.length = 0
        return lines.map((time) => time === undefined ? undefined : Number(time) - 1_700_000_000)
      })
      for (let i = 0; i < 11; i++) yield* always.flushSamples!([count])
      assert.deepStrictEqual(yield* times, [1, 2, 3, 4, 5, 6, 7, 8, 9, undefined, undefined])
      // two that are the same once they are sanitised
      const next = sample("counter", "c", [1], { points: [[1_700_000_010, [1]]] })
      yield* always.flushSamples!([{ ...next, tags: ["a b"] }, { ...next, tags: ["a_b"] }, { ...next, tags: ["c"] }])
      assert.deepStrictEqual(yield* times, [11, 12, 11])
      yield* always.flushSamples!([{ ...next, tags: ["a b"] }])
      assert.deepStrictEqual(yield* times, [undefined])

      const late = yield* reporterTo(udp(server))
      yield* late.flushSamples!([count, sample("gauge", "g", [1]), sample("distribution" as "set", "d", [1])])
      assert.deepStrictEqual(yield* times, [undefined, 0, undefined])
      yield* TestClock.setTime(1_700_000_071_000)
      yield* late.flushSamples!([count])
      assert.deepStrictEqual(yield* times, [1])
      // a time to come is none
      yield* late.flushSamples!([sample("gauge", "g", [1], { points: [[1_700_000_100, [1]]] })])
      assert.deepStrictEqual(yield* times, [71])
      const never = yield* reporterTo({ ...udp(server), timestamps: "never" })
      yield* never.flushSamples!([count, sample("gauge", "g", [1])])
      assert.deepStrictEqual(yield* times, [undefined, undefined])
    }))

  it.scoped("take no second for what was not sent", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_700_000_012_000)
      const port = yield* dogstatsd.freePort
      const reporter = yield* reporterTo({ host: "127.0.0.1", port, timestamps: "always" })
      for (let i = 0; i < 20; i++) yield* Effect.flip(reporter.flushSamples!([sample("counter", "c", [1])]))
      const server = yield* dogstatsd.udpServer({ port })
      yield* reporter.flushSamples!([sample("counter", "c", [1])])
      assert.isTrue(yield* dogstatsd.eventually(() => server.packets.length === 1))
      assert.deepStrictEqual(server.lines(), ["c:1|c|T1700000001"])
    }))

  it.effect("say where they come from", () =>
    Effect.gen(function*() {
      const batches = {
        samples: [sample("gauge", "g", [1], { tags: ["a:b"] })],
        events: [{ title: "t", text: "x", tags: [] }]
      }
      const lines = (options: DogStatsDReporter.Options, variables: Record<string, string> = {}) =>
        linesOf(batches, options, variables)
      assert.deepStrictEqual(
        yield* lines({}, {
          DD_EXTERNAL_ENV: " it-false,cn-app,pu-1|2\n ",
          DD_ENTITY_ID: "1a-2b",
          DATADOG_CARDINALITY: "HIGH",
          DD_CARDINALITY: "low"
        }),
        [
          "g:1|g|#a:b,dd.internal.entity_id:1a-2b|e:it-false,cn-app,pu-12|card:high",
          "_e{1,1}:t|x|#dd.internal.entity_id:1a-2b|e:it-false,cn-app,pu-12|card:high"
        ]
      )
      assert.deepStrictEqual(
        yield* lines(
          { containerId: "ci-1", externalEnv: "cn-b", entityId: "c", cardinality: "none" },
          { DD_EXTERNAL_ENV: "cn-app", DD_ENTITY_ID: "1a", DD_CARDINALITY: "wrong" }
        ),
        [
          "g:1|g|#a:b,dd.internal.entity_id:c|c:ci-1|e:cn-b|card:none",
          "_e{1,1}:t|x|#dd.internal.entity_id:c|c:ci-1|e:cn-b|card:none"
        ]
      )
      assert.deepStrictEqual(yield* lines({}, { DD_CARDINALITY: "orchestrator" }), [
        "g:1|g|#a:b|card:orchestrator",
        "_e{1,1}:t|x|card:orchestrator"
      ])
    }))
})

describe("the container", () => {
  const id = "0123456789abcdef".repeat(4)
  const root = Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "cgroup-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
  const write = (root: string, path: string, text: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  const containerIn = (root: string, options: DogStatsDReporter.Options = {}, variables: Record<string, string> = {}) =>
    Effect.map(
      linesOf({ samples: [sample("gauge", "g", [1])] }, { originDetection: undefined, root, ...options }, variables),
      ([line]) => {
        const parsed = dogstatsd.parse(line!)
        return parsed.sort === "metric" ? parsed.container : undefined
      }
    )

  it.scoped("is known by the inode of its cgroup", () =>
    Effect.gen(function*() {
      const folder = yield* root
      write(folder, "proc/self/ns/cgroup", "")
      write(folder, "proc/self/cgroup", `0::/\n`)
      mkdirSync(join(folder, "sys/fs/cgroup"), { recursive: true })
      const inode = (path: string) => `in-${statSync(join(folder, path)).ino}`
      assert.strictEqual(yield* containerIn(folder), inode("sys/fs/cgroup"))
      write(folder, "proc/self/cgroup", `9:cpu:/x\n4:memory:/docker/${id}\n0::/y\n`)
      mkdirSync(join(folder, "sys/fs/cgroup/y"))
      assert.strictEqual(yield* containerIn(folder), inode("sys/fs/cgroup/y"))
      mkdirSync(join(folder, `sys/fs/cgroup/memory/docker/${id}`), { recursive: true })
      assert.strictEqual(yield* containerIn(folder), inode(`sys/fs/cgroup/memory/docker/${id}`))
      assert.strictEqual(yield* containerIn(`${folder}/`), inode(`sys/fs/cgroup/memory/docker/${id}`))
    }))

  /** The namespace of the host has an inode of its own, which only the kernel gives. */
  const isHost = (() => {
    try {
      return statSync("/proc/self/ns/cgroup").ino === 0xeffffffb
    } catch {
      return false
    }
  })()

  it.scoped.skipIf(!isHost)(
    "is known by its id in the cgroup namespace of the host (skipped in another)",
    () =>
      Effect.gen(function*() {
        const folder = yield* root
        mkdirSync(join(folder, "proc/self/ns"), { recursive: true })
        symlinkSync("/proc/self/ns/cgroup", join(folder, "proc/self/ns/cgroup"))
        const found = Effect.fnUntraced(function*(path: string) {
          write(folder, "proc/self/cgroup", `garbage\n3:cpu:/\n1:name=systemd:${path}\n`)
          return yield* containerIn(folder)
        })
        assert.strictEqual(yield* found(`/docker/${id}`), `ci-${id}`)
        assert.strictEqual(yield* found(`/kubepods.slice/kubepods-pod1.slice/cri-containerd-${id}.scope`), `ci-${id}`)
        const task = `${id.slice(0, 32)}-1234567890`
        assert.strictEqual(yield* found(`/ecs/${task}`), `ci-${task}`)
        const uuid = "34dc0b5e-626f-2c5c-4c51-70e34b10e765"
        assert.strictEqual(yield* found(`/garden/${uuid}`), `ci-${uuid}`)
        assert.strictEqual(yield* found(`/docker/${id}/init`), undefined)
        assert.strictEqual(yield* found(`/docker/${id.slice(1)}`), undefined)
      })
  )

  it.scoped("is not told where there is none, where it is not to be, and where another one is given", () =>
    Effect.gen(function*() {
      const folder = yield* root
      assert.strictEqual(yield* containerIn(folder), undefined)
      write(folder, "proc/self/cgroup", `0::/\n`)
      mkdirSync(join(folder, "sys/fs/cgroup"), { recursive: true })
      assert.match((yield* containerIn(folder))!, /^in-\d+$/)
      for (const off of ["false", "No", "0", "n", "off"]) {
        assert.strictEqual(yield* containerIn(folder, {}, { DD_ORIGIN_DETECTION_ENABLED: off }), undefined)
      }
      const on = { DD_ORIGIN_DETECTION_ENABLED: "true" }
      assert.match((yield* containerIn(folder, {}, on))!, /^in-\d+$/)
      assert.strictEqual(yield* containerIn(folder, { originDetection: false }, on), undefined)
      assert.strictEqual(yield* containerIn(folder, { containerId: "ci-2", originDetection: false }), "ci-2")
    }))
})

describe("packets", () => {
  const big = (n: number): ReadonlyArray<DistributionSeries> => [{
    metric: "d",
    points: [[0, Array.from({ length: n }, (_, i) => i + 0.5)]],
    type: "distribution",
    tags: ["ü:ü"],
    interval: 10
  }]

  it.scoped("are as large as the way allows, and hold whole lines", () =>
    Effect.gen(function*() {
      const path = yield* dogstatsd.socketPath
      const network = yield* dogstatsd.udpServer()
      const stream = yield* dogstatsd.streamServer(path)
      const gauges = Array.from({ length: 500 }, (_, i) => sample("gauge", `gauge.${i}`, [i], { tags: ["ü:ä"] }))
      for (const [server, size] of [[network, 1432], [stream, 8192]] as const) {
        const reporter = yield* reporterTo({ url: server.url, timestamps: "never" })
        const receipts = [yield* reporter.flushDistributions(big(5000)), yield* reporter.flushSamples!(gauges)]
        const bytes = receipts.reduce((sum, receipt) => sum + receipt.bytes, 0)
        assert.isTrue(yield* dogstatsd.eventually(() => server.bytes() === bytes))
        assert.strictEqual(server.packets.length, receipts.reduce((sum, { payloads }) => sum + payloads, 0))
        assert.isTrue(server.packets.every(({ byteLength }) => byteLength <= size))
        assert.isAtMost(server.packets.length, Math.ceil(bytes / (size - 40)) + 2)
        const lines = server.lines().map(dogstatsd.parse)
        assert.deepStrictEqual(
          lines.flatMap((line) => line.sort === "metric" && line.type === "d" ? line.values.map(Number) : []),
          big(5000)[0]!.points[0]![1]
        )
        assert.strictEqual(lines.filter((line) => line.sort === "metric" && line.type === "g").length, 500)
      }
    }))

  it.scoped("are of the size that is asked for, and a line that is longer has one of its own", () =>
    Effect.gen(function*() {
      const server = yield* dogstatsd.udpServer()
      const reporter = yield* reporterTo({ ...udp(server), packetSize: 512, packed: false })
      yield* reporter.flushDistributions(big(200))
      const tags = Array.from({ length: 20 }, (_, i) => `${"t".repeat(100)}${i}`)
      yield* reporter.flushSamples!([
        sample("gauge", "a", [1]),
        sample("gauge", "b", [2], { tags }),
        sample("gauge", "c", [3])
      ])
      assert.isTrue(yield* dogstatsd.eventually(() => server.lines().length === 203))
      const [a, b, c] = server.packets.slice(-3)
      assert.deepStrictEqual([a!.toString(), c!.toString()], ["a:1|g\n", "c:3|g\n"])
      assert.isAbove(b!.byteLength, 2000)
      assert.isTrue(server.packets.slice(0, -4).every(({ byteLength }) => byteLength <= 512 && byteLength > 490))
      assert.isTrue(server.lines().slice(0, 200).every((line) => /^d:[\d.]+\|d\|#ü:ü$/.test(line)))
    }))

  it.scoped("give a member that is too long a short name of its own", () =>
    Effect.gen(function*() {
      const long = "x".repeat(20_000)
      const lines = yield* linesOf({ samples: [sample("set", "s", [long, `${long}y`, `y${long}`, "short"])] })
      const members = lines.map((line) => line.slice(2, -2))
      assert.strictEqual(new Set(members).size, 4)
      assert.strictEqual(members[3], "short")
      const again = yield* linesOf({ samples: [sample("set", "s", [`${long}y`])] })
      assert.strictEqual(again[0]!.slice(2, -2), members[1])
    }))
})

/** Over all ways that can be had here: where the receiver listens, and a receiver there. */
const ways: ReadonlyArray<{
  readonly name: string
  readonly skipped: boolean
  readonly place: Effect.Effect<string, never, Scope.Scope>
  readonly listen: (url: string) => Effect.Effect<dogstatsd.Receiver, never, Scope.Scope>
}> = [
  {
    name: "UDP",
    skipped: false,
    place: Effect.map(dogstatsd.freePort, (port) => `udp://localhost:${port}`),
    listen: (url) => dogstatsd.udpServer({ port: Number(new URL(url).port) })
  },
  {
    name: "a Unix stream",
    skipped: false,
    place: Effect.map(dogstatsd.socketPath, (path) => `unixstream://${path}`),
    listen: (url) => dogstatsd.streamServer(url.slice("unixstream://".length))
  },
  {
    name: "Unix datagrams",
    skipped: dogstatsd.unixDatagrams instanceof Error,
    place: Effect.map(dogstatsd.socketPath, (path) => `unixgram://${path}`),
    listen: (url) => dogstatsd.datagramServer(url.slice("unixgram://".length))
  },
  {
    name: "a Unix socket of whichever sort, a stream",
    skipped: false,
    place: Effect.map(dogstatsd.socketPath, (path) => `unix://${path}`),
    listen: (url) => dogstatsd.streamServer(url.slice("unix://".length))
  },
  {
    name: "a Unix socket of whichever sort, datagrams",
    skipped: dogstatsd.unixDatagrams instanceof Error,
    place: Effect.map(dogstatsd.socketPath, (path) => `unix://${path}`),
    listen: (url) => dogstatsd.datagramServer(url.slice("unix://".length))
  }
]

if (dogstatsd.unixDatagrams instanceof Error) {
  console.warn(`Unix datagrams are not tested: unix-dgram does not load here (${dogstatsd.unixDatagrams.message})`)
}

class Server extends Context.Tag("test/Server")<Server, dogstatsd.Receiver>() {}

describe.each(ways.map((way) => [way.name, way] as const))("over %s", (_, { listen, place, skipped }) => {
  const layerBoth = Layer.scopedContext(Effect.gen(function*() {
    const url = yield* place
    const server = yield* listen(url)
    return Context.make(Server, server).pipe(Context.add(Reporter.Reporter, yield* reporterTo({ url })))
  }))

  const parsed = (lines: ReadonlyArray<string>) => lines.map(dogstatsd.parse)

  describe.skipIf(skipped)("the contract", () => {
    // what a line has no place for: the interval, that a count was a rate, whether a host was null or not there
    reporterContract(layerBoth, {
      arrived: Effect.flatMap(Server, (server) =>
        Effect.map(settled(server), () => {
          const all = parsed(server.lines())
          return {
            metrics: all.filter((line) => line.sort === "metric" && line.type !== "d"),
            distributions: all.filter((line) => line.sort === "metric" && line.type === "d"),
            events: all.filter((line) => line.sort === "event")
          }
        })),
      metrics: parsed([
        "shop.orders:5|c|#env:test",
        "shop.queue:-3|g",
        "shop.queue:4|g",
        "shop.größe:1e-7|c|#名:値,host:web-1"
      ].map((line) => line.replace("1e-7", "1e-7"))),
      distributions: parsed(["shop.latency:0.1:0.2:0.1|d|#env:test", "shop.latency:7|d|#env:test", "shop.basket:1|d"]),
      events: parsed([
        "_e{8,10}:Deployed|version 42|d:1700000000|t:success|#v:42",
        "_e{6,0}:Scaled|",
        "_e{13,10}:Größer \ud83d\ude80|line\\nline|h:web-1|p:low"
      ])
    })
  })

  const stats = Effect.map(ThreadStats.stats, ({ events, metrics }) => {
    for (const { delivered, dropped, held, received } of [events, metrics]) {
      const all = Object.values(dropped).reduce((sum: number, n) => sum + (n ?? 0), 0)
      assert.strictEqual(received, delivered + held + all)
    }
    return { held: metrics.held + events.held, delivered: metrics.delivered + events.delivered }
  })

  const record = Effect.gen(function*() {
    yield* ThreadStats.increment("c", 2)
    yield* ThreadStats.increment("c", 3)
    yield* ThreadStats.gauge("g", 4)
    yield* ThreadStats.histogram("h", 5)
    yield* ThreadStats.set("s", "a")
    yield* ThreadStats.distribution("d", 6)
    yield* ThreadStats.event("e", "text")
  })

  const totals = (servers: ReadonlyArray<dogstatsd.Receiver>) => {
    const agent = dogstatsd.makeAgent(() => Date.now() / 1000)
    for (const server of servers) server.lines().forEach(agent.take)
    const key = (name: string) => dogstatsd.contextOf({ name, tags: [] })
    return {
      c: agent.counts().get(key("c")),
      h: agent.histograms.get(key("h"))?.count,
      s: agent.sets.get(key("s"))?.size,
      d: agent.distributions.get(key("d")),
      e: agent.events.length
    }
  }

  it.scopedLive.skipIf(skipped)(
    "keeps everything while nobody is there, and delivers it once when somebody is",
    () =>
      Effect.gen(function*() {
        const url = yield* place
        yield* Effect.gen(function*() {
          yield* record
          for (let i = 0; i < 3; i++) {
            const receipt = yield* ThreadStats.flush()
            assert.strictEqual(receipt.metrics.kept + receipt.events.kept, 7)
            assert.deepStrictEqual(receipt.errors.map(({ reason }) => reason), ["Transport", "Transport", "Transport"])
            assert.deepStrictEqual(receipt.errors.flatMap(({ ambiguous }) => ambiguous), [])
            assert.deepStrictEqual(yield* stats, { held: 7, delivered: 0 })
          }
          const server = yield* listen(url)
          yield* record
          const receipt = yield* ThreadStats.flush()
          assert.deepStrictEqual(receipt.errors, [])
          assert.deepStrictEqual(yield* stats, { held: 0, delivered: 14 })
          yield* settled(server)
          assert.deepStrictEqual(totals([server]), { c: 10, h: 2, s: 1, d: [6, 6], e: 2 })
        }).pipe(Effect.provide(clientTo({ url }, { flushTimeout: "3 seconds" })))
      })
  )

  it.scopedLive.skipIf(skipped)(
    "notices that the receiver has died, and finds the next one",
    () =>
      Effect.gen(function*() {
        const url = yield* place
        yield* Effect.gen(function*() {
          const first = yield* listen(url)
          yield* record
          assert.deepStrictEqual((yield* ThreadStats.flush()).errors, [])
          yield* settled(first)
          yield* first.close
          yield* record
          const receipt = yield* ThreadStats.flush()
          assert.strictEqual(receipt.metrics.kept + receipt.events.kept, 7)
          assert.deepStrictEqual(yield* stats, { held: 7, delivered: 7 })
          const second = yield* listen(url)
          yield* record
          assert.deepStrictEqual((yield* ThreadStats.flush()).errors, [])
          // one that is replaced in between is not noticed at all
          yield* settled(second)
          yield* second.close
          const third = yield* listen(url)
          yield* record
          assert.deepStrictEqual((yield* ThreadStats.flush()).errors, [])
          assert.deepStrictEqual(yield* stats, { held: 0, delivered: 28 })
          yield* settled(third)
          assert.deepStrictEqual(totals([first, second, third]), { c: 20, h: 4, s: 1, d: [6, 6, 6, 6], e: 4 })
        }).pipe(Effect.provide(clientTo({ url }, { flushTimeout: "3 seconds" })))
      })
  )

  it.scopedLive.skipIf(skipped)("delivers what is left when the layer closes", () =>
    Effect.gen(function*() {
      const url = yield* place
      const server = yield* listen(url)
      yield* Effect.provide(record, clientTo({ url }))
      yield* settled(server)
      assert.deepStrictEqual(totals([server]), { c: 5, h: 1, s: 1, d: [6], e: 1 })
    }))

  it.scopedLive.skipIf(skipped)(
    "keeps no process that has nothing left to do, and flushes before it ends",
    () =>
      Effect.gen(function*() {
        const url = yield* place
        const server = yield* listen(url)
        const child = yield* node([yield* bundled], { DD_DOGSTATSD_URL: url })
        const { code, stderr } = yield* child.ended
        assert.deepStrictEqual([code, stderr], [0, ""])
        yield* settled(server)
        assert.includeMembers(
          server.lines().map((line) => line.replace(/\|c:[^|]*|\|T\d+/g, "")),
          ["flushed:1|c", "left:2|c"]
        )
      }),
    30_000
  )
})

describe("what goes wrong on the way", () => {
  const values = (n: number): ReadonlyArray<DistributionSeries> =>
    Array.from({ length: n }, (_, i) => ({
      metric: `d${i}`,
      points: [[0, Array.from({ length: 500 }, (_, j) => i + j / 1000)]],
      type: "distribution",
      tags: [],
      interval: 10
    }))

  it.scopedLive("a receiver that dies within a batch: what it was sent is delivered, the rest is not, half an item is in doubt", () =>
    Effect.gen(function*() {
      // the second item is in the second packet to the fourth
      const server = yield* dogstatsd.udpServer({ onPacket: ({ close }) => server.packets.length === 3 && close() })
      const reporter = yield* reporterTo(udp(server))
      const batch = values(4)
      const error = yield* Effect.flip(reporter.flushDistributions(batch))
      assert.deepStrictEqual(error.undelivered, batch.slice(1))
      assert.deepStrictEqual(error.ambiguous, batch.slice(1, 2))
      assert.deepInclude(error.receipt, { items: 1, payloads: 3 })
      assert.strictEqual(error.reason, "Transport")
    }))

  const hang = (socket: { pause: () => void }) => {
    socket.pause()
  }

  it.scopedLive("a receiver that does not read costs the time of the flush, and no more", () =>
    Effect.gen(function*() {
      const path = yield* dogstatsd.socketPath
      const server = yield* dogstatsd.streamServer(path, { onConnection: hang })
      const reporter = yield* reporterTo({ url: server.url })
      const batch = values(1000)
      const start = Date.now()
      const error = yield* reporter.flushDistributions(batch).pipe(
        Effect.provideService(Reporter.Deadline, start + 300),
        Effect.flip,
        Effect.uninterruptible
      )
      assert.isBelow(Date.now() - start, 2000)
      assert.strictEqual(error.reason, "Timeout")
      assert.isAbove(error.undelivered.length, 0)
      assert.isAbove(error.receipt.items, 0)
      assert.strictEqual(error.receipt.items + error.undelivered.length, batch.length)
      assert.isAtMost(error.ambiguous.length, 4)
      // it is on a new connection after that, and there is no half of a frame before it
      for (const socket of server.connections) socket.resume()
      yield* settled(server)
      assert.doesNotThrow(() => server.lines().forEach(dogstatsd.parse))
    }))

  it.scopedLive.each(["at-least-once", "at-most-once"] as const)(
    "a stream that breaks puts in doubt what was not read (%s)",
    (delivery) =>
      Effect.gen(function*() {
        const server = yield* dogstatsd.streamServer(yield* dogstatsd.socketPath, { onConnection: hang })
        yield* Effect.gen(function*() {
          for (let i = 0; i < 100; i++) {
            for (let j = 0; j < 500; j++) yield* ThreadStats.distribution(`d${i}`, j + 0.12345678)
          }
          const flush = yield* Effect.fork(ThreadStats.flush())
          assert.isTrue(yield* dogstatsd.eventually(() => server.connections.size === 1))
          yield* Effect.sleep("100 millis")
          yield* server.close
          const { errors, metrics } = yield* flush
          // what is in the buffer of a socket that nobody reads is more than that
          assert.isAbove(errors[0]!.ambiguous.length, 10)
          assert.strictEqual(metrics.delivered + metrics.kept + metrics.dropped, 50_000)
          const { dropped, held } = (yield* ThreadStats.stats).metrics
          assert.strictEqual(held, metrics.kept)
          assert.deepStrictEqual(dropped, delivery === "at-most-once" ? { Ambiguous: metrics.dropped } : {})
          assert.isAbove(delivery === "at-most-once" ? metrics.dropped : metrics.kept, 0)
        }).pipe(Effect.provide(clientTo({ url: server.url }, { flushTimeout: "600 millis", delivery })))
      })
  )

  it.scopedLive.skipIf(dogstatsd.unixDatagrams instanceof Error)(
    "a full buffer is waited for, and nothing of it is lost",
    () =>
      Effect.gen(function*() {
        const path = yield* dogstatsd.socketPath
        const child = yield* node(["test/dogstatsd/slow.cjs", path], {})
        assert.strictEqual(yield* child.line, "bound")
        const reporter = yield* reporterTo({ url: `unixgram://${path}` })
        const batch = values(200)
        const start = Date.now()
        const early = yield* reporter.flushDistributions(batch).pipe(
          Effect.provideService(Reporter.Deadline, start + 800),
          Effect.flip
        )
        assert.isBelow(Date.now() - start, 2000)
        assert.include(early.message, "the buffer is full")
        assert.strictEqual(early.receipt.items + early.undelivered.length, batch.length)
        const flush = yield* reporter.flushDistributions(early.undelivered as ReadonlyArray<DistributionSeries>).pipe(
          Effect.provideService(Reporter.Deadline, Date.now() + 10_000),
          Effect.fork
        )
        yield* Effect.sleep("50 millis")
        yield* child.write("go on")
        const rest = yield* flush
        assert.isAbove(rest.retries, 0)
        const bytes = early.receipt.bytes + rest.bytes
        yield* child.write(bytes)
        assert.strictEqual(yield* child.line, `read ${bytes}`)
      })
  )

  it.scoped("a socket from before that fails is not the last try", () =>
    Effect.gen(function*() {
      const server = yield* dogstatsd.udpServer()
      const reporter = yield* reporterTo(udp(server))
      const event: ReadonlyArray<Event> = [{ title: "t", text: "", tags: [] }]
      assert.strictEqual((yield* reporter.flushEvents(event)).retries, 0)
      yield* server.close
      for (const retries of [1, 0]) {
        const error = yield* Effect.flip(reporter.flushEvents(event))
        assert.deepStrictEqual([error.receipt.retries, error.undelivered], [retries, event])
      }
    }))

  it.scoped("a stream that was closed in good order is opened again, and nothing is in doubt", () =>
    Effect.gen(function*() {
      const path = yield* dogstatsd.socketPath
      const event: ReadonlyArray<Event> = [{ title: "t", text: "", tags: [] }]
      const first = yield* dogstatsd.streamServer(path)
      const reporter = yield* reporterTo({ url: first.url })
      yield* reporter.flushEvents(event)
      yield* settled(first)
      yield* first.close
      const second = yield* dogstatsd.streamServer(path)
      yield* settled(second)
      assert.deepInclude(yield* reporter.flushEvents(event), { items: 1, retries: 0 })
      yield* settled(second)
      assert.deepStrictEqual([first.lines(), second.lines()], [["_e{1,0}:t|"], ["_e{1,0}:t|"]])
    }))

  it.scoped("a name is looked up again after a minute, an address never", () =>
    Effect.gen(function*() {
      for (const [host, sockets] of [["localhost", 2], ["127.0.0.1", 1]] as const) {
        const server = yield* dogstatsd.udpServer()
        const reporter = yield* reporterTo({ host, port: Number(new URL(server.url).port) })
        for (const pause of ["0 seconds", "59 seconds", "2 seconds"] as const) {
          yield* TestClock.adjust(pause)
          yield* reporter.flushEvents([{ title: "t", text: "", tags: [] }])
        }
        assert.isTrue(yield* dogstatsd.eventually(() => server.packets.length === 3))
        assert.strictEqual(server.ports.size, sockets)
      }
    }))

  it.scopedLive("a name that is no host is a failure like another", () =>
    Effect.gen(function*() {
      const reporter = yield* reporterTo({ host: "nowhere.invalid" })
      yield* reporter.warm
      const error = yield* Effect.flip(reporter.flushEvents([{ title: "t", text: "", tags: [] }]))
      assert.strictEqual(error.undelivered.length, 1)
      assert.match(error.message, /^(Transport|Timeout) at udp:\/\/nowhere\.invalid:8125: /)
    }))

  it.scopedLive.skipIf(dogstatsd.unixDatagrams instanceof Error)(
    "a socket of the other sort is told from one that is missing",
    () =>
      Effect.gen(function*() {
        const datagrams = yield* dogstatsd.datagramServer(yield* dogstatsd.socketPath)
        const stream = yield* dogstatsd.streamServer(yield* dogstatsd.socketPath)
        const messageOf = (url: string) =>
          Effect.gen(function*() {
            const reporter = yield* reporterTo({ url })
            return (yield* Effect.flip(reporter.flushEvents([{ title: "t", text: "", tags: [] }]))).message
          })
        assert.include(yield* messageOf(datagrams.url.replace("unixgram", "unixstream")), "of the other sort")
        assert.include(yield* messageOf(stream.url.replace("unixstream", "unixgram")), "of the other sort")
        assert.include(
          yield* messageOf(`unixstream://${yield* dogstatsd.socketPath}`),
          "there is no such socket (ENOENT)"
        )
      })
  )

  it.scopedLive("an interrupted flush keeps what it took, and the next one works", () =>
    Effect.gen(function*() {
      const path = yield* dogstatsd.socketPath
      let isSlow = true
      const server = yield* dogstatsd.streamServer(path, { onConnection: (socket) => isSlow && hang(socket) })
      yield* Effect.gen(function*() {
        for (let i = 0; i < 1000; i++) {
          for (let j = 0; j < 100; j++) yield* ThreadStats.distribution(`d${i}`, j + 0.12345678)
        }
        yield* ThreadStats.flush().pipe(Effect.timeoutOption("100 millis"))
        assert.strictEqual((yield* ThreadStats.stats).metrics.held, 100_000)
        isSlow = false
        assert.deepStrictEqual((yield* ThreadStats.flush()).errors, [])
        assert.strictEqual((yield* ThreadStats.stats).metrics.delivered, 100_000)
      }).pipe(Effect.provide(clientTo({ url: server.url })))
      yield* settled(server)
      assert.isAtLeast(server.lines().map(dogstatsd.parse).length, 1000)
    }))
})

const seeds = Array.from({ length: 4 }, (_, i) => i + 1)

const random = (seed: number) => {
  let state = seed
  const next = () => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9 | 0
    return ((state ^ (state >>> 13)) >>> 0) / 2 ** 32
  }
  return {
    upTo: (n: number) => Math.floor(next() * n),
    one: <A>(values: ReadonlyArray<A>): A => values[Math.floor(next() * values.length)]!,
    chance: (p: number) => next() < p
  }
}

const vileTags: ReadonlyArray<ReadonlyArray<string>> = [
  [],
  ["a:1"],
  ["a:1", "b:2"],
  ["b:2", "a:1"],
  ["a b"],
  ["a_b"],
  ["x|y\nz,w"],
  ["größe:名"]
]

const sanitized = (tags: ReadonlyArray<string>) => tags.map((tag) => tag.replace(/[^\p{L}\p{N}_\-:/.]/gu, "_"))

const add = <K>(map: Map<K, number>, key: K, value: number) => map.set(key, (map.get(key) ?? 0) + value)

/** Random calls and flushes of several processes that share their tags, and what was recorded by all of them. */
const simulate = Effect.fnUntraced(function*(seed: number, options: {
  readonly server: dogstatsd.Receiver
  readonly processes: number
  readonly take: (line: string) => void
  readonly clock: { now: number }
  readonly dogstatsd: DogStatsDReporter.Options
  readonly client?: ThreadStats.DogStatsDOptions
  /** How long ago a point may be, in seconds. */
  readonly past: number
  readonly events: boolean
}) {
  const { clock, server } = options
  const { chance, one, upTo } = random(seed)
  yield* TestClock.setTime(clock.now * 1000)
  const recorded = {
    counts: new Map<string, number>(),
    histograms: new Map<string, number>(),
    distributions: new Map<string, Array<number>>(),
    sets: new Map<string, Set<string>>(),
    /** By interval. */
    members: new Map<string, Map<number, Set<string>>>(),
    gauges: new Map<string, Map<number, number>>(),
    events: 0
  }
  let seen = 0
  let sent = 0
  const receive = Effect.map(dogstatsd.eventually(() => server.bytes() === sent), (all) => {
    assert.isTrue(all)
    const packets = server.packets.slice(seen)
    seen = server.packets.length
    for (const packet of packets) packet.toString().slice(0, -1).split("\n").forEach(options.take)
  })
  yield* Effect.scoped(Effect.gen(function*() {
    const clients: Array<ThreadStats.ThreadStats["Type"]> = []
    for (let i = 0; i < options.processes; i++) {
      const context = yield* Layer.build(Layer.fresh(clientTo(
        { ...udp(server), ...options.dogstatsd },
        { sampleSize: 5, ...options.client }
      )))
      clients.push(Context.get(context, ThreadStats.ThreadStats))
    }
    for (let step = 0; step < 150; step++) {
      const client = one(clients)
      if (chance(0.15)) {
        clock.now += upTo(one([2, 15, 90]))
        yield* TestClock.setTime(clock.now * 1000)
      } else if (chance(0.15)) {
        const { bytes, errors } = yield* client.flush(chance(0.3) ? { upTo: clock.now * 1000 } : undefined)
        assert.deepStrictEqual(errors, [])
        sent += bytes
        yield* receive
      } else {
        const tags = one(vileTags)
        const context = (name: string) => dogstatsd.contextOf({ name, tags: sanitized(tags) })
        const time = options.past > 0 && chance(0.3) ? clock.now - upTo(options.past) : undefined
        const point = { tags, ...(time === undefined ? {} : { timestamp: time * 1000 }) }
        const start = Math.floor((time ?? clock.now) / 10) * 10
        const value = upTo(2000) / 4 - 100
        switch (upTo(7)) {
          case 0:
            client.unsafeIncrement("count", value, point)
            add(recorded.counts, context("count"), value)
            break
          case 1:
            for (let i = upTo(30); i >= 0; i--) {
              client.unsafeHistogram("histogram", value, point)
              add(recorded.histograms, context("histogram"), 1)
            }
            break
          case 2:
            client.unsafeTiming("timing", value, point)
            add(recorded.histograms, context("timing"), 1)
            break
          case 3: {
            client.unsafeDistribution("distribution", value, point)
            const values = recorded.distributions.get(context("distribution")) ?? []
            recorded.distributions.set(context("distribution"), [...values, value])
            break
          }
          case 4: {
            const member = one(["a", "b", "a|b", "a%7cb", "\n", "", "ü"])
            client.unsafeSet("set", member, point)
            const members = recorded.sets.get(context("set")) ?? new Set()
            recorded.sets.set(context("set"), members.add(member))
            const intervals = recorded.members.get(context("set")) ?? new Map<number, Set<string>>()
            intervals.set(start, (intervals.get(start) ?? new Set()).add(member))
            recorded.members.set(context("set"), intervals)
            break
          }
          case 5: {
            // of several processes the last one counts, whichever it is
            if (client !== clients[0]) break
            client.unsafeGauge("gauge", value, { ...point, tags: ["a:1"] })
            const key = dogstatsd.contextOf({ name: "gauge", tags: ["a:1"] })
            const points = recorded.gauges.get(key) ?? new Map<number, number>()
            recorded.gauges.set(key, points.set(start, value))
            break
          }
          default:
            if (!options.events) break
            client.unsafeEvent(`event ${step}`, "x|y\nz", { tags })
            recorded.events++
        }
      }
    }
    for (const client of clients) {
      const { bytes, errors } = yield* client.flush()
      assert.deepStrictEqual(errors, [])
      sent += bytes
      const { metrics } = yield* client.stats
      assert.deepInclude(metrics, { held: 0, dropped: {} })
      assert.strictEqual(metrics.received, metrics.delivered)
    }
  }))
  yield* receive
  return recorded
})

const without = <V>(map: ReadonlyMap<string, V>, isEmpty: (value: V) => boolean) =>
  Object.fromEntries(Array.from(map).filter(([, value]) => !isEmpty(value)).sort(([a], [b]) => a < b ? -1 : 1))

describe.concurrent("what a receiver has in the end", () => {
  const isZero = (value: number) => value === 0
  const never = () => false
  const start = 1_700_000_003

  const holdAgainst = (
    agent: ReturnType<typeof dogstatsd.makeAgent>,
    recorded: Effect.Effect.Success<ReturnType<typeof simulate>>
  ) => {
    const sorted = (values: Map<string, Array<number>>) =>
      without(new Map(Array.from(values, ([key, list]) => [key, list.toSorted((a, b) => a - b)])), never)
    assert.deepStrictEqual(without(agent.counts(), isZero), without(recorded.counts, isZero))
    assert.deepStrictEqual(
      without(new Map(Array.from(agent.histograms, ([key, { count }]) => [key, count])), never),
      without(recorded.histograms, never)
    )
    assert.deepStrictEqual(sorted(agent.distributions), sorted(recorded.distributions))
    assert.deepStrictEqual(
      without(new Map(Array.from(agent.sets, ([key, members]) => [key, members.size])), never),
      without(new Map(Array.from(recorded.sets, ([key, members]) => [key, members.size])), never)
    )
    assert.deepStrictEqual(without(agent.gauges, never), without(recorded.gauges, never))
    assert.strictEqual(agent.events.length, recorded.events)
  }

  for (const timestamps of ["late", "always", "never"] as const) {
    it.scoped.each(seeds)(
      `over an Agent is what was recorded, of one process, late points and all (${timestamps}, seed %i)`,
      (seed) =>
        Effect.gen(function*() {
          const clock = { now: start }
          const agent = dogstatsd.makeAgent(() => clock.now)
          const recorded = yield* simulate(seed, {
            server: yield* dogstatsd.udpServer(),
            processes: 1,
            take: agent.take,
            clock,
            dogstatsd: { timestamps },
            past: 3000,
            events: true
          })
          // without times an Agent dates a gauge when it arrives
          holdAgainst(agent, timestamps === "never" ? { ...recorded, gauges: agent.gauges } : recorded)
        })
    )
  }

  it.scoped.each(seeds)(
    "over an Agent is what was recorded, of three processes with the same tags (seed %i)",
    (seed) =>
      Effect.gen(function*() {
        const clock = { now: start }
        const agent = dogstatsd.makeAgent(() => clock.now)
        const recorded = yield* simulate(seed, {
          server: yield* dogstatsd.udpServer(),
          processes: 3,
          take: agent.take,
          // what waits for more than a minute is late, and may then meet another's
          clock,
          dogstatsd: { timestamps: "never" },
          past: 3000,
          events: true
        })
        holdAgainst(agent, { ...recorded, gauges: agent.gauges })
      })
  )

  it.scoped("over an Agent adds up over processes that flush in time, with times where they help", () =>
    Effect.gen(function*() {
      const server = yield* dogstatsd.udpServer()
      let now = start
      const agent = dogstatsd.makeAgent(() => now)
      const clients = yield* Effect.forEach(
        [1, 2, 3],
        () => Effect.map(Layer.build(Layer.fresh(clientTo(udp(server)))), Context.get(ThreadStats.ThreadStats))
      )
      let recorded = 0
      let seen = 0
      for (let step = 0; step < 60; step++) {
        now += 7
        yield* TestClock.setTime(now * 1000)
        for (const client of clients) {
          client.unsafeIncrement("count", step)
          recorded += step
          if (step % 2 === 0) yield* client.flush({ upTo: now * 1000 })
        }
        yield* settled(server)
        for (const line of server.lines().slice(seen)) agent.take(line)
        seen = server.lines().length
      }
      for (const client of clients) yield* client.flush()
      yield* settled(server)
      for (const line of server.lines().slice(seen)) agent.take(line)
      assert.deepStrictEqual(Array.from(agent.counts().values()), [recorded])
      assert.isFalse(server.lines().some((line) => line.includes("|T")))
    }))

  for (const counters of ["series", "distributions"] as const) {
    it.scoped.each(seeds)(
      `over the Lambda extension is what was recorded (counters as ${counters}, seed %i)`,
      (seed) =>
        Effect.gen(function*() {
          const clock = { now: start }
          const extension = dogstatsd.makeExtension(() => clock.now)
          const recorded = yield* simulate(seed, {
            server: yield* dogstatsd.udpServer(),
            processes: 1,
            take: extension.take,
            clock,
            dogstatsd: { profile: "extension" },
            client: { counters },
            past: 3000,
            events: false
          })
          assert.deepStrictEqual(extension.dropped, [])
          const valuesOf = (name: string) =>
            new Map(
              Array.from(extension.distributions)
                .filter(([context]) => context.startsWith(`["${name}"`))
                .map(([context, times]) => [context, Array.from(times.values()).flat()] as const)
            )
          const sums = (values: Map<string, ReadonlyArray<number>>) =>
            new Map(Array.from(values, ([context, list]) => [context, list.reduce((a, b) => a + b, 0)]))
          const counts = counters === "series" ? extension.counts : sums(valuesOf("count"))
          assert.deepStrictEqual(without(counts, isZero), without(recorded.counts, isZero))
          const lengths = new Map(
            [...valuesOf("histogram"), ...valuesOf("timing")].map(([context, { length }]) => [context, length])
          )
          assert.deepStrictEqual(without(lengths, never), without(recorded.histograms, never))
          const sorted = (values: Map<string, ReadonlyArray<number>>) =>
            without(new Map(Array.from(values, ([key, list]) => [key, list.toSorted((a, b) => a - b)])), never)
          assert.deepStrictEqual(sorted(valuesOf("distribution")), sorted(recorded.distributions))
          const { gauges } = extension
          const cardinalities = new Map(
            Array.from(gauges).filter(([context]) => context.startsWith("[\"set\""))
          )
          assert.deepStrictEqual(
            without(cardinalities, never),
            without(
              new Map(Array.from(recorded.members, ([context, intervals]) => [
                context,
                new Map(Array.from(intervals, ([time, members]) => [time, members.size]))
              ])),
              never
            )
          )
          const key = dogstatsd.contextOf({ name: "gauge", tags: ["a:1"] })
          assert.deepStrictEqual(gauges.get(key), recorded.gauges.get(key))
        })
    )
  }
})

describe("the Lambda extension", () => {
  it.scoped("is refused what it would drop, by name, and counted so", () =>
    Effect.gen(function*() {
      const server = yield* dogstatsd.udpServer()
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
          ["Rejected", "the Lambda extension makes aws.lambda.enhanced.invocations itself"],
          ["Rejected", "the Lambda extension takes no events"]
        ])
        const { events, metrics } = yield* ThreadStats.stats
        assert.deepInclude(metrics, { delivered: 2, held: 0, dropped: { Refused: 2 } })
        assert.deepInclude(events, { delivered: 0, held: 0, dropped: { Refused: 1 } })
      }).pipe(Effect.provide(clientTo({ ...udp(server), profile: "extension" })))
      yield* settled(server)
      assert.deepStrictEqual(server.lines().map((line) => line.replace(/#t0[^|]*/, "#…")), [
        "enough:1|g|#…|T1700000000",
        "aws.lambda.enhanced.errors:1|d|T1700000000"
      ])
    }))

  it.effect("gets no field it ignores, one value a line, and packets as long as it reads", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_700_000_005_000)
      const lines = yield* linesOf(
        {
          samples: [
            sample("histogram", "h", [1, 2], { weight: 3 }),
            sample("set", "s", ["a", "b"]),
            sample("counter", "c", [4])
          ],
          distributions: [{
            metric: "d",
            points: [[1_700_000_000, [5, 6]]],
            type: "distribution",
            tags: [],
            interval: 10
          }]
        },
        { profile: "extension", containerId: "ci-1", originDetection: true, timestamps: "never" },
        {
          DD_EXTERNAL_ENV: "a",
          DD_ENTITY_ID: "b",
          DD_CARDINALITY: "low"
        }
      )
      const at = "T1700000000"
      assert.deepStrictEqual(lines, [
        ...[1, 1, 1, 2, 2, 2].map((value) => `h:${value}|d|${at}`),
        `s:2|g|${at}`,
        `c:4|c|${at}`,
        `d:5|d|${at}`,
        `d:6|d|${at}`
      ])
    }))

  it.effect("is on this machine, whatever the environment says of an Agent", () =>
    Effect.gen(function*() {
      const environment = { DD_AGENT_HOST: "agent", DD_DOGSTATSD_PORT: "1", DD_DOGSTATSD_URL: "unix:///x" }
      const reporter = yield* reporterTo({ profile: "extension" }, environment)
      const error = yield* Effect.flip(reporter.flushEvents([{ title: "t", text: "", tags: [] }]))
      assert.strictEqual(error.endpoint, "udp://127.0.0.1:8125")
      const wrong = yield* Effect.flip(reporterTo({ profile: "extension", url: "unix:///x" }))
      assert.include(String(wrong), "the Lambda extension listens on UDP only")
    }).pipe(Effect.scoped))
})

describe("a statsd server", () => {
  /** The original one, in a process of its own. */
  const statsd = Effect.gen(function*() {
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "statsd-"))),
      (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
    )
    const port = yield* dogstatsd.freePort
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
    // Node.js 23 has no util.log any more
    const shim = "data:text/javascript,import util from 'node:util'; util.log ??= console.log"
    const child = yield* node(["--import", shim, "node_modules/statsd/stats.js", config], {})
    for (let line = ""; !line.includes("server is up"); line = yield* child.line);
    return { port, line: child.line }
  })

  it.scopedLive("understands counters, gauges, timings and sets", () =>
    Effect.gen(function*() {
      const { line, port } = yield* statsd
      yield* Effect.gen(function*() {
        yield* ThreadStats.increment("count", 7, { tags: ["a:b"] })
        yield* ThreadStats.gauge("gauge", 4.5)
        for (const value of [1, 2.5, 40]) yield* ThreadStats.timing("timing", value)
        for (const member of ["x", "y", "x", "a|b"]) yield* ThreadStats.set("set", member)
        assert.deepStrictEqual((yield* ThreadStats.flush()).errors, [])
      }).pipe(Effect.provide(clientTo({ host: "127.0.0.1", port, timestamps: "never", packed: false })))
      // it prints what it has every now and then
      let lines = ""
      while (!lines.includes("set: [")) lines = `${lines}${yield* line}\n`
      assert.match(lines, /set: \[ 'x', 'y', 'a%7cb' \]/)
      assert.match(lines, /'count;a=b': 7\b/)
      assert.match(lines, /gauge: 4.5/)
      assert.match(lines, /timing: \[ 1, 2.5, 40 \]/)
      assert.match(lines, /'statsd\.bad_lines_seen': 0/)
    }))
})

describe("settings", () => {
  const endpointOf = (options: DogStatsDReporter.Options, variables: Record<string, string> = {}) =>
    Effect.gen(function*() {
      const reporter = yield* reporterTo(options, variables)
      const refused = yield* Effect.flip(
        reporter.flushMetrics([{ metric: "", points: [], type: "gauge", tags: [], interval: 1 }])
      )
      return refused.endpoint
    }).pipe(Effect.scoped)

  it.effect("say where to send: a URL before host and port, code before the environment", () =>
    Effect.gen(function*() {
      const all = { DD_DOGSTATSD_URL: "udp://url:1", DD_AGENT_HOST: "host", DD_DOGSTATSD_PORT: "2" }
      assert.strictEqual(yield* endpointOf({}), "udp://localhost:8125")
      assert.strictEqual(yield* endpointOf({}, all), "udp://url:1")
      assert.strictEqual(yield* endpointOf({ url: "unixstream:///a" }, all), "unixstream:///a")
      assert.strictEqual(yield* endpointOf({ host: "code" }, all), "udp://code:2")
      assert.strictEqual(yield* endpointOf({ port: 3 }, all), "udp://host:3")
      assert.strictEqual(yield* endpointOf({ url: "udp://b:4", host: "c", port: 5 }, all), "udp://b:4")
      assert.strictEqual(yield* endpointOf({}, { DD_AGENT_HOST: "host", DD_DOGSTATSD_URL: " " }), "udp://host:8125")
      assert.strictEqual(yield* endpointOf({}, { DD_DOGSTATSD_PORT: " 2 " }), "udp://localhost:2")
      assert.strictEqual(yield* endpointOf({}, { DD_AGENT_HOST: "fe80::1%eth0" }), "udp://[fe80::1%eth0]:8125")
    }))

  it.effect("take these addresses", () =>
    Effect.gen(function*() {
      const taken: ReadonlyArray<readonly [string, string?]> = [
        ["udp://agent"],
        ["UDP://agent:1/", "udp://agent:1"],
        ["udp://127.0.0.1:65535"],
        ["udp://[::1]:9", "udp://[::1]:9"],
        ["udp://[::1]", "udp://[::1]:8125"],
        ["unix:///var/run/datadog/dsd.socket"],
        ["unixgram:///a b"],
        ["unixstream://relative"]
      ]
      for (const [url, expected = url.startsWith("udp://agent") ? "udp://agent:8125" : url] of taken) {
        if (url.startsWith("unixgram") && dogstatsd.unixDatagrams instanceof Error) continue
        assert.strictEqual(yield* endpointOf({ url }), expected)
        assert.strictEqual(yield* endpointOf({}, { DD_DOGSTATSD_URL: url }), expected)
      }
    }))

  const failureOf = (options: object, variables: Record<string, string> = {}) =>
    Effect.scoped(Effect.flip(reporterTo(options, variables))).pipe(
      Effect.map((error) => ({ path: "path" in error ? error.path : [], message: String(error) }))
    )

  it.effect("that are wrong fail at once, and say what is wrong with what", () =>
    Effect.gen(function*() {
      for (
        const [variable, ...values] of [
          [
            "DD_DOGSTATSD_URL",
            "agent:8125",
            "http://agent",
            "udp://",
            "udp://a:b",
            "udp://a:0",
            "udp://a:65536",
            "udp://::1",
            "unix://",
            `unix:///${"x".repeat(200)}`
          ],
          ["DD_AGENT_HOST", "udp://agent", "a b", "unix:///x", "a:8125/"],
          ["DD_DOGSTATSD_PORT", "x", "0", "65536", "1.5", "-1"],
          ["DD_CARDINALITY", "medium"],
          ["DATADOG_CARDINALITY", "medium"],
          ["DD_ORIGIN_DETECTION_ENABLED", "perhaps"]
        ]
      ) {
        for (const value of values) {
          const { message, path } = yield* failureOf({ originDetection: undefined }, { [variable!]: value })
          assert.deepStrictEqual(path, [variable], value)
          assert.include(message, "expected")
        }
      }
      for (
        const [option, ...values] of [
          ["url", "", 1, null, {}, "ftp://x"],
          ["host", "", 1, "a/b"],
          ["port", 0, 1.5, Number.NaN, "x", null],
          ["profile", "lambda", 1],
          ["packetSize", 1, 511, 65_508, Infinity, "big"],
          ["timestamps", "sometimes", true],
          ["packed", "x", 2],
          ["originDetection", "x"],
          ["containerId", 1],
          ["externalEnv", 1],
          ["entityId", {}],
          ["cardinality", "medium", null],
          ["root", 1]
        ] as const
      ) {
        for (const value of values) {
          const { message, path } = yield* failureOf({ [option]: value })
          assert.deepStrictEqual(path, [option], String(value))
          assert.include(message, "expected")
        }
      }
      const thrown = yield* Effect.scoped(Effect.flip(DogStatsDReporter.make({
        get port(): number {
          throw new TypeError("no")
        }
      })))
      assert.include(String(thrown), "port")
    }))

  it.effect("are read from a Config of one's own", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.flatMap(Reporter.Reporter, (reporter) =>
        reporter.flushMetrics([{ metric: "", points: [], type: "gauge", tags: [], interval: 1 }])))
      assert.strictEqual("endpoint" in error ? error.endpoint : error, "udp://mine:7")
    }).pipe(
      Effect.provide(
        DogStatsDReporter.layerConfig({ host: Config.string("MY_HOST"), port: Config.integer("MY_PORT") })
      ),
      Effect.withConfigProvider(environment({ MY_HOST: "mine", MY_PORT: "7" }))
    ))

  it.effect("are all named in `variables`, and a client fails on them", () =>
    Effect.gen(function*() {
      for (const { description, name } of DogStatsDReporter.variables) {
        assert.isNotEmpty(description)
        if (name === "DD_EXTERNAL_ENV" || name === "DD_ENTITY_ID") continue
        const result = yield* Effect.either(Effect.scoped(Layer.build(
          Layer.provide(ThreadStats.layerDogStatsD, Layer.setConfigProvider(environment({ [name]: "a b" })))
        )))
        assert.isTrue(Either.isLeft(result) && ConfigError.isConfigError(result.left), name)
      }
      yield* Layer.build(Layer.provide(
        ThreadStats.layerDogStatsD,
        Layer.setConfigProvider(environment({ DD_AGENT_HOST: "a b", DD_THREADSTATS_DISABLED: "true" }))
      ))
    }).pipe(Effect.scoped))

  it.effect("declare a delta", () =>
    Effect.map(reporterTo({}), ({ temporality }) => assert.strictEqual(temporality, "delta")).pipe(Effect.scoped))
})

describe("without the package unix-dgram", () => {
  const run = (url: string) =>
    Effect.flatMap(
      bundled,
      (path) => node(["--import", "./test/dogstatsd/missing.mjs", path], { DD_DOGSTATSD_URL: url })
    )

  it.scopedLive("unixgram:// fails at the start, and names it", () =>
    Effect.gen(function*() {
      const child = yield* run("unixgram:///tmp/x")
      const { code, stderr } = yield* child.ended
      assert.strictEqual(code, 1)
      assert.include(stderr, "unixgram:// needs the package unix-dgram, which cannot be loaded")
      assert.include(stderr, "DD_DOGSTATSD_URL")
    }))

  it.scopedLive("unix:// takes a stream", () =>
    Effect.gen(function*() {
      const server = yield* dogstatsd.streamServer(yield* dogstatsd.socketPath)
      const child = yield* run(server.url.replace("unixstream", "unix"))
      assert.strictEqual((yield* child.ended).code, 0)
      yield* settled(server)
      assert.strictEqual(server.lines().length, 2)
    }))

  it.scopedLive.skipIf(dogstatsd.unixDatagrams instanceof Error)(
    "unix:// to a socket for datagrams says what to install",
    () =>
      Effect.gen(function*() {
        const server = yield* dogstatsd.datagramServer(yield* dogstatsd.socketPath)
        const child = yield* run(server.url.replace("unixgram", "unix"))
        const { stdout } = yield* child.ended
        assert.include(stdout, "the socket takes datagrams: install the package unix-dgram")
      }),
    30_000
  )
})

describe("time", () => {
  it.scopedLive("of a flush over UDP to nobody is short from the second one on", () =>
    Effect.gen(function*() {
      const port = yield* dogstatsd.freePort
      const reporter = yield* reporterTo({ host: "127.0.0.1", port })
      const flush = Effect.suspend(() =>
        reporter.flushEvents([{ title: "t", text: "", tags: [] }]).pipe(
          Effect.flip,
          Effect.provideService(Reporter.Deadline, Date.now() + 4000),
          Effect.timed,
          Effect.map(([duration]) => Duration.toMillis(duration))
        )
      )
      const first = yield* flush
      assert.isAbove(first, 100)
      assert.isBelow(first, 2000)
      for (let i = 0; i < 3; i++) assert.isBelow(yield* flush, 500)
    }))
})
