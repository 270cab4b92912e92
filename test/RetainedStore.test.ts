import { SystemError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Scope, TestClock } from "effect"
import { RetainedStore, ThreadStats } from "effect-threadstats"
import type { Event, MetricsAggregator } from "effect-threadstats"
import {
  allDelivered,
  checkedCounts,
  type Disk,
  failingReporter,
  ioError,
  makeDisk,
  now,
  openStore,
  pagesOf,
  second,
  setClock,
  start,
  titlesOf,
  unreadable,
  valuesOf
} from "./retained/disk.js"
import * as Scripted from "./support/scripted.js"
import { type Line, logsTo } from "./support/scripted.js"

const storedPoint = (name: string, start = now): MetricsAggregator.SerializedSeries => ({
  kind: "counter",
  name,
  host: null,
  tags: [],
  start,
  recorded: 1,
  state: 1
})

/** A bucket with so many series that it takes more than one page. */
const bucketOf = (version: number, start = now): MetricsAggregator.BucketSnapshot => ({
  start,
  version,
  series: Array.from({ length: 501 }, (_, i) => storedPoint(`v${version}.${i}`, start))
})

const eventOf = (title: string): Event.Event => ({ title, text: "", tags: [] })

const stateOf = (
  metrics: ReadonlyArray<MetricsAggregator.BucketSnapshot>,
  events: ReadonlyArray<Event.Event>
): RetainedStore.PendingData => ({ metrics, events })

/** Names of all stored series and events, in one order. */
const contents = ({ events, metrics }: Pick<RetainedStore.Loaded, "metrics" | "events">) =>
  [...metrics.map(({ name }) => name), ...events.map(({ title }) => title)].sort().join(" ")

const contentsOf = ({ events, metrics }: RetainedStore.PendingData) =>
  contents({ events, metrics: metrics.flatMap(({ series = [] }) => series) })

const saveTo = (store: RetainedStore.RetainedStore["Type"], state: RetainedStore.PendingData) =>
  store.save((known) =>
    Effect.succeed({
      ...state,
      metrics: state.metrics.map((bucket) =>
        known.get(bucket.start) === bucket.version ? { ...bucket, series: undefined } : bucket
      )
    })
  )

/** Tears the n-th write and fails all operations after it. */
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

describe("RetainedStore.save", () => {
  const old = stateOf([bucketOf(1), { ...bucketOf(2, now + 10_000) }], [eventOf("a"), eventOf("b")])
  const states = {
    "more data": stateOf([bucketOf(1), bucketOf(2, now + 10_000), bucketOf(3, now + 20_000)], old.events),
    "other data": stateOf([bucketOf(4), bucketOf(2, now + 10_000)], [eventOf("c")]),
    "less data": stateOf([bucketOf(1)], []),
    "no data": stateOf([], [])
  }
  const tears = {
    "half of an entry": (text: string) => text.slice(0, text.length >> 1),
    "nothing of an entry": () => undefined,
    "an empty entry": () => "",
    "a whole entry": (text: string) => text
  }

  for (const [name, next] of Object.entries(states)) {
    for (const [how, torn] of Object.entries(tears)) {
      it.effect(`leaves the old or the new state when a kill cuts the write of ${name} off after ${how}`, () =>
        Effect.gen(function*() {
          const found = new Set<string>()
          for (let n = 1, whole = false; !whole; n++) {
            const disk = makeDisk()
            const store = yield* openStore(disk)
            yield* saveTo(store, old)
            tearAt(disk, n, torn)
            whole = Exit.isSuccess(yield* Effect.exit(saveTo(store, next))) && disk.operations.length < 100 &&
              (yield* Effect.exit(Effect.flatMap(openStore(disk), (store) => store.load)))._tag === "Success"

            const later = makeDisk(disk.entries)
            const successor = yield* openStore(later)
            const loaded = yield* successor.load
            assert.include([contentsOf(old), contentsOf(next)], contents(loaded))
            assert.deepStrictEqual(loaded.lost, { points: 0, events: 0 })
            found.add(contents(loaded))
            if (whole) assert.strictEqual(contents(loaded), contentsOf(next))

            // The next process continues with that state.
            const after = stateOf([bucketOf(9)], [eventOf("z")])
            yield* saveTo(successor, after)
            const third = yield* openStore(makeDisk(later.entries))
            assert.strictEqual(contents(yield* third.load), contentsOf(after))
            yield* saveTo(successor, states["no data"])
            assert.deepStrictEqual(pagesOf(later), [])
            assert.isTrue(successor.isEmpty())
          }
          assert.isTrue(found.has(contentsOf(next)))
          // If the index is the first entry written, and it is whole, the new state counts from then on.
          const atOnce = how === "a whole entry" && (name === "less data" || name === "no data")
          assert.strictEqual(found.has(contentsOf(old)), !atOnce)
        }))
    }
  }

  it.effect("goes on from an index that was written although its write failed", () =>
    Effect.gen(function*() {
      const more = states["more data"]
      const other = states["other data"]
      for (let n = 1; n < 12; n++) {
        const disk = makeDisk()
        const store = yield* openStore(disk)
        yield* saveTo(store, old)
        disk.fault = (operation, key, value) => {
          if (operation !== "set" || !key.includes("index")) return Effect.void
          disk.entries.set(key, value)
          return Effect.fail(ioError)
        }
        assert.isTrue(Exit.isFailure(yield* Effect.exit(saveTo(store, other))))
        assert.isFalse(store.isEmpty())
        tearAt(disk, n, tears["half of an entry"])
        yield* Effect.exit(saveTo(store, more))
        const loaded = yield* Effect.flatMap(openStore(makeDisk(disk.entries)), (store) => store.load)
        assert.include([contentsOf(other), contentsOf(more)], contents(loaded))
        assert.deepStrictEqual(loaded.lost, { points: 0, events: 0 })
      }
    }))
})

describe("RetainedStore.load", () => {
  const damages: Record<string, (text: string) => ReadonlyArray<string>> = {
    "a cut-off entry": (text) =>
      Array.from({ length: 24 }, (_, i) => text.slice(0, Math.floor(text.length * i / 24))).concat(
        Array.from({ length: 8 }, (_, i) => text.slice(0, i)),
        text.slice(0, -1)
      ),
    "flipped bits": (text) =>
      Array.from({ length: 40 }, (_, i) => {
        const at = i < 12 ? i : Math.floor(text.length * i / 40)
        return `${text.slice(0, at)}${String.fromCharCode(text.charCodeAt(at) ^ (1 << (i % 7)))}${text.slice(at + 1)}`
      }),
    "a changed digit": (text) =>
      Array.from(text.slice(12).matchAll(/\d/g)).map(({ 0: digit, index }) =>
        `${text.slice(0, 12 + index)}${(Number(digit) + 1) % 10}${text.slice(13 + index)}`
      ),
    "zeroes": (text) => [text.replace(/./gs, "\0"), `${text.slice(0, text.length >> 1)}${"\0".repeat(400)}`],
    "foreign text": () => ["", " ", "{}", "null", "not JSON", "0 null", "\ufffd\ufffd", "[[[[", "1505 "],
    "appended text": (text) => [`${text}x`, `${text}${text}`, `${text}\n`],
    "another shape under a correct checksum": () =>
      [
        null,
        {},
        "",
        7,
        [null],
        [{}],
        [[]],
        [{ ...storedPoint("a"), kind: "other" }],
        [{ ...storedPoint("a"), state: "1" }],
        [{ ...storedPoint("a"), recorded: 0 }],
        [{ ...storedPoint("a"), recorded: -1 }],
        [{ ...storedPoint("a"), recorded: 1.5 }],
        [{ ...storedPoint("a"), name: "" }],
        [{ ...storedPoint("a"), tags: [1] }],
        [{ ...storedPoint("a"), kind: "set" }],
        [{ ...storedPoint("a"), kind: "distribution", state: [] }],
        [{ ...storedPoint("a"), kind: "histogram", state: { min: 1, max: 1, sum: 1, count: 1, sample: [] } }],
        [{ title: "", text: "", tags: [] }],
        { generation: "1", pages: [] },
        { generation: 1, pages: [{}] },
        { generation: 1, pages: [{ slot: -1, start: null, count: 1 }] },
        { generation: 1, pages: [{ slot: 0, start: null, count: -1 }] }
      ].map(sealed)
  }

  /** Stores a page with three points, a page with two points, and a page with two events. */
  const prepare = Effect.gen(function*() {
    yield* setClock
    const disk = makeDisk()
    const client = yield* start(disk, failingReporter())
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
      const successor = Scripted.make()
      const client = yield* Effect.provide(start(disk, successor), logsTo(lines))
      const warnings = lines.length
      client.unsafeIncrement("new", 1)
      yield* Effect.provide(client.flush(), logsTo(lines))
      return { successor, stats: yield* checkedCounts(client), lines, warnings }
    })

  for (const [name, damage] of Object.entries(damages)) {
    it.effect(`skips and counts an entry with ${name}, and loads the rest`, () =>
      Effect.gen(function*() {
        const whole = yield* prepare
        const damagedDisk = makeDisk(whole.entries)
        const store = yield* openStore(damagedDisk)
        const { events, metrics } = yield* store.load
        let attempts = 0
        for (const [key, text] of whole.entries) {
          const isIndex = key.includes("index")
          const lost = isIndex
            ? { metrics: 0, events: 0 }
            : text.includes("\"a0\"")
            ? { metrics: 3, events: 0 }
            : text.includes("\"e1\"")
            ? { metrics: 0, events: 2 }
            : { metrics: 2, events: 0 }
          const left = {
            // The pages are found without the index.
            metrics: metrics.filter(({ name }) => isIndex || !text.includes(`"${name}"`)),
            events: events.filter(({ title }) => isIndex || !text.includes(`"${title}"`)),
            skipped: 1,
            lost: { points: lost.metrics, events: lost.events }
          }
          const damagedTexts = damage(text).filter((damaged) => damaged !== text)
          for (const damaged of damagedTexts) {
            attempts++
            damagedDisk.entries.clear()
            for (const [key, text] of whole.entries) damagedDisk.entries.set(key, text)
            damagedDisk.entries.set(key, damaged)
            assert.deepStrictEqual(yield* store.load, left, `${key}: ${damaged.slice(0, 80)}`)
          }
          for (const damaged of [damagedTexts[0]!, damagedTexts.at(-1)!]) {
            const disk = makeDisk(whole.entries)
            disk.entries.set(key, damaged)
            const { successor, lines, stats, warnings } = yield* restarted(disk)
            const note = `${key}: ${damaged.slice(0, 80)}`
            assert.strictEqual(warnings, 1, note)
            if (isIndex) {
              assert.deepStrictEqual(stats, allDelivered(6, 2), note)
              assert.strictEqual(lines.length, 1, note)
              assert.deepStrictEqual(pagesOf(disk), [])
            } else {
              assert.deepStrictEqual(
                stats,
                {
                  metrics: {
                    received: 6,
                    delivered: 6 - lost.metrics,
                    pending: 0,
                    dropped: lost.metrics > 0 ? { Corrupt: lost.metrics } : {}
                  },
                  events: {
                    received: 2,
                    delivered: 2 - lost.events,
                    pending: 0,
                    dropped: lost.events > 0 ? { Corrupt: lost.events } : {}
                  }
                },
                note
              )
              assert.strictEqual(successor.series().length, lost.metrics === 3 ? 1 : 4)
              assert.strictEqual(valuesOf(successor).length, lost.metrics === 2 ? 0 : 2)
              assert.strictEqual(titlesOf(successor).length, 2 - lost.events)
              // The next restart finds no damage.
              assert.deepStrictEqual(pagesOf(disk), [])
              assert.strictEqual((yield* restarted(disk)).lines.length, 0)
            }
          }
        }
        assert.isAbove(attempts, 5)
      }))
  }

  it.effect("counts the points and events of missing pages", () =>
    Effect.gen(function*() {
      const disk = yield* prepare
      for (const key of pagesOf(disk)) disk.entries.delete(key)
      const { lines, stats, warnings } = yield* restarted(disk)
      assert.deepStrictEqual([stats.metrics.dropped, stats.events.dropped], [{ Corrupt: 5 }, { Corrupt: 2 }])
      assert.deepStrictEqual(lines.slice(0, warnings), [
        { level: "WARN", message: unreadable(3) }
      ])
      assert.include(
        lines.map(({ message }) => message),
        "Dropped 5 points: Corrupt (in the store). Remedy: docs/delivery.md"
      )
      assert.include(
        lines.map(({ message }) => message),
        "Dropped 2 events: Corrupt (in the store). Remedy: docs/delivery.md"
      )
    }))

  it.effect("reads the intact index when the other one is damaged", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      const store = yield* openStore(disk)
      const first = stateOf([bucketOf(1)], [])
      const both = stateOf([bucketOf(1), bucketOf(2, now + 10_000)], [])
      yield* saveTo(store, first)
      yield* saveTo(store, both)
      const loadedWithout = (...broken: ReadonlyArray<number>) => {
        const copy = makeDisk(disk.entries)
        for (const place of broken) copy.entries.set(`threadstats-index-${place}`, "broken")
        return Effect.flatMap(openStore(copy), (store) => store.load)
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
      assert.deepStrictEqual([contents(neither), neither.skipped], [contentsOf(both), 2])
    }))

  it.effect("finds whole pages when every index is damaged, and counts damaged ones", () =>
    Effect.gen(function*() {
      const disk = yield* prepare
      for (const place of [0, 1]) disk.entries.set(`threadstats-index-${place}`, "broken")
      const { stats, successor, warnings } = yield* restarted(makeDisk(disk.entries))
      assert.deepStrictEqual(stats, allDelivered(6, 2))
      assert.sameMembers(titlesOf(successor), ["e1", "e2"])
      assert.strictEqual(warnings, 1)
      disk.entries.set("threadstats-page-1", "broken")
      const damaged = yield* Effect.flatMap(openStore(makeDisk(disk.entries)), (store) => store.load)
      assert.strictEqual(damaged.skipped, 3)
      assert.lengthOf(damaged.metrics, 3)
    }))

  it.effect("finds whole pages when every index is missing, counts damaged pages, and removes delivered ones", () =>
    Effect.gen(function*() {
      const disk = yield* prepare
      for (const place of [0, 1]) disk.entries.delete(`threadstats-index-${place}`)
      const copy = makeDisk(disk.entries)
      const { stats, successor, warnings } = yield* restarted(copy)
      assert.deepStrictEqual(stats, allDelivered(6, 2))
      assert.sameMembers(titlesOf(successor), ["e1", "e2"])
      assert.strictEqual(warnings, 0)
      assert.deepStrictEqual(pagesOf(copy), [])
      disk.entries.set("threadstats-page-1", "broken")
      const damaged = yield* restarted(makeDisk(disk.entries))
      assert.deepStrictEqual(damaged.lines[0], {
        level: "WARN",
        message: unreadable(1)
      })
    }))

  it.effect("reads an empty store at once", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      assert.strictEqual(contents(yield* Effect.flatMap(openStore(disk), (store) => store.load)), "")
      assert.isBelow(disk.operations.length, 4)
    }))

  it.effect("loads a series once when pages without a valid index hold an older state of it, too", () =>
    Effect.gen(function*() {
      const pages = [[{ ...storedPoint("a"), recorded: 2, state: 2 }], [storedPoint("a"), storedPoint("b")]]
      const disk = makeDisk(new Map(pages.map((page, slot) => [`threadstats-page-${slot}`, sealed(page)])))
      disk.entries.set("threadstats-index-1", "broken")
      const { metrics } = yield* Effect.flatMap(openStore(disk), (store) => store.load)
      assert.deepStrictEqual(metrics.map(({ name, state }) => [name, state]), [["a", 2], ["b", 1]])
    }))

  it.effect("reads the other index when one cannot be read", () =>
    Effect.gen(function*() {
      const disk = makeDisk()
      const store = yield* openStore(disk)
      const state = stateOf([bucketOf(1)], [eventOf("a")])
      yield* saveTo(store, state)
      disk.fault = (operation, key) =>
        operation === "get" && key.endsWith("index-0") ? Effect.fail(ioError) : Effect.void
      const loaded = yield* Effect.flatMap(openStore(disk), (store) => store.load)
      assert.deepStrictEqual([contents(loaded), loaded.skipped], [contentsOf(state), 1])
    }))
})

/** Encodes an entry as the store does: a checksum and JSON. The copy makes a change of the format fail a test. */
const sealed = (content: unknown): string => {
  const json = JSON.stringify(content)
  let hash = 5381
  for (let i = json.length - 1; i >= 0; i--) hash = (hash * 33) ^ json.charCodeAt(i)
  return `${(((hash & 0xbfffffff) | ((hash >>> 1) & 0x40000000)) >>> 0).toString(16)} ${json}`
}

describe("RetainedStore.of", () => {
  it.effect("stores and loads pending data through the given functions", () =>
    Effect.gen(function*() {
      yield* setClock
      let kept: RetainedStore.PendingData = stateOf([], [])
      const own: RetainedStore.RetainedStore["Type"] = RetainedStore.RetainedStore.of({
        load: Effect.sync(() => ({
          metrics: kept.metrics.flatMap(({ series = [] }) => series),
          events: kept.events,
          lost: { points: 0, events: 0 },
          skipped: 0
        })),
        save: (take) =>
          Effect.map(take(new Map()), (all) => {
            kept = all
          }),
        isEmpty: () => false,
        pipeline: () => own
      })
      const layer = Layer.succeed(RetainedStore.RetainedStore, own)
      const begin = (reporter: Scripted.Scripted) =>
        Effect.gen(function*() {
          const client = Layer.provide(Scripted.client(reporter, {}), layer)
          return Context.get(yield* Layer.buildWithScope(client, yield* Scope.make()), ThreadStats.ThreadStats)
        })
      const first = yield* begin(failingReporter())
      yield* first.distribution("d", 7)
      yield* first.event("title", "text")
      yield* first.flush()
      const reporter = Scripted.make()
      yield* (yield* begin(reporter)).flush()
      assert.deepStrictEqual(valuesOf(reporter), [7])
      assert.deepStrictEqual(titlesOf(reporter), ["title"])
      assert.deepStrictEqual([kept.metrics, kept.events], [[], []])
    }))
})

describe("RetainedStore.layerFileSystem", () => {
  /** A file system in memory with the operations that the store needs. */
  const makeFileSystem = ({ isReadOnly = false } = {}) => {
    const directories = new Set<string>()
    const files = new Map<string, string>()
    const modes = new Set<number | undefined>()
    const layer = FileSystem.layerNoop({
      makeDirectory: (path, options) =>
        Effect.sync(() => {
          modes.add(options?.mode)
          if (!isReadOnly) directories.add(path)
        }),
      access: (path) => directories.has(path) ? Effect.void : Effect.fail(notFound("access", path)),
      exists: (path) => Effect.sync(() => directories.has(path) || files.has(path)),
      readFileString: (path) =>
        Effect.suspend(() => {
          const text = files.get(path)
          return text === undefined ? Effect.fail(notFound("readFileString", path)) : Effect.succeed(text)
        }),
      writeFileString: (path, text, options) =>
        Effect.suspend(() => {
          if (options?.flag === "wx" && files.has(path)) return Effect.fail(systemError("AlreadyExists", "open", path))
          modes.add(options?.mode)
          return Effect.sync(() => void files.set(path, text))
        }),
      remove: (path) => Effect.sync(() => void files.delete(path))
    })
    return { directories, files, layer, modes }
  }
  const systemError = (reason: "NotFound" | "AlreadyExists", method: string, pathOrDescriptor: string) =>
    new SystemError({ reason, module: "FileSystem", method, pathOrDescriptor })
  const notFound = (method: string, path: string) => systemError("NotFound", method, path)

  const lockPath = "/data/store/threadstats.lock"

  const startIn = (
    directory: string,
    fileSystem: Layer.Layer<FileSystem.FileSystem>,
    reporter: Scripted.Scripted,
    scope?: Scope.Scope
  ) =>
    Effect.gen(function*() {
      const store = RetainedStore.layerFileSystem(directory).pipe(
        Layer.provide(Layer.merge(fileSystem, Path.layer))
      )
      const layer = Layer.provide(Scripted.client(reporter), store)
      return Context.get(yield* Layer.buildWithScope(layer, scope ?? (yield* Scope.make())), ThreadStats.ThreadStats)
    })

  /** Makes the lock look as if its process had been killed. No process has a number above 4,194,304 (`pid_max`). */
  const abandonLock = (files: Map<string, string>) => {
    const holder = JSON.parse(files.get(lockPath)!) as object
    files.set(lockPath, JSON.stringify({ ...holder, token: "dead", pid: 4_194_305 }))
  }

  it.effect("creates the directory and keeps pending data in its files across a restart", () =>
    Effect.gen(function*() {
      const { directories, files, layer, modes } = makeFileSystem()
      const client = yield* startIn("/data/store", layer, failingReporter())
      assert.deepStrictEqual([Array.from(directories), Array.from(files.keys())], [["/data/store"], [lockPath]])
      client.unsafeIncrement("c", 1)
      client.unsafeEvent("e", "")
      yield* client.flush()
      assert.sameMembers(Array.from(files.keys()), [
        "/data/store/threadstats-page-0",
        "/data/store/threadstats-page-1",
        "/data/store/threadstats-index-1",
        lockPath
      ])
      assert.sameMembers(Array.from(modes), [0o700, 0o600])
      abandonLock(files)
      const reporter = Scripted.make()
      const next = yield* startIn("/data/store", layer, reporter)
      yield* next.flush()
      assert.deepStrictEqual(yield* checkedCounts(next), allDelivered(1, 1))
      assert.deepStrictEqual(titlesOf(reporter), ["e"])
    }))

  it.effect("fails when the directory cannot be used", () =>
    Effect.gen(function*() {
      const { layer } = makeFileSystem({ isReadOnly: true })
      const error = yield* Effect.flip(Effect.scoped(Layer.build(
        RetainedStore.layerFileSystem("/data").pipe(Layer.provide(Layer.merge(layer, Path.layer)))
      )))
      assert.strictEqual(error._tag, "SystemError")
      assert.include(error.message, "/data")
    }))

  it.effect("admits one client, names it to the others, and admits the next one when its scope closes", () =>
    Effect.gen(function*() {
      const { files, layer } = makeFileSystem()
      const lines: Array<Line> = []
      const scope = yield* Scope.make()
      const first = yield* startIn("/data/store", layer, failingReporter(), scope)
      yield* first.distribution("first", 1)
      yield* first.flush()

      const reporter = Scripted.make()
      const second = yield* Effect.provide(startIn("/data/store", layer, reporter), logsTo(lines))
      const stored = Array.from(files)
      yield* second.distribution("second", 2)
      yield* Effect.provide(second.flush(), logsTo(lines))
      assert.deepStrictEqual(valuesOf(reporter), [2])
      assert.deepStrictEqual(Array.from(files), stored)
      assert.include(lines[0]!.message, "The retained store failed: Busy")
      assert.include(lines[0]!.message, `another client of this process (${process.pid} on `)
      assert.include(lines[0]!.message, "Give each client a directory of its own")

      yield* Scope.close(scope, Exit.void)
      assert.isFalse(files.has(lockPath))
      yield* second.flush()
      yield* second.flush()
      assert.deepStrictEqual(valuesOf(reporter), [2, 1])
      assert.isTrue(files.has(lockPath))
    }))

  it.effect("writes no more when another process has taken the lock over", () =>
    Effect.gen(function*() {
      const { files, layer } = makeFileSystem()
      const lines: Array<Line> = []
      const client = yield* startIn("/data/store", layer, failingReporter())
      const holder = JSON.parse(files.get(lockPath)!) as object
      files.set(lockPath, JSON.stringify({ ...holder, host: "elsewhere", pid: 77, token: "other" }))
      yield* client.increment("c")
      yield* Effect.provide(client.flush(), logsTo(lines))
      assert.deepStrictEqual(Array.from(files.keys()), [lockPath])
      assert.include(lines[0]!.message, "process 77 on elsewhere uses this directory")
    }))

  it.effect("takes over the lock of another machine, or an unreadable one, when nobody touched it for a minute", () =>
    Effect.gen(function*() {
      const locks = [
        JSON.stringify({ token: "t", pid: 1, host: "gone", namespace: null, startTicks: null }),
        "not a lock"
      ]
      for (const lock of locks) {
        const { files, layer } = makeFileSystem()
        files.set(lockPath, lock)
        const client = yield* startIn("/data/store", layer, failingReporter())
        yield* TestClock.adjust("59 seconds")
        yield* client.increment("c")
        yield* client.flush()
        assert.strictEqual(files.get(lockPath), lock)
        yield* TestClock.adjust("1 second")
        yield* client.flush()
        assert.notStrictEqual(files.get(lockPath), lock)
        assert.isAbove(files.size, 1)
      }
    }))
})
