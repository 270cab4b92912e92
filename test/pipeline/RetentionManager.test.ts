import { type PlatformError } from "@effect/platform/Error"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Option, TestClock } from "effect"
import { MetricsAggregator } from "effect-threadstats"
import type { Reporter, ThreadStats, ThreadStatsConfig } from "effect-threadstats"
import {
  allDelivered,
  checkedCounts,
  type Disk,
  failingReporter,
  ioError,
  makeDisk,
  now,
  pagesOf,
  refuseAll,
  second,
  setClock,
  setsOf,
  start,
  titlesOf,
  totalOf,
  valuesOf,
  writesTo
} from "../retained/disk.js"
import { makeMetricsAggregator } from "../support/layers.js"
import * as Scripted from "../support/scripted.js"
import { type Line, logsTo } from "../support/scripted.js"

const deliveriesOf = (reporter: Scripted.Scripted) => ({
  series: reporter.series(),
  distributions: reporter.distributions(),
  events: reporter.events()
})

/** Records points of every kind and shape, and events: 60 points and 3 events. */
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
const recordedBy = { points: 60, events: 3 }

describe("RetentionManager after a flush", () => {
  it.effect("writes nothing while every flush delivers everything", () =>
    Effect.gen(function*() {
      yield* setClock
      const disk = makeDisk()
      const client = yield* start(disk, Scripted.make())
      for (let i = 0; i < 3; i++) {
        yield* recordAll(client)
        yield* client.flush(i === 0 ? { upTo: now } : undefined)
      }
      yield* client.flush()
      assert.deepStrictEqual(writesTo(disk), [])
      assert.strictEqual((yield* checkedCounts(client)).metrics.pending, 0)
    }))

  it.effect("writes pending data when a flush fails and removes it when a flush delivers it", () =>
    Effect.gen(function*() {
      yield* setClock
      const disk = makeDisk()
      const reporter = failingReporter()
      const client = yield* start(disk, reporter)
      yield* recordAll(client)
      yield* client.flush()
      assert.isAbove(pagesOf(disk).length, 1)

      reporter.answer = ({ batch }) => Scripted.accept(batch)
      yield* client.flush()
      assert.deepStrictEqual(pagesOf(disk), [])
      assert.isTrue(Array.from(disk.entries.values()).some((text) => text.includes("\"pages\":[]")))

      const before = writesTo(disk).length
      yield* recordAll(client)
      yield* client.flush()
      assert.strictEqual(writesTo(disk).length, before)

      const successor = Scripted.make()
      yield* Effect.flatMap(start(disk, successor), (client) => client.flush())
      assert.deepStrictEqual(successor.calls, [])
    }))

  it.effect("does not write buckets and events again when they have not changed", () =>
    Effect.gen(function*() {
      yield* setClock
      const disk = makeDisk()
      for (const temporality of ["total", "delta"] as const) {
        const client = yield* start(disk, failingReporter(temporality))
        yield* recordAll(client)
        yield* client.flush()
        disk.operations.length = 0
        yield* client.flush()
        yield* client.flush()
        assert.deepStrictEqual(writesTo(disk), [], "nothing changed")

        client.unsafeIncrement("counter", 1)
        yield* client.flush()
        assert.strictEqual(setsOf(disk).length, 2, "one page and the index")
        disk.operations.length = 0
        client.unsafeEvent("fourth", "")
        yield* client.flush()
        assert.strictEqual(setsOf(disk).length, 2, "one page and the index")
        disk.operations.length = 0
      }
    }))

  it.effect("stores the undelivered series and events alone when a flush delivers a part", () =>
    Effect.gen(function*() {
      yield* setClock
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

      const successor = Scripted.make()
      const restarted = yield* start(makeDisk(disk.entries), successor)
      yield* restarted.flush()
      assert.deepStrictEqual(successor.series().map(({ metric }) => metric), ["b", "c"])
      assert.deepStrictEqual([successor.distributions(), titlesOf(successor)], [[], ["e2"]])
      assert.deepStrictEqual(yield* checkedCounts(restarted), allDelivered(2, 1))
    }))

  it.effect("stores the open bucket until it is delivered", () =>
    Effect.gen(function*() {
      yield* setClock
      const disk = makeDisk()
      const reporter = failingReporter()
      const client = yield* start(disk, reporter)
      client.unsafeIncrement("closed", 1, { timestamp: now - 20 * second })
      client.unsafeIncrement("open", 2)
      yield* client.flush({ upTo: now })
      // The second process sends the closed bucket and is killed as repaired.
      const first = Scripted.make()
      yield* Effect.flatMap(start(disk, first), (client) => client.flush({ upTo: now }))
      const successor = Scripted.make()
      yield* Effect.flatMap(start(disk, successor), (client) => client.flush())
      assert.deepStrictEqual(first.series().map(({ metric }) => metric), ["closed"])
      assert.deepStrictEqual(successor.series().map(({ metric }) => metric), ["open"])
    }))

  it.effect("writes pending data when the circuit breaker skips the flush", () =>
    Effect.gen(function*() {
      yield* setClock
      const disk = makeDisk()
      const reporter = failingReporter()
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
      const successor = Scripted.make()
      yield* Effect.flatMap(start(disk, successor), (client) => client.flush())
      assert.strictEqual(totalOf(successor, "c"), 4)
      assert.deepStrictEqual(titlesOf(successor), ["late"])
    }))

  it.effect("writes pending data when the reporter uses up its whole share of the flush", () =>
    Effect.gen(function*() {
      yield* setClock
      const disk = makeDisk()
      const reporter = failingReporter()
      reporter.answer = () => Effect.never
      const client = yield* start(disk, reporter)
      client.unsafeIncrement("c", 2)
      const flushing = yield* Effect.fork(client.flush())
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(flushing)).metrics.pending, 1)
      const successor = Scripted.make()
      yield* Effect.flatMap(start(disk, successor), (client) => client.flush())
      assert.strictEqual(totalOf(successor, "c"), 2)
    }))
})

describe("RetentionManager after a restart", () => {
  const restarts = (options: ThreadStatsConfig.ThreadStatsOptions, temporality: Reporter.Temporality) =>
    Effect.gen(function*() {
      yield* setClock
      const disk = makeDisk()
      const reporter = failingReporter(temporality)
      const client = yield* start(disk, reporter, options)
      yield* recordAll(client)
      yield* client.flush()
      const uninterrupted = Scripted.make(temporality)
      const single = yield* start(undefined, uninterrupted, options)
      yield* recordAll(single)
      yield* single.flush()
      if (options.sampleSize === undefined) assert.deepStrictEqual(deliveriesOf(reporter), deliveriesOf(uninterrupted))

      const successor = Scripted.make(temporality)
      const restarted = yield* start(disk, successor, options)
      const { events, metrics } = yield* checkedCounts(restarted)
      assert.deepStrictEqual([metrics.received, metrics.pending], [recordedBy.points, recordedBy.points])
      assert.deepStrictEqual([events.received, events.pending], [recordedBy.events, recordedBy.events])
      yield* restarted.flush()
      assert.deepStrictEqual(deliveriesOf(successor), deliveriesOf(reporter))
      assert.deepStrictEqual(yield* checkedCounts(restarted), allDelivered(recordedBy.points, recordedBy.events))
      assert.deepStrictEqual(pagesOf(disk), [])
    })

  it.effect("delivers stored data as if there had been no restart", () => restarts({}, "total"))
  it.effect("delivers stored data with the namespace, constant tags and host of the settings", () =>
    restarts({ namespace: "n", constantTags: ["c:t"], hostname: "me" }, "total"))
  it.effect("delivers stored data to a receiver that adds values up", () => restarts({}, "delta"))
  it.effect("delivers stored data of a histogram with more values than its sample size", () =>
    restarts({ sampleSize: 3 }, "total"))

  it.effect("keeps pending data through several restarts until it is delivered", () =>
    Effect.gen(function*() {
      yield* setClock
      const disk = makeDisk()
      for (let i = 0; i < 4; i++) {
        const client = yield* start(disk, failingReporter())
        client.unsafeIncrement("c", 1)
        client.unsafeDistribution("d", i)
        client.unsafeEvent(`e${i}`, "")
        yield* client.flush()
      }
      const successor = Scripted.make()
      const last = yield* start(disk, successor)
      yield* last.flush()
      assert.strictEqual(totalOf(successor, "c"), 4)
      assert.deepStrictEqual([valuesOf(successor), titlesOf(successor)], [[0, 1, 2, 3], ["e0", "e1", "e2", "e3"]])
      assert.deepStrictEqual(yield* checkedCounts(last), allDelivered(8, 4))
    }))

  it.effect("merges points of the same bucket that are recorded after the restart", () =>
    Effect.gen(function*() {
      yield* setClock
      const disk = makeDisk()
      const client = yield* start(disk, failingReporter())
      yield* recordAll(client)
      yield* client.flush()
      const successor = Scripted.make()
      const restarted = yield* start(disk, successor)
      yield* recordAll(restarted)
      restarted.unsafeGauge("gauge", 9, { host: "" })
      yield* restarted.flush()

      const uninterrupted = Scripted.make()
      const single = yield* start(undefined, uninterrupted)
      yield* recordAll(single)
      yield* recordAll(single)
      single.unsafeGauge("gauge", 9, { host: "" })
      yield* single.flush()
      assert.deepStrictEqual(deliveriesOf(successor), deliveriesOf(uninterrupted))
      assert.deepStrictEqual(
        yield* checkedCounts(restarted),
        allDelivered(2 * recordedBy.points + 1, 2 * recordedBy.events)
      )
    }))

  it.effect("merges stored histograms when the new client has another sample size", () =>
    Effect.gen(function*() {
      yield* setClock
      for (const [before, after] of [[4, 50], [50, 4]] as const) {
        const disk = makeDisk()
        const client = yield* start(disk, failingReporter(), { sampleSize: before })
        for (let i = 1; i <= 20; i++) client.unsafeHistogram("h", i)
        yield* client.flush()
        const successor = Scripted.make()
        const restarted = yield* start(disk, successor, { sampleSize: after })
        restarted.unsafeHistogram("h", 21)
        yield* restarted.flush()
        for (const { points } of successor.series()) assert.isTrue(Number.isFinite(points[0]![1]))
        assert.deepStrictEqual(["h.min", "h.max", "h.count"].map((name) => totalOf(successor, name)), [1, 21, 21])
      }
      const aggregator = yield* makeMetricsAggregator({ sampleSize: 50 })
      aggregator.unsafeAdd("histogram", "h", 100, now)
      const state = { min: 1, max: 10, sum: 55, count: 10, sample: [2, 4, 6] }
      const item = { kind: "histogram", name: "h", host: null, tags: [], start: now, recorded: 10, state } as const
      yield* aggregator.load([item])
      const [{ points }] = yield* aggregator.drain({ temporality: "total", now }) as Effect.Effect<
        readonly [MetricsAggregator.AggregatedSeries]
      >
      for (const { value } of points) assert.isTrue(Number.isFinite(value))
    }))

  it.effect("drops and counts stored points and events that became too old", () =>
    Effect.gen(function*() {
      yield* setClock
      const disk = makeDisk()
      const client = yield* start(disk, failingReporter())
      client.unsafeIncrement("old", 1, { timestamp: now - 20 * 60 * second })
      client.unsafeDistribution("old.d", 1, { timestamp: now - 20 * 60 * second })
      client.unsafeIncrement("young", 1)
      client.unsafeEvent("old", "", { dateHappened: now - 17.5 * 3600 * second })
      client.unsafeEvent("young", "")
      yield* client.flush()
      yield* TestClock.adjust("45 minutes")
      const successor = Scripted.make()
      const restarted = yield* start(disk, successor)
      yield* restarted.flush()
      assert.deepStrictEqual(successor.series().map(({ metric }) => metric), ["young"])
      assert.deepStrictEqual([valuesOf(successor), titlesOf(successor)], [[], ["young"]])
      assert.deepStrictEqual(yield* checkedCounts(restarted), {
        metrics: { received: 3, delivered: 1, pending: 0, dropped: { Expired: 2 } },
        events: { received: 2, delivered: 1, pending: 0, dropped: { Expired: 1 } }
      })
    }))

  it.effect("applies the limits of the new client to the stored data", () =>
    Effect.gen(function*() {
      yield* setClock
      const disk = makeDisk()
      const client = yield* start(disk, failingReporter())
      for (let i = 0; i < 20; i++) {
        client.unsafeIncrement(`c${i}`, 1, { timestamp: now - (200 - i * 10) * second })
        client.unsafeDistribution("d", i)
        client.unsafeEvent(`e${i}`, "")
      }
      yield* client.flush()
      const limited = (options: ThreadStatsConfig.ThreadStatsOptions) =>
        Effect.gen(function*() {
          const successor = Scripted.make()
          const restarted = yield* start(makeDisk(disk.entries), successor, options)
          yield* restarted.flush()
          const { events, metrics } = yield* checkedCounts(restarted)
          assert.deepStrictEqual([metrics.received, events.received], [40, 20])
          return { successor, dropped: { ...metrics.dropped }, events: { ...events.dropped } }
        })
      const bySeries = yield* limited({ maxSeries: 5 })
      assert.deepStrictEqual(bySeries.dropped, { TooManySeries: 16 })
      assert.deepStrictEqual(bySeries.successor.series().map(({ metric }) => metric), ["c16", "c17", "c18", "c19"])
      const points = yield* limited({ maxValues: 3 })
      assert.deepStrictEqual([points.dropped, valuesOf(points.successor)], [{ TooManyValues: 17 }, [17, 18, 19]])
      const events = yield* limited({ maxEvents: 2 })
      assert.deepStrictEqual([events.events, titlesOf(events.successor)], [{ TooManyEvents: 18 }, ["e18", "e19"]])
      const bytes = yield* limited({ maxBytes: 1200 })
      assert.isAbove(bytes.dropped["TooManyBytes"] ?? 0, 10)
      assert.isAbove(bytes.events["TooManyBytes"] ?? 0, 10)
    }))
})

/** A reporter whose deliveries do not end, and a copy of the disk at the moment the first one begins. */
const makeStuckReporter = (disk: Disk, temporality?: Reporter.Temporality) =>
  Effect.gen(function*() {
    const moment = yield* Deferred.make<Disk>()
    const reporter = Scripted.make(temporality)
    reporter.answer = () =>
      Effect.zipRight(Deferred.complete(moment, Effect.sync(() => makeDisk(disk.entries))), Effect.never)
    return { reporter, killed: Deferred.await(moment) }
  })

describe("RetentionManager before sending", () => {
  it.effect("stores the totals that are about to be sent, so that no later process undercuts them", () =>
    Effect.gen(function*() {
      yield* setClock
      const disk = makeDisk()
      const reporter = failingReporter()
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
      const { killed, reporter: stuck } = yield* makeStuckReporter(disk)
      reporter.calls.length = 0
      reporter.answer = (call) => stuck.answer(call)
      yield* Effect.fork(client.flush())
      const successor = Scripted.make()
      yield* Effect.flatMap(start(yield* killed, successor), (client) => client.flush())
      assert.strictEqual(totalOf(successor, "c"), 12)
      assert.deepStrictEqual(successor.series(), reporter.series())
    }))

  it.effect("stores the sent totals when points are recorded while it writes", () =>
    Effect.gen(function*() {
      yield* setClock
      const disk = makeDisk()
      const reporter = failingReporter()
      const client = yield* start(disk, reporter, { selfMetrics: true })
      client.unsafeIncrement("c", 8)
      yield* client.flush()
      client.unsafeIncrement("c", 4)
      const { killed, reporter: stuck } = yield* makeStuckReporter(disk)
      disk.fault = (operation) =>
        operation === "set"
          ? Effect.zipRight(Effect.yieldNow(), Effect.sync(() => client.unsafeIncrement("c", 1)))
          : Effect.void
      reporter.calls.length = 0
      reporter.answer = (call) => stuck.answer(call)
      yield* Effect.fork(client.flush())
      const successor = Scripted.make()
      yield* Effect.flatMap(start(yield* killed, successor), (client) => client.flush())
      assert.strictEqual(totalOf(successor, "c"), 12)
      assert.isAbove(reporter.series().length, 3)
      assert.deepStrictEqual(successor.series(), reporter.series())
      assert.isTrue((yield* checkedCounts(client)).metrics.pending > 12)
    }))

  for (const temporality of ["total", "delta"] as const) {
    for (const isSecondProcess of [false, true]) {
      it.effect(
        `removes values that would count twice from the store with at-most-once delivery (${temporality} temporality, ${
          isSecondProcess ? "second" : "first"
        } process)`,
        () =>
          Effect.gen(function*() {
            yield* setClock
            const disk = makeDisk()
            const options = { delivery: "at-most-once" } as const
            const reporter = failingReporter(temporality)
            let client = yield* start(disk, reporter, options)
            client.unsafeIncrement("c", 8)
            client.unsafeGauge("g", 1)
            client.unsafeDistribution("d", 1)
            client.unsafeEvent("e", "")
            yield* client.flush()
            const copy = Scripted.make(temporality)
            yield* Effect.flatMap(start(makeDisk(disk.entries), copy, options), (client) => client.flush())
            assert.deepStrictEqual([copy.series().length, valuesOf(copy), titlesOf(copy)], [2, [1], ["e"]])

            const { killed, reporter: stuck } = yield* makeStuckReporter(disk, temporality)
            if (isSecondProcess) client = yield* start(disk, stuck, options)
            else reporter.answer = (call) => stuck.answer(call)
            yield* Effect.fork(client.flush())
            const successor = Scripted.make(temporality)
            yield* Effect.flatMap(start(yield* killed, successor, options), (client) => client.flush())
            assert.deepStrictEqual(
              successor.series().map(({ metric }) => metric),
              temporality === "total" ? ["c", "g"] : ["g"]
            )
            assert.deepStrictEqual([valuesOf(successor), titlesOf(successor)], [[], []])
          })
      )
    }
  }
})

describe("RetentionManager with a store that fails", () => {
  const faults: Record<string, readonly [Effect.Effect<never, PlatformError>, warning: RegExp]> = {
    "fails": [Effect.fail(ioError), /^The retained store failed: .*no space/],
    "hangs": [Effect.never, /^The retained store took too long$/],
    "dies": [Effect.die("broken"), /^The retained store died$/]
  }

  const flushInTime = (client: ThreadStats.ThreadStats["Type"], lines: Array<Line>) =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(Effect.provide(client.flush(), logsTo(lines)))
      yield* TestClock.adjust("5 seconds")
      const result = yield* Fiber.poll(fiber)
      assert.isTrue(Option.isSome(result), "the flush ended in time")
      return yield* Fiber.join(fiber)
    })

  for (const [name, [fault, warning]] of Object.entries(faults)) {
    it.effect(`delivers in time and warns once in each flush when the store ${name} on writes`, () =>
      Effect.gen(function*() {
        yield* setClock
        const disk = makeDisk()
        const reporter = failingReporter()
        const client = yield* start(disk, reporter)
        client.unsafeIncrement("c", 1)
        yield* client.flush()
        disk.fault = (operation) => operation === "get" ? Effect.void : fault
        for (let i = 0; i < 6; i++) {
          const lines: Array<Line> = []
          client.unsafeIncrement("c", 1)
          yield* flushInTime(client, lines)
          const storeLines = lines.filter(({ message }) => message.includes("retained store"))
          assert.lengthOf(storeLines, 1)
          assert.match(storeLines[0]!.message, warning)
          assert.strictEqual(storeLines[0]!.level, "WARN")
        }
        reporter.calls.length = 0
        reporter.answer = ({ batch }) => Scripted.accept(batch)
        const { metrics } = yield* flushInTime(client, [])
        assert.deepStrictEqual(metrics, { delivered: 7, pending: 0, dropped: 0 })
        assert.strictEqual(totalOf(reporter, "c"), 7)
        // Later writes do not queue up behind the one that hangs.
        if (name === "hangs") assert.strictEqual(setsOf(disk).length, 3)
      }))

    it.effect(`starts in time and loads stored data later when the store ${name} on reads`, () =>
      Effect.gen(function*() {
        yield* setClock
        const disk = makeDisk()
        const client = yield* start(disk, failingReporter())
        client.unsafeIncrement("c", 5)
        client.unsafeEvent("e", "")
        yield* client.flush()

        const brokenDisk = makeDisk(disk.entries)
        const repaired = yield* Deferred.make<void>()
        let broken = true
        brokenDisk.fault = () => broken ? name === "hangs" ? Deferred.await(repaired) : fault : Effect.void
        const successor = failingReporter()
        const building = yield* Effect.fork(start(brokenDisk, successor))
        yield* TestClock.adjust("5 seconds")
        const built = yield* Fiber.poll(building)
        assert.isTrue(Option.isSome(built), "the client was built in time")
        const restarted = yield* Fiber.join(building)
        restarted.unsafeIncrement("c", 2, { timestamp: now })
        const lines: Array<Line> = []
        yield* flushInTime(restarted, lines)
        assert.lengthOf(lines.filter(({ message }) => warning.test(message)), 1)
        assert.deepStrictEqual(writesTo(brokenDisk), [], "nothing is overwritten before it is read")

        broken = false
        yield* Deferred.succeed(repaired, undefined)
        yield* flushInTime(restarted, [])
        successor.answer = ({ batch }) => Scripted.accept(batch)
        successor.calls.length = 0
        yield* flushInTime(restarted, [])
        assert.strictEqual(totalOf(successor, "c"), 7)
        assert.deepStrictEqual(titlesOf(successor), ["e"])
        assert.deepStrictEqual(yield* checkedCounts(restarted), allDelivered(2, 1))
      }))
  }

  it.effect("keeps drained data pending when the flush is interrupted while the store writes", () =>
    Effect.gen(function*() {
      yield* setClock
      const disk = makeDisk()
      const reporter = failingReporter()
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
      const { events, metrics } = yield* checkedCounts(client)
      assert.deepStrictEqual([metrics.pending + metrics.delivered, events.pending + events.delivered], [2, 1])
      assert.strictEqual((yield* client.stats).series, 1)

      disk.fault = () => Effect.void
      reporter.calls.length = 0
      reporter.answer = ({ batch }) => Scripted.accept(batch)
      yield* flushInTime(client, [])
      assert.strictEqual(totalOf(reporter, "c"), 3)
      assert.deepStrictEqual(titlesOf(reporter), ["e"])
    }))

  it.effect("interrupts writes that wait for a store that hangs", () =>
    Effect.gen(function*() {
      yield* setClock
      const disk = makeDisk()
      const client = yield* start(disk, failingReporter())
      const repaired = yield* Deferred.make<void>()
      disk.fault = (operation) => operation === "set" ? Deferred.await(repaired) : Effect.void
      for (let i = 0; i < 4; i++) {
        client.unsafeIncrement("c", 1, { timestamp: now })
        yield* flushInTime(client, [])
      }
      yield* Deferred.succeed(repaired, undefined)
      yield* Effect.repeatN(Effect.yieldNow(), 100)
      assert.strictEqual(setsOf(disk).length, 2)
      const successor = Scripted.make()
      yield* Effect.flatMap(start(disk, successor), (client) => client.flush())
      assert.strictEqual(totalOf(successor, "c"), 1)
    }))

  it.effect("warns when a flush ends before the store, and lets the write end afterwards", () =>
    Effect.gen(function*() {
      yield* setClock
      const disk = makeDisk()
      const client = yield* start(disk, failingReporter())
      client.unsafeIncrement("c", 3)
      disk.fault = (operation) => operation === "set" ? Effect.sleep("4 seconds") : Effect.void
      const lines: Array<Line> = []
      yield* flushInTime(client, lines)
      assert.include(lines.map(({ message }) => message), "The retained store took too long")
      // A process that is killed now leaves the pages of its first save without an index.
      const killed = Scripted.make()
      yield* Effect.flatMap(start(makeDisk(disk.entries), killed), (client) => client.flush())
      assert.strictEqual(totalOf(killed, "c"), 3)

      yield* TestClock.adjust("4 seconds")
      const successor = Scripted.make()
      yield* Effect.flatMap(start(makeDisk(disk.entries), successor), (client) => client.flush())
      assert.strictEqual(totalOf(successor, "c"), 3)
    }))

  it.effect("removes data from the store when a late write ends after the data was delivered", () =>
    Effect.gen(function*() {
      yield* setClock
      const disk = makeDisk()
      const reporter = failingReporter()
      const client = yield* start(disk, reporter)
      client.unsafeIncrement("c", 8)
      const repaired = yield* Deferred.make<void>()
      disk.fault = (operation) => operation === "set" ? Deferred.await(repaired) : Effect.void
      yield* flushInTime(client, [])
      client.unsafeIncrement("c", 4)
      reporter.answer = ({ batch }) => Scripted.accept(batch)
      const delivering = yield* Effect.fork(client.flush())
      yield* TestClock.adjust("1 second")
      yield* Deferred.succeed(repaired, undefined)
      assert.strictEqual((yield* Fiber.join(delivering)).metrics.delivered, 2)
      assert.deepStrictEqual(pagesOf(disk), [])
      const successor = Scripted.make()
      yield* Effect.flatMap(start(disk, successor), (client) => client.flush())
      assert.deepStrictEqual(successor.calls, [])
    }))
})
