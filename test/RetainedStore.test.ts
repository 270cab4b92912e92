import { KeyValueStore } from "@effect/platform"
import { NodeContext } from "@effect/platform-node"
import { type PlatformError, SystemError } from "@effect/platform/Error"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Option, Redacted, Scope, TestClock } from "effect"
import { LocalIntake, MetricsAggregator, Reporter, RetainedStore, ThreadStats } from "effect-threadstats"
import type { Event, ThreadStatsConfig } from "effect-threadstats"
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { beforeAll } from "vitest"
import { bundle, node } from "./support/childProcess.js"
import { layerIntake } from "./support/intake.js"
import * as Scripted from "./support/scripted.js"
import { type Line, logsTo } from "./support/scripted.js"

type Operation = "get" | "set" | "remove"

/** What outlives a client, and what goes wrong with it. */
interface Disk {
  readonly entries: Map<string, string>
  readonly operations: Array<readonly [Operation, key: string]>
  /** Runs before each operation, or in its place if it does not succeed. */
  fault: (operation: Operation, key: string, value: string) => Effect.Effect<void, PlatformError>
  readonly layer: Layer.Layer<KeyValueStore.KeyValueStore>
}

const makeDisk = (entries: ReadonlyMap<string, string> = new Map()): Disk => {
  const run = <A>(operation: Operation, key: string, value: string, use: () => A) =>
    Effect.suspend(() => {
      disk.operations.push([operation, key])
      return Effect.map(disk.fault(operation, key, value), use)
    })
  const disk: Disk = {
    entries: new Map(entries),
    operations: [],
    fault: () => Effect.void,
    layer: Layer.sync(KeyValueStore.KeyValueStore, () =>
      KeyValueStore.makeStringOnly({
        get: (key) => run("get", key, "", () => Option.fromNullable(disk.entries.get(key))),
        set: (key, value) => run("set", key, value, () => disk.entries.set(key, value)),
        remove: (key) => run("remove", key, "", () => disk.entries.delete(key)),
        clear: Effect.sync(() => disk.entries.clear()),
        size: Effect.sync(() => disk.entries.size)
      }))
  }
  return disk
}

const writes = (disk: Disk) => disk.operations.filter(([operation]) => operation !== "get")
const sets = (disk: Disk) => disk.operations.filter(([operation]) => operation === "set").map(([, key]) => key)
const pagesOf = (disk: Disk) => Array.from(disk.entries.keys()).filter((key) => key.includes("page"))

const ioError = new SystemError({ reason: "Unknown", module: "KeyValueStore", method: "set", description: "no space" })

const storeOn = (disk: Disk) => Layer.provide(RetainedStore.layer, disk.layer)

/** A client that is abandoned, as by `kill -9`: its scope is never closed. */
const start = (
  disk: Pick<Disk, "layer"> | undefined,
  reporter: Scripted.Scripted,
  options: ThreadStatsConfig.Options = {}
) =>
  Effect.gen(function*() {
    const client = Scripted.client(reporter, options)
    const kept = disk === undefined ? client : Layer.provide(client, Layer.provide(RetainedStore.layer, disk.layer))
    return Context.get(yield* Layer.buildWithScope(kept, yield* Scope.make()), ThreadStats.ThreadStats)
  })

/** Nothing gets through, and it is known that nothing arrived. */
const refuseAll = ({ batch }: Scripted.Call) => Scripted.fail("Transport", { undelivered: batch })

const failing = (temporality?: Reporter.Temporality) => {
  const reporter = Scripted.make(temporality)
  reporter.answer = refuseAll
  return reporter
}

const sentBy = (reporter: Scripted.Scripted) => ({
  series: reporter.series(),
  distributions: reporter.distributions(),
  events: reporter.events()
})

const titles = (reporter: Scripted.Scripted) => reporter.events().map(({ title }) => title)
const values = (reporter: Scripted.Scripted) => reporter.distributions().flatMap(({ points }) => points[0]![1])

/** What was said last of this name, over all buckets; rates with the ten seconds of a bucket. */
const valueOf = (reporter: Scripted.Scripted, name: string) => {
  const said = reporter.series().filter(({ metric }) => metric === name).map(({ points, type }) =>
    [points[0]![0], points[0]![1] * (type === "rate" ? 10 : 1)] as const
  )
  return Array.from(new Map(said).values()).reduce((sum, value) => sum + value, 0)
}

const balance = ({ delivered, dropped, held, received }: ThreadStats.Counts<string>) => {
  assert.strictEqual(received, delivered + held + Object.values(dropped).reduce<number>((a, b) => a + (b ?? 0), 0))
  return { received, delivered, held, dropped }
}

const balances = (client: ThreadStats.ThreadStats["Type"]) =>
  Effect.map(client.stats, ({ events, metrics }) => ({ metrics: balance(metrics), events: balance(events) }))

const second = 1000
const now = 1_700_000_000_000
const atNow = TestClock.setTime(now)

/** What a store has to carry: every kind, every shape. 60 points and 3 events. */
const recordAll = (client: ThreadStats.ThreadStats["Type"]) =>
  Effect.sync(() => {
    for (const back of [0, 10, 25]) {
      const at = { timestamp: now - back * second }
      client.unsafeIncrement("counter", 2.5, { ...at, tags: ["b:2", "a:1"], host: "h" })
      client.unsafeDecrement("counter", 7, at)
      client.unsafeGauge("gauge", -0.1, { ...at, tags: { größe: "ünï", 日: "本" } })
      client.unsafeGauge("gauge", 5e-324, { ...at, host: "" })
      for (const member of ["1", 1, "ü\u{1f600}", "\ud800", "1"]) client.unsafeSet("set", member, at)
      for (let i = 0; i < 6; i++) client.unsafeHistogram("histogram", i * 1.1, at)
      client.unsafeTiming("timing", 0.25, at)
      for (const value of [3, 1, 2, 1]) client.unsafeDistribution("distribution", value, { ...at, tags: ["\udc00"] })
    }
    client.unsafeEvent("first", "\ud800 lone", { alertType: "error", aggregationKey: "k", priority: "low" })
    client.unsafeEvent("第二", "", { relatedEventId: 7, deviceName: "d", sourceTypeName: "s", host: "eh" })
    client.unsafeEvent("third", "t", { dateHappened: now - 5000, tags: ["x:y"] })
  })
const all = { points: 60, events: 3 }

const noneHeld = (points: number, events: number) => ({
  metrics: { received: points, delivered: points, held: 0, dropped: {} },
  events: { received: events, delivered: events, held: 0, dropped: {} }
})

describe("what is written, and when", () => {
  it.effect("nothing while everything is delivered", () =>
    Effect.gen(function*() {
      yield* atNow
      const disk = makeDisk()
      const client = yield* start(disk, Scripted.make())
      for (let i = 0; i < 3; i++) {
        yield* recordAll(client)
        yield* client.flush(i === 0 ? { upTo: now } : undefined)
      }
      yield* client.flush()
      assert.deepStrictEqual(writes(disk), [])
      assert.strictEqual((yield* balances(client)).metrics.held, 0)
    }))

  it.effect("a flush that fails writes, and one that delivers empties the store", () =>
    Effect.gen(function*() {
      yield* atNow
      const disk = makeDisk()
      const reporter = failing()
      const client = yield* start(disk, reporter)
      yield* recordAll(client)
      yield* client.flush()
      assert.isAbove(pagesOf(disk).length, 1)

      reporter.answer = ({ batch }) => Scripted.accept(batch)
      yield* client.flush()
      assert.deepStrictEqual(pagesOf(disk), [])
      assert.isTrue(Array.from(disk.entries.values()).some((text) => text.includes("\"pages\":[]")))

      const before = writes(disk).length
      yield* recordAll(client)
      yield* client.flush()
      assert.strictEqual(writes(disk).length, before)

      const heir = Scripted.make()
      yield* Effect.flatMap(start(disk, heir), (next) => next.flush())
      assert.deepStrictEqual(heir.calls, [])
    }))

  it.effect("a bucket and events that have not changed are not written again", () =>
    Effect.gen(function*() {
      yield* atNow
      const disk = makeDisk()
      for (const temporality of ["total", "delta"] as const) {
        const client = yield* start(disk, failing(temporality))
        yield* recordAll(client)
        yield* client.flush()
        disk.operations.length = 0
        yield* client.flush()
        yield* client.flush()
        assert.deepStrictEqual(writes(disk), [], "nothing new")

        client.unsafeIncrement("counter", 1)
        yield* client.flush()
        assert.strictEqual(sets(disk).length, 2, "one page and the index")
        disk.operations.length = 0
        client.unsafeEvent("fourth", "")
        yield* client.flush()
        assert.strictEqual(sets(disk).length, 2, "one page and the index")
        disk.operations.length = 0
      }
    }))

  it.effect("only what was not delivered is there afterwards", () =>
    Effect.gen(function*() {
      yield* atNow
      const disk = makeDisk()
      const reporter = Scripted.make()
      reporter.answer = ({ batch, endpoint }) =>
        endpoint === "distributions"
          ? Scripted.accept(batch)
          : Scripted.fail("ServerError", { undelivered: batch.slice(1) })
      const client = yield* start(disk, reporter)
      for (const name of ["a", "b", "c"]) client.unsafeIncrement(name, 10)
      client.unsafeDistribution("d", 1)
      client.unsafeEvent("e1", "")
      client.unsafeEvent("e2", "")
      yield* client.flush()

      const heir = Scripted.make()
      const next = yield* start(makeDisk(disk.entries), heir)
      yield* next.flush()
      assert.deepStrictEqual(heir.series().map(({ metric }) => metric), ["b", "c"])
      assert.deepStrictEqual([heir.distributions(), titles(heir)], [[], ["e2"]])
      assert.deepStrictEqual(yield* balances(next), noneHeld(2, 1))
    }))

  it.effect("also the bucket that is still open, as long as it is not delivered", () =>
    Effect.gen(function*() {
      yield* atNow
      const disk = makeDisk()
      const reporter = failing()
      const client = yield* start(disk, reporter)
      client.unsafeIncrement("closed", 1, { timestamp: now - 20 * second })
      client.unsafeIncrement("open", 2)
      yield* client.flush({ upTo: now })
      // whoever takes over sends the closed one, and is killed as well
      const first = Scripted.make()
      yield* Effect.flatMap(start(disk, first), (client) => client.flush({ upTo: now }))
      const heir = Scripted.make()
      yield* Effect.flatMap(start(disk, heir), (client) => client.flush())
      assert.deepStrictEqual(first.series().map(({ metric }) => metric), ["closed"])
      assert.deepStrictEqual(heir.series().map(({ metric }) => metric), ["open"])
    }))

  it.effect("also by a flush that the breaker skips", () =>
    Effect.gen(function*() {
      yield* atNow
      const disk = makeDisk()
      const reporter = failing()
      reporter.answer = (call) => Effect.zipRight(Effect.sleep("4 seconds"), refuseAll(call))
      const client = yield* start(disk, reporter)
      for (let i = 0; i < 3; i++) {
        client.unsafeIncrement("c", 1)
        const fiber = yield* Effect.fork(client.flush())
        yield* TestClock.adjust("5 seconds")
        yield* Fiber.join(fiber)
      }
      client.unsafeIncrement("c", 1)
      client.unsafeEvent("late", "")
      assert.isTrue((yield* client.flush()).skipped)
      const heir = Scripted.make()
      yield* Effect.flatMap(start(disk, heir), (client) => client.flush())
      assert.strictEqual(valueOf(heir, "c"), 4)
      assert.deepStrictEqual(titles(heir), ["late"])
    }))
})

describe("a restart", () => {
  const restarts = (options: ThreadStatsConfig.Options, temporality: Reporter.Temporality) =>
    Effect.gen(function*() {
      yield* atNow
      const disk = makeDisk()
      const reporter = failing(temporality)
      const client = yield* start(disk, reporter, options)
      yield* recordAll(client)
      yield* client.flush()
      const steady = Scripted.make(temporality)
      const other = yield* start(undefined, steady, options)
      yield* recordAll(other)
      yield* other.flush()
      if (options.sampleSize === undefined) assert.deepStrictEqual(sentBy(reporter), sentBy(steady))

      const heir = Scripted.make(temporality)
      const next = yield* start(disk, heir, options)
      const { events, metrics } = yield* balances(next)
      assert.deepStrictEqual([metrics.received, metrics.held], [all.points, all.points])
      assert.deepStrictEqual([events.received, events.held], [all.events, all.events])
      yield* next.flush()
      assert.deepStrictEqual(sentBy(heir), sentBy(reporter))
      assert.deepStrictEqual(yield* balances(next), noneHeld(all.points, all.events))
      assert.deepStrictEqual(pagesOf(disk), [])
    })

  it.effect("delivers what would have been delivered without it", () => restarts({}, "total"))
  it.effect("also with a namespace, constant tags and a host", () =>
    restarts({ namespace: "n", constantTags: ["c:t"], host: "me" }, "total"))
  it.effect("also to a receiver that adds up", () => restarts({}, "delta"))
  it.effect("also where a histogram has more values than it keeps", () => restarts({ sampleSize: 3 }, "total"))

  it.effect("and another, and another, before anything is delivered", () =>
    Effect.gen(function*() {
      yield* atNow
      const disk = makeDisk()
      for (let i = 0; i < 4; i++) {
        const client = yield* start(disk, failing())
        client.unsafeIncrement("c", 1)
        client.unsafeDistribution("d", i)
        client.unsafeEvent(`e${i}`, "")
        yield* client.flush()
      }
      const heir = Scripted.make()
      const last = yield* start(disk, heir)
      yield* last.flush()
      assert.strictEqual(valueOf(heir, "c"), 4)
      assert.deepStrictEqual([values(heir), titles(heir)], [[0, 1, 2, 3], ["e0", "e1", "e2", "e3"]])
      assert.deepStrictEqual(yield* balances(last), noneHeld(8, 4))
    }))

  it.effect("what is recorded afterwards for the same time is merged", () =>
    Effect.gen(function*() {
      yield* atNow
      const disk = makeDisk()
      const client = yield* start(disk, failing())
      yield* recordAll(client)
      yield* client.flush()
      const heir = Scripted.make()
      const next = yield* start(disk, heir)
      yield* recordAll(next)
      next.unsafeGauge("gauge", 9, { host: "" })
      yield* next.flush()

      const steady = Scripted.make()
      const other = yield* start(undefined, steady)
      yield* recordAll(other)
      yield* recordAll(other)
      other.unsafeGauge("gauge", 9, { host: "" })
      yield* other.flush()
      assert.deepStrictEqual(sentBy(heir), sentBy(steady))
      assert.deepStrictEqual(yield* balances(next), noneHeld(2 * all.points + 1, 2 * all.events))
    }))

  it.effect("also by a client that keeps larger or smaller samples", () =>
    Effect.gen(function*() {
      yield* atNow
      for (const [before, after] of [[4, 50], [50, 4]] as const) {
        const disk = makeDisk()
        const client = yield* start(disk, failing(), { sampleSize: before })
        for (let i = 1; i <= 20; i++) client.unsafeHistogram("h", i)
        yield* client.flush()
        const heir = Scripted.make()
        const next = yield* start(disk, heir, { sampleSize: after })
        next.unsafeHistogram("h", 21)
        yield* next.flush()
        for (const { points } of heir.series()) assert.isTrue(Number.isFinite(points[0]![1]))
        assert.deepStrictEqual(["h.min", "h.max", "h.count"].map((name) => valueOf(heir, name)), [1, 21, 21])
      }
      const aggregator = yield* MetricsAggregator.make({ sampleSize: 50 })
      aggregator.unsafeAdd("histogram", "h", 100, now)
      const state = { min: 1, max: 10, sum: 55, count: 10, sample: [2, 4, 6] }
      const item = { kind: "histogram", name: "h", host: null, tags: [], start: now, recorded: 10, state } as const
      yield* aggregator.adopt([item])
      const [{ points }] = yield* aggregator.flush({ temporality: "total", now }) as Effect.Effect<
        readonly [MetricsAggregator.RolledUp]
      >
      for (const { value } of points) assert.isTrue(Number.isFinite(value))
    }))

  it.effect("what has become too old meanwhile is counted, and not sent", () =>
    Effect.gen(function*() {
      yield* atNow
      const disk = makeDisk()
      const client = yield* start(disk, failing())
      client.unsafeIncrement("old", 1, { timestamp: now - 20 * 60 * second })
      client.unsafeDistribution("old.d", 1, { timestamp: now - 20 * 60 * second })
      client.unsafeIncrement("young", 1)
      client.unsafeEvent("old", "", { dateHappened: now - 17.5 * 3600 * second })
      client.unsafeEvent("young", "")
      yield* client.flush()
      yield* TestClock.adjust("45 minutes")
      const heir = Scripted.make()
      const next = yield* start(disk, heir)
      yield* next.flush()
      assert.deepStrictEqual(heir.series().map(({ metric }) => metric), ["young"])
      assert.deepStrictEqual([values(heir), titles(heir)], [[], ["young"]])
      assert.deepStrictEqual(yield* balances(next), {
        metrics: { received: 3, delivered: 1, held: 0, dropped: { Expired: 2 } },
        events: { received: 2, delivered: 1, held: 0, dropped: { Expired: 1 } }
      })
    }))

  it.effect("the limits of the new client hold for what it takes over", () =>
    Effect.gen(function*() {
      yield* atNow
      const disk = makeDisk()
      const client = yield* start(disk, failing())
      for (let i = 0; i < 20; i++) {
        client.unsafeIncrement(`c${i}`, 1, { timestamp: now - (200 - i * 10) * second })
        client.unsafeDistribution("d", i)
        client.unsafeEvent(`e${i}`, "")
      }
      yield* client.flush()
      const limited = (options: ThreadStatsConfig.Options) =>
        Effect.gen(function*() {
          const heir = Scripted.make()
          const next = yield* start(makeDisk(disk.entries), heir, options)
          yield* next.flush()
          const { events, metrics } = yield* balances(next)
          assert.deepStrictEqual([metrics.received, events.received], [40, 20])
          return { heir, dropped: { ...metrics.dropped }, events: { ...events.dropped } }
        })
      const contexts = yield* limited({ maxContexts: 5 })
      assert.deepStrictEqual(contexts.dropped, { TooManyContexts: 16 })
      assert.deepStrictEqual(contexts.heir.series().map(({ metric }) => metric), ["c16", "c17", "c18", "c19"])
      const points = yield* limited({ maxValues: 3 })
      assert.deepStrictEqual([points.dropped, values(points.heir)], [{ TooManyValues: 17 }, [17, 18, 19]])
      const events = yield* limited({ maxEvents: 2 })
      assert.deepStrictEqual([events.events, titles(events.heir)], [{ TooManyEvents: 18 }, ["e18", "e19"]])
      const bytes = yield* limited({ maxBytes: 1200 })
      assert.isAbove(bytes.dropped["TooManyBytes"] ?? 0, 10)
      assert.isAbove(bytes.events["TooManyBytes"] ?? 0, 10)
    }))
})

/** A reporter whose deliveries begin and do not end; what is on the disk when they have begun. */
const stuck = (disk: Disk, temporality?: Reporter.Temporality) =>
  Effect.gen(function*() {
    const moment = yield* Deferred.make<Disk>()
    const reporter = Scripted.make(temporality)
    reporter.answer = () =>
      Effect.zipRight(Deferred.complete(moment, Effect.sync(() => makeDisk(disk.entries))), Effect.never)
    return { reporter, killed: Deferred.await(moment) }
  })

describe("killed while it sends", () => {
  it.effect("no total that was delivered is undercut by an older one from the store", () =>
    Effect.gen(function*() {
      yield* atNow
      const disk = makeDisk()
      const reporter = failing()
      const client = yield* start(disk, reporter)
      client.unsafeIncrement("c", 8)
      client.unsafeSet("s", "a")
      client.unsafeHistogram("h", 1)
      client.unsafeGauge("g", 1)
      yield* client.flush()
      client.unsafeIncrement("c", 4)
      client.unsafeSet("s", "b")
      client.unsafeHistogram("h", 2)
      client.unsafeGauge("g", 2)
      const { killed, reporter: slow } = yield* stuck(disk)
      reporter.calls.length = 0
      reporter.answer = (call) => slow.answer(call)
      yield* Effect.fork(client.flush())
      const heir = Scripted.make()
      yield* Effect.flatMap(start(yield* killed, heir), (next) => next.flush())
      assert.strictEqual(valueOf(heir, "c"), 12)
      assert.deepStrictEqual(heir.series(), reporter.series())
    }))

  it.effect("not even where points are recorded while the store is written, or by the client about itself", () =>
    Effect.gen(function*() {
      yield* atNow
      const disk = makeDisk()
      const reporter = failing()
      const client = yield* start(disk, reporter, { selfMetrics: true })
      client.unsafeIncrement("c", 8)
      yield* client.flush()
      client.unsafeIncrement("c", 4)
      const { killed, reporter: slow } = yield* stuck(disk)
      disk.fault = (operation) =>
        operation === "set"
          ? Effect.zipRight(Effect.yieldNow(), Effect.sync(() => client.unsafeIncrement("c", 1)))
          : Effect.void
      reporter.calls.length = 0
      reporter.answer = (call) => slow.answer(call)
      yield* Effect.fork(client.flush())
      const heir = Scripted.make()
      yield* Effect.flatMap(start(yield* killed, heir), (next) => next.flush())
      assert.strictEqual(valueOf(heir, "c"), 12)
      assert.isAbove(reporter.series().length, 3)
      assert.deepStrictEqual(heir.series(), reporter.series())
      assert.isTrue((yield* balances(client)).metrics.held > 12)
    }))

  for (const temporality of ["total", "delta"] as const) {
    for (const first of [false, true]) {
      it.effect(
        `at-most-once, ${temporality}: what would count twice is not sent again${
          first ? " by the heir of the heir" : ""
        }`,
        () =>
          Effect.gen(function*() {
            yield* atNow
            const disk = makeDisk()
            const options = { delivery: "at-most-once" } as const
            const reporter = failing(temporality)
            let client = yield* start(disk, reporter, options)
            client.unsafeIncrement("c", 8)
            client.unsafeGauge("g", 1)
            client.unsafeDistribution("d", 1)
            client.unsafeEvent("e", "")
            yield* client.flush()
            const kept = Scripted.make(temporality)
            yield* Effect.flatMap(start(makeDisk(disk.entries), kept, options), (next) => next.flush())
            assert.deepStrictEqual([kept.series().length, values(kept), titles(kept)], [2, [1], ["e"]])

            const { killed, reporter: slow } = yield* stuck(disk, temporality)
            if (first) client = yield* start(disk, slow, options)
            else reporter.answer = (call) => slow.answer(call)
            yield* Effect.fork(client.flush())
            const heir = Scripted.make(temporality)
            yield* Effect.flatMap(start(yield* killed, heir, options), (next) => next.flush())
            assert.deepStrictEqual(
              heir.series().map(({ metric }) => metric),
              temporality === "total" ? ["c", "g"] : ["g"]
            )
            assert.deepStrictEqual([values(heir), titles(heir)], [[], []])
          })
      )
    }
  }
})

const retained = (name: string, start = now): MetricsAggregator.Retained => ({
  kind: "counter",
  name,
  host: null,
  tags: [],
  start,
  recorded: 1,
  state: 1
})

/** So many contexts that a bucket takes more than one page. */
const bucketOf = (version: number, start = now): MetricsAggregator.Snapshot => ({
  start,
  version,
  contexts: Array.from({ length: 501 }, (_, i) => retained(`v${version}.${i}`, start))
})

const eventOf = (title: string): Event.Event => ({ title, text: "", tags: [] })

const held = (
  metrics: ReadonlyArray<MetricsAggregator.Snapshot>,
  events: ReadonlyArray<Event.Event>
): RetainedStore.Held => ({ metrics, events })

/** What the store is to hold, as it is loaded again: in any order. */
const contents = ({ events, metrics }: Pick<RetainedStore.Loaded, "metrics" | "events">) =>
  [...metrics.map(({ name }) => name), ...events.map(({ title }) => title)].sort().join(" ")

const contentsOf = ({ events, metrics }: RetainedStore.Held) =>
  contents({ events, metrics: metrics.flatMap(({ contexts }) => contexts ?? []) })

const saveTo = (store: RetainedStore.RetainedStore["Type"], state: RetainedStore.Held) =>
  store.save((known) =>
    Effect.succeed({
      ...state,
      metrics: state.metrics.map((bucket) =>
        known.get(bucket.start) === bucket.version ? { ...bucket, contexts: undefined } : bucket
      )
    })
  )

const opened = (disk: Disk) =>
  Effect.map(
    Layer.buildWithScope(storeOn(disk), Effect.runSync(Scope.make())),
    Context.get(RetainedStore.RetainedStore)
  )

/** The n-th write is torn, and it was the last. */
const tearAt = (disk: Disk, n: number, torn: (text: string) => string | undefined) => {
  let left = n
  disk.fault = (operation, key, value) => {
    if (operation === "get") return left > 0 ? Effect.void : Effect.fail(ioError)
    left--
    if (left > 0) return Effect.void
    const part = torn(value)
    if (left === 0 && operation === "set" && part !== undefined) disk.entries.set(key, part)
    return Effect.fail(ioError)
  }
}

describe("killed while it writes", () => {
  const old = held([bucketOf(1), { ...bucketOf(2, now + 10_000) }], [eventOf("a"), eventOf("b")])
  const states = {
    "more": held([bucketOf(1), bucketOf(2, now + 10_000), bucketOf(3, now + 20_000)], old.events),
    "other": held([bucketOf(4), bucketOf(2, now + 10_000)], [eventOf("c")]),
    "less": held([bucketOf(1)], []),
    "nothing": held([], [])
  }
  const tears = {
    "half of it is written": (text: string) => text.slice(0, text.length >> 1),
    "nothing of it is written": () => undefined,
    "the entry is there, and empty": () => "",
    "all of it is written": (text: string) => text
  }

  for (const [name, next] of Object.entries(states)) {
    for (const [how, torn] of Object.entries(tears)) {
      it.effect(`${name}; ${how}: the old state or the new one, whole`, () =>
        Effect.gen(function*() {
          const seen = new Set<string>()
          for (let n = 1, whole = false; !whole; n++) {
            const disk = makeDisk()
            const store = yield* opened(disk)
            yield* saveTo(store, old)
            tearAt(disk, n, torn)
            whole = Exit.isSuccess(yield* Effect.exit(saveTo(store, next))) && disk.operations.length < 100 &&
              (yield* Effect.exit(Effect.flatMap(opened(disk), (store) => store.load)))._tag === "Success"

            const later = makeDisk(disk.entries)
            const successor = yield* opened(later)
            const loaded = yield* successor.load
            assert.include([contentsOf(old), contentsOf(next)], contents(loaded))
            assert.deepStrictEqual(loaded.lost, { points: 0, events: 0 })
            seen.add(contents(loaded))
            if (whole) assert.strictEqual(contents(loaded), contentsOf(next))

            // and it goes on from there
            const after = held([bucketOf(9)], [eventOf("z")])
            yield* saveTo(successor, after)
            const third = yield* opened(makeDisk(later.entries))
            assert.strictEqual(contents(yield* third.load), contentsOf(after))
            yield* saveTo(successor, states.nothing)
            assert.deepStrictEqual(pagesOf(later), [])
            assert.isTrue(successor.isEmpty())
          }
          assert.isTrue(seen.has(contentsOf(next)))
          // where the first thing written is the index, and all of it is, there is no way back
          const atOnce = how === "all of it is written" && (name === "less" || name === "nothing")
          assert.strictEqual(seen.has(contentsOf(old)), !atOnce)
        }))
    }
  }

  it.effect("an index that was written although that failed counts", () =>
    Effect.gen(function*() {
      const { more, other } = states
      for (let n = 1; n < 12; n++) {
        const disk = makeDisk()
        const store = yield* opened(disk)
        yield* saveTo(store, old)
        disk.fault = (operation, key, value) => {
          if (operation !== "set" || !key.includes("index")) return Effect.void
          disk.entries.set(key, value)
          return Effect.fail(ioError)
        }
        assert.isTrue(Exit.isFailure(yield* Effect.exit(saveTo(store, other))))
        assert.isFalse(store.isEmpty())
        tearAt(disk, n, tears["half of it is written"])
        yield* Effect.exit(saveTo(store, more))
        const loaded = yield* Effect.flatMap(opened(makeDisk(disk.entries)), (store) => store.load)
        assert.include([contentsOf(other), contentsOf(more)], contents(loaded))
        assert.deepStrictEqual(loaded.lost, { points: 0, events: 0 })
      }
    }))
})

describe("damage", () => {
  const damages: Record<string, (text: string) => ReadonlyArray<string>> = {
    "cut off": (text) =>
      Array.from({ length: 24 }, (_, i) => text.slice(0, Math.floor(text.length * i / 24))).concat(
        Array.from({ length: 8 }, (_, i) => text.slice(0, i)),
        text.slice(0, -1)
      ),
    "bits flipped": (text) =>
      Array.from({ length: 40 }, (_, i) => {
        const at = i < 12 ? i : Math.floor(text.length * i / 40)
        return `${text.slice(0, at)}${String.fromCharCode(text.charCodeAt(at) ^ (1 << (i % 7)))}${text.slice(at + 1)}`
      }),
    "a digit changed": (text) =>
      Array.from(text.slice(12).matchAll(/\d/g)).map(({ 0: digit, index }) =>
        `${text.slice(0, 12 + index)}${(Number(digit) + 1) % 10}${text.slice(13 + index)}`
      ),
    "zeroes": (text) => [text.replace(/./gs, "\0"), `${text.slice(0, text.length >> 1)}${"\0".repeat(400)}`],
    "something else": () => ["", " ", "{}", "null", "not JSON", "0 null", "\ufffd\ufffd", "[[[[", "1505 "],
    "something behind it": (text) => [`${text}x`, `${text}${text}`, `${text}\n`],
    "another shape, and well sealed": () =>
      [
        null,
        {},
        "",
        7,
        [null],
        [{}],
        [[]],
        [{ ...retained("a"), kind: "other" }],
        [{ ...retained("a"), state: "1" }],
        [{ ...retained("a"), recorded: 0 }],
        [{ ...retained("a"), recorded: -1 }],
        [{ ...retained("a"), recorded: 1.5 }],
        [{ ...retained("a"), name: "" }],
        [{ ...retained("a"), tags: [1] }],
        [{ ...retained("a"), kind: "set" }],
        [{ ...retained("a"), kind: "distribution", state: [] }],
        [{ ...retained("a"), kind: "histogram", state: { min: 1, max: 1, sum: 1, count: 1, sample: [] } }],
        [{ title: "", text: "", tags: [] }],
        { generation: "1", pages: [] },
        { generation: 1, pages: [{}] },
        { generation: 1, pages: [{ slot: -1, start: null, count: 1 }] },
        { generation: 1, pages: [{ slot: 0, start: null, count: -1 }] }
      ].map(sealed)
  }

  /** One bucket with three points in one page, one with two in another, and two events. */
  const prepare = Effect.gen(function*() {
    yield* atNow
    const disk = makeDisk()
    const client = yield* start(disk, failing())
    for (let i = 0; i < 3; i++) client.unsafeIncrement(`a${i}`, 1, { timestamp: now - 30 * second })
    client.unsafeDistribution("d", 1)
    client.unsafeDistribution("d", 2)
    client.unsafeEvent("e1", "")
    client.unsafeEvent("e2", "")
    yield* client.flush()
    return disk
  })

  const restarted = (disk: Disk) =>
    Effect.gen(function*() {
      const lines: Array<Line> = []
      const heir = Scripted.make()
      const client = yield* Effect.provide(start(disk, heir), logsTo(lines))
      const warnings = lines.length
      client.unsafeIncrement("new", 1)
      yield* Effect.provide(client.flush(), logsTo(lines))
      return { heir, stats: yield* balances(client), lines, warnings }
    })

  for (const [name, damage] of Object.entries(damages)) {
    it.effect(`${name}: skipped and counted, and the rest is delivered`, () =>
      Effect.gen(function*() {
        const whole = yield* prepare
        const lab = makeDisk(whole.entries)
        const store = yield* opened(lab)
        const { events, metrics } = yield* store.load
        let tried = 0
        for (const [key, text] of whole.entries) {
          const isIndex = key.includes("index")
          const lost = isIndex || text.includes("\"a0\"")
            ? { metrics: 3, events: 0 }
            : text.includes("\"e1\"")
            ? { metrics: 0, events: 2 }
            : { metrics: 2, events: 0 }
          const left = {
            metrics: metrics.filter(({ name }) => !isIndex && !text.includes(`"${name}"`)),
            events: events.filter(({ title }) => !isIndex && !text.includes(`"${title}"`)),
            skipped: 1,
            lost: isIndex ? { points: 0, events: 0 } : { points: lost.metrics, events: lost.events }
          }
          const unlike = damage(text).filter((damaged) => damaged !== text)
          for (const damaged of unlike) {
            tried++
            lab.entries.clear()
            for (const [key, text] of whole.entries) lab.entries.set(key, text)
            lab.entries.set(key, damaged)
            assert.deepStrictEqual(yield* store.load, left, `${key}: ${damaged.slice(0, 80)}`)
          }
          for (const damaged of [unlike[0]!, unlike.at(-1)!]) {
            const disk = makeDisk(whole.entries)
            disk.entries.set(key, damaged)
            const { heir, lines, stats, warnings } = yield* restarted(disk)
            const note = `${key}: ${damaged.slice(0, 80)}`
            assert.strictEqual(warnings, 1, note)
            if (isIndex) {
              // nothing says what there was
              assert.deepStrictEqual(stats, noneHeld(1, 0), note)
              assert.strictEqual(lines.length, 1, note)
            } else {
              assert.deepStrictEqual(
                stats,
                {
                  metrics: {
                    received: 6,
                    delivered: 6 - lost.metrics,
                    held: 0,
                    dropped: lost.metrics > 0 ? { Corrupt: lost.metrics } : {}
                  },
                  events: {
                    received: 2,
                    delivered: 2 - lost.events,
                    held: 0,
                    dropped: lost.events > 0 ? { Corrupt: lost.events } : {}
                  }
                },
                note
              )
              assert.strictEqual(heir.series().length, lost.metrics === 3 ? 1 : 4)
              assert.strictEqual(values(heir).length, lost.metrics === 2 ? 0 : 2)
              assert.strictEqual(titles(heir).length, 2 - lost.events)
              // and it is over with that
              assert.deepStrictEqual(pagesOf(disk), [])
              assert.strictEqual((yield* restarted(disk)).lines.length, 0)
            }
          }
        }
        assert.isAbove(tried, 5)
      }))
  }

  it.effect("pages that are missing are counted", () =>
    Effect.gen(function*() {
      const disk = yield* prepare
      for (const key of pagesOf(disk)) disk.entries.delete(key)
      const { lines, stats, warnings } = yield* restarted(disk)
      assert.deepStrictEqual([stats.metrics.dropped, stats.events.dropped], [{ Corrupt: 5 }, { Corrupt: 2 }])
      assert.deepStrictEqual(lines.slice(0, warnings), [
        { level: "WARN", message: "Skipped 3 unreadable entries of the store" }
      ])
      assert.include(lines.map(({ message }) => message), "Dropped 5 points: Corrupt (in the store)")
      assert.include(lines.map(({ message }) => message), "Dropped 2 events: Corrupt (in the store)")
    }))

  it.effect("of two indexes, the one that is whole counts", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      const store = yield* opened(disk)
      const first = held([bucketOf(1)], [])
      const both = held([bucketOf(1), bucketOf(2, now + 10_000)], [])
      yield* saveTo(store, first)
      yield* saveTo(store, both)
      const loadedWithout = (...broken: ReadonlyArray<number>) => {
        const copy = makeDisk(disk.entries)
        for (const place of broken) copy.entries.set(`threadstats-index-${place}`, "broken")
        return Effect.flatMap(opened(copy), (store) => store.load)
      }
      const [none, older, newer, neither] = yield* Effect.all([
        loadedWithout(),
        loadedWithout(1),
        loadedWithout(0),
        loadedWithout(0, 1)
      ])
      assert.deepStrictEqual([contents(none), none.skipped], [contentsOf(both), 0])
      assert.deepStrictEqual([contents(older), older.skipped], [contentsOf(both), 1])
      assert.deepStrictEqual([contents(newer), newer.skipped], [contentsOf(first), 1])
      assert.deepStrictEqual([contents(neither), neither.skipped], ["", 2])
    }))

  it.effect("an index that cannot be read does not hide the other one", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      const store = yield* opened(disk)
      const state = held([bucketOf(1)], [eventOf("a")])
      yield* saveTo(store, state)
      disk.fault = (operation, key) =>
        operation === "get" && key.endsWith("index-0") ? Effect.fail(ioError) : Effect.void
      const loaded = yield* Effect.flatMap(opened(disk), (store) => store.load)
      assert.deepStrictEqual([contents(loaded), loaded.skipped], [contentsOf(state), 1])
    }))
})

/** As the store writes it: a checksum, and JSON. Written down here once more, so that the format cannot change unseen. */
const sealed = (content: unknown): string => {
  const json = JSON.stringify(content)
  let hash = 5381
  for (let i = json.length - 1; i >= 0; i--) hash = (hash * 33) ^ json.charCodeAt(i)
  return `${(((hash & 0xbfffffff) | ((hash >>> 1) & 0x40000000)) >>> 0).toString(16)} ${json}`
}

describe("a store of one's own", () => {
  it.effect("is used as any other", () =>
    Effect.gen(function*() {
      yield* atNow
      let kept: RetainedStore.Held = held([], [])
      const own: RetainedStore.Store = {
        load: Effect.sync(() => ({
          metrics: kept.metrics.flatMap(({ contexts }) => contexts ?? []),
          events: kept.events,
          lost: { points: 0, events: 0 },
          skipped: 0
        })),
        save: (take) =>
          Effect.map(take(new Map()), (all) => {
            kept = all
          }),
        isEmpty: () => false,
        branch: () => RetainedStore.fromStore(own)
      }
      const layer = Layer.succeed(RetainedStore.RetainedStore, RetainedStore.fromStore(own))
      const begin = (reporter: Scripted.Scripted) =>
        Effect.gen(function*() {
          const client = Layer.provide(Scripted.client(reporter, {}), layer)
          return Context.get(yield* Layer.buildWithScope(client, yield* Scope.make()), ThreadStats.ThreadStats)
        })
      const first = yield* begin(failing())
      yield* first.distribution("d", 7)
      yield* first.event("title", "text")
      yield* first.flush()
      const reporter = Scripted.make()
      yield* (yield* begin(reporter)).flush()
      assert.deepStrictEqual(values(reporter), [7])
      assert.deepStrictEqual(titles(reporter), ["title"])
      assert.deepStrictEqual([kept.metrics, kept.events], [[], []])
    }))
})

describe("a store that does not work", () => {
  const faults: Record<string, readonly [Effect.Effect<never, PlatformError>, warning: RegExp]> = {
    "fails": [Effect.fail(ioError), /^the store for undelivered data failed: .*no space/],
    "hangs": [Effect.never, /^the store for undelivered data took too long$/],
    "dies": [Effect.die("broken"), /^the store for undelivered data died$/]
  }

  const flushed = (client: ThreadStats.ThreadStats["Type"], lines: Array<Line>) =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(Effect.provide(client.flush(), logsTo(lines)))
      yield* TestClock.adjust("5 seconds")
      const result = yield* Fiber.poll(fiber)
      assert.isTrue(Option.isSome(result), "over in time")
      return yield* Fiber.join(fiber)
    })

  for (const [name, [fault, warning]] of Object.entries(faults)) {
    it.effect(`when it writes, it ${name}: a flush delivers in time, and warns once`, () =>
      Effect.gen(function*() {
        yield* atNow
        const disk = makeDisk()
        const reporter = failing()
        const client = yield* start(disk, reporter)
        client.unsafeIncrement("c", 1)
        yield* client.flush()
        disk.fault = (operation) => operation === "get" ? Effect.void : fault
        for (let i = 0; i < 6; i++) {
          const lines: Array<Line> = []
          client.unsafeIncrement("c", 1)
          yield* flushed(client, lines)
          const about = lines.filter(({ message }) => message.includes("the store"))
          assert.lengthOf(about, 1)
          assert.match(about[0]!.message, warning)
          assert.strictEqual(about[0]!.level, "WARN")
        }
        reporter.calls.length = 0
        reporter.answer = ({ batch }) => Scripted.accept(batch)
        const { metrics } = yield* flushed(client, [])
        assert.deepStrictEqual(metrics, { delivered: 7, kept: 0, dropped: 0 })
        assert.strictEqual(valueOf(reporter, "c"), 7)
        // what hangs is not joined by ever more of the same
        if (name === "hangs") assert.strictEqual(sets(disk).length, 3)
      }))

    it.effect(`when it is read at the start, it ${name}: the client starts in time, and takes over later`, () =>
      Effect.gen(function*() {
        yield* atNow
        const disk = makeDisk()
        const client = yield* start(disk, failing())
        client.unsafeIncrement("c", 5)
        client.unsafeEvent("e", "")
        yield* client.flush()

        const late = makeDisk(disk.entries)
        const well = yield* Deferred.make<void>()
        let broken = true
        late.fault = () => broken ? name === "hangs" ? Deferred.await(well) : fault : Effect.void
        const heir = failing()
        const building = yield* Effect.fork(start(late, heir))
        yield* TestClock.adjust("5 seconds")
        const built = yield* Fiber.poll(building)
        assert.isTrue(Option.isSome(built), "over in time")
        const next = yield* Fiber.join(building)
        next.unsafeIncrement("c", 2, { timestamp: now })
        const lines: Array<Line> = []
        yield* flushed(next, lines)
        assert.lengthOf(lines.filter(({ message }) => warning.test(message)), 1)
        assert.deepStrictEqual(writes(late), [], "nothing is overwritten unread")

        broken = false
        yield* Deferred.succeed(well, undefined)
        yield* flushed(next, [])
        heir.answer = ({ batch }) => Scripted.accept(batch)
        heir.calls.length = 0
        yield* flushed(next, [])
        assert.strictEqual(valueOf(heir, "c"), 7)
        assert.deepStrictEqual(titles(heir), ["e"])
        assert.deepStrictEqual(yield* balances(next), noneHeld(2, 1))
      }))
  }

  it.effect("a flush that is interrupted while the store is written keeps what it took", () =>
    Effect.gen(function*() {
      yield* atNow
      const disk = makeDisk()
      const reporter = failing()
      const client = yield* start(disk, reporter)
      client.unsafeIncrement("c", 1)
      client.unsafeEvent("e", "")
      yield* client.flush()
      client.unsafeIncrement("c", 2)
      const reached = yield* Deferred.make<void>()
      disk.fault = (operation) =>
        operation === "set" ? Effect.zipRight(Deferred.succeed(reached, undefined), Effect.never) : Effect.void
      const flushing = yield* Effect.fork(client.flush())
      yield* Deferred.await(reached)
      const interrupting = yield* Effect.fork(Fiber.interrupt(flushing))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(interrupting)
      const { events, metrics } = yield* balances(client)
      assert.deepStrictEqual([metrics.held + metrics.delivered, events.held + events.delivered], [2, 1])
      assert.strictEqual((yield* client.stats).contexts, 1)

      disk.fault = () => Effect.void
      reporter.calls.length = 0
      reporter.answer = ({ batch }) => Scripted.accept(batch)
      yield* flushed(client, [])
      assert.strictEqual(valueOf(reporter, "c"), 3)
      assert.deepStrictEqual(titles(reporter), ["e"])
    }))

  it.effect("what waits for a store that hangs is called off", () =>
    Effect.gen(function*() {
      yield* atNow
      const disk = makeDisk()
      const client = yield* start(disk, failing())
      const well = yield* Deferred.make<void>()
      disk.fault = (operation) => operation === "set" ? Deferred.await(well) : Effect.void
      for (let i = 0; i < 4; i++) {
        client.unsafeIncrement("c", 1, { timestamp: now })
        yield* flushed(client, [])
      }
      yield* Deferred.succeed(well, undefined)
      yield* Effect.repeatN(Effect.yieldNow(), 100)
      assert.strictEqual(sets(disk).length, 2)
      const heir = Scripted.make()
      yield* Effect.flatMap(start(disk, heir), (next) => next.flush())
      assert.strictEqual(valueOf(heir, "c"), 1)
    }))

  it.effect("what is written late does not stay", () =>
    Effect.gen(function*() {
      yield* atNow
      const disk = makeDisk()
      const reporter = failing()
      const client = yield* start(disk, reporter)
      client.unsafeIncrement("c", 8)
      const well = yield* Deferred.make<void>()
      disk.fault = (operation) => operation === "set" ? Deferred.await(well) : Effect.void
      yield* flushed(client, [])
      client.unsafeIncrement("c", 4)
      reporter.answer = ({ batch }) => Scripted.accept(batch)
      const delivering = yield* Effect.fork(client.flush())
      yield* TestClock.adjust("1 second")
      yield* Deferred.succeed(well, undefined)
      assert.strictEqual((yield* Fiber.join(delivering)).metrics.delivered, 2)
      assert.deepStrictEqual(pagesOf(disk), [])
      const heir = Scripted.make()
      yield* Effect.flatMap(start(disk, heir), (next) => next.flush())
      assert.deepStrictEqual(heir.calls, [])
    }))
})

const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "threadstats-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
)

const onFiles = (directory: string) => RetainedStore.layerFileSystem(directory).pipe(Layer.provide(NodeContext.layer))

const startOnFiles = (directory: string, reporter: Scripted.Scripted) =>
  Effect.gen(function*() {
    const layer = Layer.provide(Scripted.client(reporter), onFiles(directory))
    return Context.get(yield* Layer.buildWithScope(layer, yield* Scope.make()), ThreadStats.ThreadStats)
  })

describe("in a directory", () => {
  it.scopedLive("that is missing: it is made, and what was left there is delivered", () =>
    Effect.gen(function*() {
      const directory = join(yield* temporary, "not", "yet there")
      const client = yield* startOnFiles(directory, failing())
      assert.deepStrictEqual(readdirSync(directory), [])
      client.unsafeSet("s", "\ud800ü\u{1f600}")
      client.unsafeIncrement("c", 1)
      client.unsafeEvent("ü\u{1f600}", "\udc00")
      const reporter = Scripted.make()
      yield* client.flush()
      assert.strictEqual(readdirSync(directory).length, 3)
      const next = yield* startOnFiles(directory, reporter)
      yield* next.flush()
      assert.deepStrictEqual(yield* balances(next), noneHeld(2, 1))
      assert.deepStrictEqual(reporter.events().map(({ text, title }) => [title, text]), [["ü\u{1f600}", "\udc00"]])
      assert.isFalse(readdirSync(directory).some((name) => name.includes("page")))
    }))

  it.scopedLive("that is a file: the client does not start, and says why", () =>
    Effect.gen(function*() {
      const file = join(yield* temporary, "file")
      writeFileSync(file, "")
      for (const path of [file, join(file, "below")]) {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(onFiles(path))))
        assert.strictEqual(error._tag, "SystemError")
        assert.include(error.message, path)
      }
    }))

  it.scopedLive("with directories in the place of entries: skipped, counted, and the rest is delivered", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const client = yield* startOnFiles(directory, failing())
      client.unsafeIncrement("c", 1)
      client.unsafeEvent("e", "")
      yield* client.flush()
      for (const name of ["threadstats-page-0", "threadstats-index-0"]) {
        rmSync(join(directory, name), { force: true })
        mkdirSync(join(directory, name))
      }
      const lines: Array<Line> = []
      const reporter = Scripted.make()
      const next = yield* Effect.provide(startOnFiles(directory, reporter), logsTo(lines))
      assert.deepStrictEqual(lines.map(({ message }) => message), ["Skipped 2 unreadable entries of the store"])
      yield* Effect.provide(next.flush(), logsTo(lines))
      assert.deepStrictEqual(titles(reporter), ["e"])
      assert.deepStrictEqual((yield* balances(next)).metrics.dropped, { Corrupt: 1 })
    }))
})

describe("kill -9", () => {
  const key = "0123456789abcdef0123456789abcdef"
  let survivor: string

  beforeAll(async () => {
    survivor = await bundle("test/retained/survivor.ts")
  }, 60_000)

  const run = (mode: "record" | "deliver", directory: string, url: string, run: number, apiKey = key) =>
    node([survivor, mode, directory, url, apiKey, String(run)], {})

  /** The address of a server that always says 503. */
  const unavailable = Effect.acquireRelease(
    Effect.async<Server>((resume) => {
      const server = createServer((_, response) => response.writeHead(503).end())
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => [server.close(), server.closeAllConnections()])
  ).pipe(Effect.map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`))

  /** What is in the intake, each series as it was said last. */
  const arrived = Effect.gen(function*() {
    const intake = yield* LocalIntake.LocalIntake
    const totals = new Map((yield* intake.series).map(({ points }) => [points[0]![0], Math.round(points[0]![1] * 10)]))
    return {
      counted: Array.from(totals.values()).reduce((sum, total) => sum + total, 0),
      values: (yield* intake.distributions).flatMap(({ points }) => points[0]![1]),
      titles: (yield* intake.events).map(({ title }) => title)
    }
  })

  const killed = (child: Effect.Effect.Success<ReturnType<typeof node>>) =>
    Effect.gen(function*() {
      yield* child.kill("SIGKILL")
      const { signal, stderr, stdout } = yield* child.ended
      assert.deepStrictEqual([signal, stderr], ["SIGKILL", ""])
      return stdout.split("\n").filter((line) => line !== "").map(Number)
    })

  it.scopedLive(
    "between two flushes of an intake that fails: all is delivered after a restart",
    () =>
      Effect.gen(function*() {
        const directory = yield* temporary
        const intake = yield* LocalIntake.LocalIntake
        const child = yield* run("record", directory, yield* unavailable, 1)
        assert.strictEqual(yield* child.line, "1")
        const acknowledged = yield* killed(child)

        const heir = yield* run("deliver", directory, intake.url, 2)
        const stats = JSON.parse(yield* heir.line)
        const { counted, titles, values } = yield* arrived
        assert.isAtLeast(counted, acknowledged.length)
        assert.deepStrictEqual([values[0], titles[0]], [100_001, "1/1"])
        assert.deepStrictEqual([stats.metrics.held, stats.events.held, stats.metrics.dropped], [0, 0, {}])
        assert.deepStrictEqual(readdirSync(directory).filter((name) => name.includes("page")), [])
      }).pipe(Effect.provide(layerIntake({ apiKey: Redacted.make(key) }))),
    20_000
  )

  it.scopedLive(
    "at any moment, again and again: nothing that was flushed is missing, and nothing counts twice",
    () =>
      Effect.gen(function*() {
        const directory = yield* temporary
        const intake = yield* LocalIntake.LocalIntake
        const flushed: Array<number> = []
        for (let i = 1; i <= 8; i++) {
          const child = yield* run("record", directory, intake.url, i, "f".repeat(32))
          yield* Effect.repeat(child.line, { times: 1 + i % 2 })
          yield* Effect.sleep(i * 7 % 20)
          flushed.push(...(yield* killed(child)).map((n) => i * 100_000 + n))
        }
        assert.isAtLeast(flushed.length, 16)
        yield* intake.clear
        const heir = yield* run("deliver", directory, intake.url, 11)
        const stats = JSON.parse(yield* heir.line)
        const { counted, titles, values } = yield* arrived
        assert.includeMembers([...values], flushed)
        assert.includeMembers([...titles], Array.from({ length: 8 }, (_, i) => `${i + 1}/1`))
        assert.deepStrictEqual([new Set(values).size, new Set(titles).size], [values.length, titles.length])
        // one more of each run may have been written, and not acknowledged any more
        assert.isAtMost(values.length, flushed.length + 8)
        assert.strictEqual(counted, values.length)
        assert.deepStrictEqual([stats.metrics.held, stats.metrics.dropped, stats.events.dropped], [0, {}, {}])
      }).pipe(Effect.provide(layerIntake({ apiKey: Redacted.make(key) }))),
    60_000
  )
})
