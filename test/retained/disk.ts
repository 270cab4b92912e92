/** A key-value store in memory that can fail, and clients that share it the way processes share a directory. */
import { KeyValueStore } from "@effect/platform"
import { type PlatformError, SystemError } from "@effect/platform/Error"
import { Context, Effect, Layer, Option, Scope, TestClock } from "effect"
import { RetainedStore, ThreadStats } from "effect-threadstats"
import type { Reporter, ThreadStatsConfig } from "effect-threadstats"
import { assert } from "vitest"
import * as Scripted from "../support/scripted.js"

export type Operation = "get" | "set" | "remove"

/** Entries that outlive a client, and the faults of their store. */
export interface Disk {
  readonly entries: Map<string, string>
  readonly operations: Array<readonly [Operation, key: string]>
  /** Runs before each operation. The operation happens only if it succeeds. */
  fault: (operation: Operation, key: string, value: string) => Effect.Effect<void, PlatformError>
  readonly layer: Layer.Layer<KeyValueStore.KeyValueStore>
}

export const makeDisk = (entries: ReadonlyMap<string, string> = new Map()): Disk => {
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

export const writesTo = (disk: Disk) => disk.operations.filter(([operation]) => operation !== "get")
export const setsOf = (disk: Disk) => disk.operations.filter(([operation]) => operation === "set").map(([, key]) => key)
export const pagesOf = (disk: Disk) => Array.from(disk.entries.keys()).filter((key) => key.includes("page"))

export const ioError = new SystemError({
  reason: "Unknown",
  module: "KeyValueStore",
  method: "set",
  description: "no space"
})

export const openStore = (disk: Disk) =>
  Effect.map(
    Layer.buildWithScope(Layer.provide(RetainedStore.layer, disk.layer), Effect.runSync(Scope.make())),
    Context.get(RetainedStore.RetainedStore)
  )

/** Starts a client whose scope is never closed, as if the process were killed. */
export const start = (
  disk: Pick<Disk, "layer"> | undefined,
  reporter: Scripted.Scripted,
  options: ThreadStatsConfig.ThreadStatsOptions = {}
) =>
  Effect.gen(function*() {
    const client = Scripted.client(reporter, options)
    const layer = disk === undefined ? client : Layer.provide(client, Layer.provide(RetainedStore.layer, disk.layer))
    return Context.get(yield* Layer.buildWithScope(layer, yield* Scope.make()), ThreadStats.ThreadStats)
  })

/** Refuses a batch of which certainly nothing arrived. */
export const refuseAll = ({ batch }: Scripted.Call) => Scripted.fail("Transport", { undelivered: batch })

/** Warning of entries that could not be read. */
export const unreadable = (entries: number): string =>
  `Unreadable entries of the retained store: ${entries}, lost in a crash or damaged on disk. Check the disk if more appear`

export const failingReporter = (temporality?: Reporter.Temporality) => {
  const reporter = Scripted.make(temporality)
  reporter.answer = refuseAll
  return reporter
}

/** Titles of the events that a reporter received. */
export const titlesOf = (reporter: Scripted.Scripted) => reporter.events().map(({ title }) => title)

/** Values of the distributions that a reporter received. */
export const valuesOf = (reporter: Scripted.Scripted) => reporter.distributions().flatMap(({ points }) => points[0]![1])

/** Sums the last value of each bucket of a series. A rate counts for the ten seconds of its bucket. */
export const totalOf = (reporter: Scripted.Scripted, name: string) => {
  const buckets = reporter.series().filter(({ metric }) => metric === name).map(({ points, type }) =>
    [points[0]![0], points[0]![1] * (type === "rate" ? 10 : 1)] as const
  )
  return Array.from(new Map(buckets).values()).reduce((sum, value) => sum + value, 0)
}

const checkSum = ({ delivered, dropped, pending, received }: ThreadStats.Counts<string>) => {
  assert.strictEqual(received, delivered + pending + Object.values(dropped).reduce<number>((a, b) => a + (b ?? 0), 0))
  return { received, delivered, pending, dropped }
}

/** Reads the counters, and checks that received equals delivered plus pending plus dropped. */
export const checkedCounts = (client: ThreadStats.ThreadStats["Type"]) =>
  Effect.map(client.stats, ({ events, metrics }) => ({ metrics: checkSum(metrics), events: checkSum(events) }))

/** Counters of a client that delivered everything. */
export const allDelivered = (points: number, events: number) => ({
  metrics: { received: points, delivered: points, pending: 0, dropped: {} },
  events: { received: events, delivered: events, pending: 0, dropped: {} }
})

export const second = 1000
export const now = 1_700_000_000_000
export const setClock = TestClock.setTime(now)
