import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, FastCheck, Fiber, Layer, TestClock } from "effect"
import { EventsAggregator, LogReporter, MetricsAggregator, Reporter, ThreadStats } from "effect-threadstats"
import type { Series, ThreadStatsConfig } from "effect-threadstats"
import { spawn } from "node:child_process"
import { openSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { beforeAll } from "vitest"
import { bundle } from "./support/childProcess.js"
import { reporterContract } from "./support/reporterContract.js"
import { type Line, logsTo } from "./support/scripted.js"

const limit = 256 * 1024 - 26
const bytesOf = (text: string) => Buffer.byteLength(text)

interface Metric {
  readonly m: string
  readonly v: number
  readonly e: number
  readonly t: ReadonlyArray<string>
}

/** What Datadog's forwarder takes for a metric: all four keys, `t` a list, `v` a number. Everything else is a log. */
const asMetric = (line: string): Metric | undefined => {
  try {
    const value = JSON.parse(line)
    return typeof value === "object" && value !== null && ["m", "v", "e", "t"].every((key) => key in value) &&
        Array.isArray(value.t) && typeof value.v === "number"
      ? value
      : undefined
  } catch {
    return undefined
  }
}

/** As CloudWatch has it: one event a line. */
const eventsIn = (text: string) => text.split("\n").filter((line) => line !== "")
const metricsIn = (text: string) => eventsIn(text).flatMap((line) => asMetric(line) ?? [])

interface Recorded extends LogReporter.Output {
  readonly writes: Array<string>
  /** What comes of a write: by default it is taken at once. */
  answer: (callback: (error?: unknown) => void) => void
  listeners: number
  readonly text: () => string
  bytesWritten: number | undefined
  /** As another part of the program would write. */
  readonly other: (text: string) => void
}

const recorded = (): Recorded => {
  const write = (text: string) => {
    self.writes.push(text)
    if (self.bytesWritten !== undefined) self.bytesWritten += bytesOf(text)
  }
  const self: Recorded = {
    writes: [],
    answer: (callback) => callback(),
    listeners: 0,
    bytesWritten: 0,
    text: () => self.writes.join(""),
    other: write,
    write: (text, callback) => {
      write(text)
      self.answer(callback)
    },
    on: () => self.listeners++,
    off: () => self.listeners--
  }
  return self
}

const reporterOn = (output: LogReporter.Output) => LogReporter.make({ output })

const clientOn = (output: LogReporter.Output, options: ThreadStatsConfig.Options = {}) =>
  ThreadStats.layer({ periodicFlush: false, ...options }).pipe(
    Layer.provide(Layer.mergeAll(
      LogReporter.layerWith({ output }),
      Layer.fresh(MetricsAggregator.layer(options)),
      Layer.fresh(EventsAggregator.layerWith(options))
    )),
    Layer.orDie
  )

const distribution = (metric: string, values: ReadonlyArray<number>, tags: ReadonlyArray<string> = []) =>
  ({
    metric,
    points: [[1_700_000_000, values]],
    type: "distribution",
    tags,
    interval: 10
  }) satisfies Series.DistributionSeries

const sumOf = (counts: ThreadStats.Counts<string>) =>
  counts.delivered + counts.held + Object.values(counts.dropped).reduce<number>((a, b) => a + (b ?? 0), 0)

const addsUp = Effect.map(ThreadStats.stats, (stats) => {
  assert.strictEqual(stats.metrics.received, sumOf(stats.metrics))
  assert.strictEqual(stats.events.received, sumOf(stats.events))
  return stats
})

class Out extends Context.Tag("test/Out")<Out, Recorded>() {}

const line = (m: string, v: number, e: number, ...t: ReadonlyArray<string>): Metric => ({ m, v, e, t })

describe("LogReporter", () => {
  const out = Layer.sync(Out, recorded)
  const dead = Layer.effect(
    Reporter.Reporter,
    Effect.suspend(() => {
      const output = recorded()
      output.answer = (callback) => callback(new Error("write EPIPE"))
      return reporterOn(output)
    })
  )

  reporterContract(
    Layer.provideMerge(Layer.effect(Reporter.Reporter, Effect.flatMap(Out, reporterOn)), out),
    {
      dead,
      arrived: Effect.map(Out, (output) => {
        const metrics = metricsIn(output.text())
        const isDistribution = ({ m }: Metric) => m === "shop.latency" || m === "shop.basket"
        return {
          metrics: metrics.filter((metric) => !isDistribution(metric)),
          distributions: metrics.filter(isDistribution),
          events: []
        }
      }),
      // half an order a second, for ten of them
      metrics: [
        line("shop.orders", 5, 1_700_000_000, "env:test"),
        line("shop.queue", -3, 1_700_000_000),
        line("shop.queue", 4, 1_700_000_010),
        line("shop.größe", 1e-7, 1_700_000_000, "名:値", "host:web-1")
      ],
      distributions: [
        line("shop.latency", 0.1, 1_700_000_000, "env:test"),
        line("shop.latency", 0.2, 1_700_000_000, "env:test"),
        line("shop.latency", 0.1, 1_700_000_000, "env:test"),
        line("shop.latency", 7, 1_700_000_010, "env:test"),
        line("shop.basket", 1, 1_700_000_000)
      ],
      samples: {
        metrics: [
          line("shop.orders", 5, 1_700_000_000, "env:test"),
          line("shop.queue", -3, 1_700_000_000, "host:web-1"),
          line("shop.users", 2, 1_700_000_000),
          // five values were recorded, of which two are known
          line("shop.size", 1, 1_700_000_000),
          line("shop.size", 1, 1_700_000_000),
          line("shop.size", 1, 1_700_000_000),
          line("shop.size", 2, 1_700_000_000),
          line("shop.size", 2, 1_700_000_000),
          line("shop.time", 0.25, 1_700_000_010, "env:test")
        ]
      },
      cannot: { events: "Rejected" }
    }
  )

  describe("a line", () => {
    it.effect("is what the forwarder reads, key by key", () =>
      Effect.gen(function*() {
        const output = recorded()
        const reporter = yield* reporterOn(output)
        yield* reporter.flushDistributions([
          { ...distribution("a.b", [1.5, -0, 1e21], ["x:1", "y"]), host: "h", device: "d" },
          { ...distribution("c", [2]), host: "", device: null, points: [[1_700_000_009.7, [2]]] }
        ])
        assert.strictEqual(
          output.text(),
          `{"m":"a.b","v":1.5,"e":1700000000,"t":["x:1","y","host:h","device:d"]}\n` +
            `{"m":"a.b","v":0,"e":1700000000,"t":["x:1","y","host:h","device:d"]}\n` +
            `{"m":"a.b","v":1e+21,"e":1700000000,"t":["x:1","y","host:h","device:d"]}\n` +
            `{"m":"c","v":2,"e":1700000009,"t":[]}\n`
        )
      }))

    it.effect("of each kind carries what was recorded, and what is new only", () => {
      const output = recorded()
      return Effect.gen(function*() {
        for (const round of [1, 2]) {
          yield* ThreadStats.increment("orders", 10 * round)
          yield* ThreadStats.increment("orders", 1)
          yield* ThreadStats.gauge("queue", 7)
          yield* ThreadStats.gauge("queue", round)
          for (const user of ["ann", "bob", round]) yield* ThreadStats.set("users", user)
          yield* ThreadStats.histogram("size", round)
          yield* ThreadStats.histogram("size", 5)
          yield* ThreadStats.timing("time", 0.5)
          yield* ThreadStats.distribution("latency", round)
          const { metrics } = yield* ThreadStats.flush()
          assert.deepStrictEqual(metrics, { delivered: 11, kept: 0, dropped: 0 })
        }
        const metrics = metricsIn(output.text())
        const values = (name: string) => metrics.filter(({ m }) => m === name).map(({ v }) => v)
        assert.deepStrictEqual(values("orders"), [11, 21])
        assert.deepStrictEqual(values("queue"), [1, 2])
        assert.deepStrictEqual(values("users"), [3, 3])
        assert.deepStrictEqual(values("size"), [1, 5, 2, 5])
        assert.deepStrictEqual(values("time"), [0.5, 0.5])
        assert.deepStrictEqual(values("latency"), [1, 2])
        assert.lengthOf(metrics, 14)
        yield* addsUp
      }).pipe(Effect.provide(clientOn(output)))
    })

    it.effect("of each kind says the same where everything is a distribution already", () => {
      const output = recorded()
      return Effect.gen(function*() {
        yield* ThreadStats.increment("orders", 10)
        yield* ThreadStats.histogram("size", 3)
        yield* ThreadStats.flush()
        assert.deepStrictEqual(metricsIn(output.text()), [line("orders", 10, 0), line("size", 3, 0)])
      }).pipe(Effect.provide(clientOn(output, { counters: "distributions" })))
    })

    it.effect.prop(
      "is one line of JSON, whatever names, tags and values are made of",
      [
        FastCheck.fullUnicodeString({ minLength: 1 }),
        FastCheck.array(
          FastCheck.oneof(FastCheck.fullUnicodeString(), FastCheck.constant("a\nb\r\u2028\ud800\u0000\""))
        ),
        FastCheck.array(FastCheck.double({ noNaN: true, noDefaultInfinity: true }), { minLength: 1 })
      ],
      ([name, tags, values]) =>
        Effect.gen(function*() {
          const output = recorded()
          const reporter = yield* reporterOn(output)
          yield* reporter.flushDistributions([distribution(name, values, tags)])
          const lines = output.text().split("\n")
          assert.strictEqual(lines.pop(), "")
          assert.deepStrictEqual(
            lines.map(asMetric),
            values.map((value) => line(name, value === 0 ? 0 : value, 1_700_000_000, ...tags))
          )
        }),
      { fastCheck: { numRuns: 50 }, timeout: 30_000 }
    )

    it.effect("of a histogram stands for as many as were recorded, also beyond the sample", () => {
      const output = recorded()
      return Effect.gen(function*() {
        for (let n = 0; n < 1234; n++) yield* ThreadStats.histogram("size", n)
        yield* ThreadStats.flush()
        assert.lengthOf(metricsIn(output.text()), 1234)
        assert.lengthOf(Array.from(new Set(metricsIn(output.text()).map(({ v }) => v))), 100)
      }).pipe(Effect.provide(clientOn(output, { sampleSize: 100 })))
    })

    it.effect.prop(
      "of a sample is repeated so that the count is exact, and no value is off by more than one",
      [FastCheck.integer({ min: 1, max: 50 }), FastCheck.integer({ min: 1, max: 2000 })],
      ([kept, more]) =>
        Effect.gen(function*() {
          const count = kept + more
          const output = recorded()
          const reporter = yield* reporterOn(output)
          yield* reporter.flushSamples!([{
            metric: "size",
            points: [[0, Array.from({ length: kept }, (_, i) => i)]],
            weight: count / kept,
            type: "histogram",
            tags: [],
            interval: 10
          }])
          const values = metricsIn(output.text()).map(({ v }) => v)
          assert.lengthOf(values, count)
          for (let i = 0; i < kept; i++) {
            assert.isAtMost(Math.abs(values.filter((v) => v === i).length - count / kept), 1)
          }
        }),
      { fastCheck: { numRuns: 50 }, timeout: 30_000 }
    )
  })

  describe("the limit of a line", () => {
    it.effect("is never crossed: what would is refused alone, and counted", () => {
      const output = recorded()
      const logs: Array<Line> = []
      // three bytes and six bytes a character
      const tags = Array.from({ length: 500 }, (_, i) => `${String(i).padStart(4, "0")}${"値".repeat(196)}`)
      const escaped = Array.from({ length: 300 }, (_, i) => `${String(i).padStart(4, "0")}${"\u0001".repeat(196)}`)
      return Effect.gen(function*() {
        yield* ThreadStats.distribution("small", 1)
        yield* ThreadStats.distribution("large", 1, { tags })
        yield* ThreadStats.distribution("large", 2, { tags })
        yield* ThreadStats.increment("escaped", 1, { tags: escaped })
        yield* ThreadStats.distribution("many", 1, { tags: tags.slice(0, 400) })
        const { errors, metrics } = yield* ThreadStats.flush()
        assert.deepStrictEqual(metrics, { delivered: 2, kept: 0, dropped: 3 })
        assert.deepStrictEqual(errors.map(({ reason }) => reason), ["PayloadTooLarge", "PayloadTooLarge"])
        assert.deepStrictEqual((yield* addsUp).metrics.dropped, { Refused: 3 })
        assert.deepStrictEqual(metricsIn(output.text()).map(({ m }) => m), ["small", "many"])
        assert.isTrue(logs.some(({ level, message }) => level === "WARN" && message.includes("Refused (escaped")))
      }).pipe(Effect.provide(Layer.merge(clientOn(output), logsTo(logs))))
    })

    it.effect("is reached to within the length of a number", () =>
      Effect.gen(function*() {
        const output = recorded()
        const reporter = yield* reporterOn(output)
        const frame = bytesOf(`{"m":"","v":,"e":1700000000,"t":[]}\n`)
        const longest = distribution("m".repeat(limit - frame - 25), [-Number.MIN_VALUE])
        assert.strictEqual((yield* reporter.flushDistributions([longest])).items, 1)
        assert.isAtMost(bytesOf(output.text()), limit)
        const error = yield* Effect.flip(reporter.flushDistributions([{ ...longest, metric: `${longest.metric}m` }]))
        assert.strictEqual(error.reason, "PayloadTooLarge")
        assert.lengthOf(output.writes, 1)
      }))
  })

  describe("what is written at once", () => {
    it.effect("is whole lines, and no more than a pipe takes in one piece", () =>
      Effect.gen(function*() {
        const output = recorded()
        const reporter = yield* reporterOn(output)
        const batch = [
          distribution("short", Array.from({ length: 1000 }, (_, i) => i)),
          distribution("long", [1, 2], Array.from({ length: 30 }, () => "t".repeat(200))),
          distribution("short", Array.from({ length: 100 }, (_, i) => i))
        ]
        const receipt = yield* reporter.flushDistributions(batch)
        for (const write of output.writes) {
          assert.isTrue(write.endsWith("\n"))
          assert.isTrue(bytesOf(write) <= 4096 || write.indexOf("\n") === write.length - 1)
        }
        assert.deepInclude(receipt, { items: 3, payloads: output.writes.length, bytes: bytesOf(output.text()) })
        assert.isBelow(output.writes.length, 20)
        assert.lengthOf(metricsIn(output.text()), 1102)
      }))

    it.effect("begins on a line of its own where others wrote in between, and only there", () =>
      Effect.gen(function*() {
        const output = recorded()
        const reporter = yield* reporterOn(output)
        const flush = reporter.flushDistributions([distribution("a", [1])])
        yield* flush
        yield* flush
        assert.isFalse(output.text().includes("\n\n") || output.text().startsWith("\n"))
        output.other("downloading...")
        yield* flush
        yield* flush
        assert.deepStrictEqual(eventsIn(output.text()).map((text) => asMetric(text) !== undefined), [
          true,
          true,
          false,
          true,
          true
        ])
        assert.isFalse(output.text().includes("\n\n"))
      }))

    it.effect("begins on a line of its own where others wrote before it, or may have", () =>
      Effect.gen(function*() {
        const before = recorded()
        before.other("starting")
        const unknown = recorded()
        unknown.bytesWritten = undefined
        for (const output of [before, unknown]) {
          const reporter = yield* reporterOn(output)
          yield* reporter.flushDistributions([distribution("a", Array.from({ length: 200 }, () => 1))])
          assert.strictEqual(output.text().indexOf("\n"), output === before ? "starting".length : 0)
          assert.lengthOf(metricsIn(output.text()), 200)
          const pieces = output.writes.filter((write) => write.includes("{"))
          assert.isAbove(pieces.length, 1)
          // where nothing is known, each of them, and else the first
          assert.strictEqual(
            pieces.filter((write) => write.startsWith("\n")).length,
            output === before ? 1 : pieces.length
          )
        }
      }))
  })

  describe("an output that takes its time", () => {
    const many = distribution("many", Array.from({ length: 1000 }, (_, i) => i))

    it.effect("is waited for, one piece at a time, whoever flushes", () =>
      Effect.gen(function*() {
        const output = recorded()
        const callbacks: Array<() => void> = []
        output.answer = (callback) => callbacks.push(callback)
        const reporter = yield* reporterOn(output)
        const fiber = yield* Effect.fork(Effect.all([
          reporter.flushDistributions([many]),
          reporter.flushDistributions([many])
        ], { concurrency: "unbounded" }))
        yield* Effect.yieldNow()
        let rounds = 0
        for (; fiber.unsafePoll() === null; rounds++) {
          assert.isAtMost(callbacks.length, 1)
          callbacks.shift()?.()
          yield* TestClock.adjust(0)
        }
        yield* fiber
        assert.lengthOf(metricsIn(output.text()), 2000)
        assert.strictEqual(output.listeners, 0)
      }))

    it.effect("costs a flush its time at most; what was not begun is kept, and nothing piles up", () => {
      const output = recorded()
      const waiting: Array<() => void> = []
      return Effect.gen(function*() {
        output.answer = (callback) => waiting.push(callback)
        yield* ThreadStats.distribution("first", 1)
        for (let n = 0; n < 200; n++) yield* ThreadStats.distribution("second", n)
        yield* ThreadStats.distribution("third", 1)
        const fiber = yield* Effect.fork(ThreadStats.flush())
        yield* TestClock.adjust("4 seconds")
        assert.isNull(fiber.unsafePoll())
        yield* TestClock.adjust("1 second")
        const { errors, metrics } = yield* fiber
        assert.deepStrictEqual(metrics, { delivered: 0, kept: 202, dropped: 0 })
        assert.deepStrictEqual(errors.map(({ reason }) => reason), ["Timeout"])
        // of the piece that is under way nobody knows
        assert.deepStrictEqual(
          errors[0]!.ambiguous.map((item) => "metric" in item && item.metric),
          ["first", "second"]
        )
        assert.lengthOf(output.writes, 1)

        // a later flush waits for it, and writes nothing before
        yield* ThreadStats.distribution("fourth", 1)
        const later = yield* Effect.fork(ThreadStats.flush())
        yield* TestClock.adjust("5 seconds")
        const { errors: [error] } = yield* later
        assert.strictEqual(error?.reason, "Timeout")
        assert.deepStrictEqual(error?.ambiguous, [])
        assert.lengthOf(output.writes, 1)

        output.answer = (callback) => callback()
        waiting.shift()!()
        assert.deepStrictEqual((yield* ThreadStats.flush()).metrics, { delivered: 203, kept: 0, dropped: 0 })
        yield* addsUp
        assert.strictEqual(output.listeners, 0)
      }).pipe(Effect.provide(clientOn(output, { flushTimeout: "5 seconds" })))
    })

    it.effect("with at-most-once, does not get again what it may have", () => {
      const output = recorded()
      return Effect.gen(function*() {
        output.answer = () => {}
        yield* ThreadStats.distribution("first", 1)
        for (let n = 0; n < 200; n++) yield* ThreadStats.distribution("second", n)
        yield* ThreadStats.distribution("third", 1)
        const fiber = yield* Effect.fork(ThreadStats.flush())
        yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual((yield* fiber).metrics, { delivered: 0, kept: 1, dropped: 201 })
        assert.deepStrictEqual((yield* addsUp).metrics.dropped, { Ambiguous: 201 })
      }).pipe(
        Effect.provide(clientOn(output, { flushTimeout: "5 seconds", delivery: "at-most-once" })),
        // the last flush, too, ends in its time
        Effect.raceFirst(Effect.forever(TestClock.adjust("1 second")))
      )
    })

    it.effect("is not begun when there is no time left", () =>
      Effect.gen(function*() {
        const output = recorded()
        const reporter = yield* reporterOn(output)
        const error = yield* Effect.flip(
          reporter.flushDistributions([many]).pipe(
            Effect.provideServiceEffect(Reporter.Deadline, Clock.currentTimeMillis)
          )
        )
        assert.deepStrictEqual([error.reason, error.ambiguous, error.undelivered], ["Timeout", [], [many]])
        assert.lengthOf(output.writes, 0)
      }))

    it.effect("keeps what was recorded when the flush is interrupted", () => {
      const output = recorded()
      const waiting: Array<() => void> = []
      return Effect.gen(function*() {
        output.answer = (callback) => waiting.push(callback)
        yield* ThreadStats.distribution("first", 1)
        const fiber = yield* Effect.fork(ThreadStats.flush())
        yield* TestClock.adjust("1 millis")
        assert.lengthOf(waiting, 1)
        yield* Fiber.interrupt(fiber)
        assert.strictEqual((yield* addsUp).metrics.held, 1)
        output.answer = (callback) => callback()
        waiting.shift()!()
      }).pipe(Effect.provide(clientOn(output)))
    })
  })

  describe("an output that breaks", () => {
    const errors: Record<string, (callback: (error?: unknown) => void) => void> = {
      "says so at once": (callback) => callback(new Error("write EPIPE")),
      "throws": () => {
        throw new Error("write after end")
      },
      "says something else": (callback) => callback("gone")
    }
    for (const [name, answer] of Object.entries(errors)) {
      it.live(`keeps everything, and is tried again: ${name}`, () => {
        const output = recorded()
        return Effect.gen(function*() {
          output.answer = answer
          yield* ThreadStats.distribution("a", 1)
          yield* ThreadStats.increment("b")
          const { errors, metrics } = yield* ThreadStats.flush()
          assert.deepStrictEqual(metrics, { delivered: 0, kept: 2, dropped: 0 })
          assert.deepStrictEqual(errors.map(({ ambiguous, reason }) => [reason, ambiguous]), [
            ["Transport", []],
            ["Transport", []]
          ])
          output.answer = (callback) => callback()
          assert.strictEqual((yield* ThreadStats.flush()).metrics.delivered, 2)
          yield* addsUp
          yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
          assert.strictEqual(output.listeners, 0)
        }).pipe(Effect.provide(clientOn(output)))
      })
    }

    it.effect("has what it took: an item of several pieces that were not all taken may have arrived", () =>
      Effect.gen(function*() {
        const output = recorded()
        const reporter = yield* reporterOn(output)
        const before = distribution("before", [1])
        const many = distribution("many", Array.from({ length: 1000 }, (_, i) => i))
        const after = distribution("after", [1])
        output.answer = (callback) => callback(output.writes.length > 3 ? new Error("write EPIPE") : undefined)
        const error = yield* Effect.flip(reporter.flushDistributions([before, many, after]))
        assert.deepStrictEqual(error.undelivered, [many, after])
        assert.deepStrictEqual(error.ambiguous, [many])
        assert.deepInclude(error.receipt, { items: 1, payloads: 3 })
      }))
  })

  it.effect("says once a flush that events cannot be written, and counts them", () => {
    const output = recorded()
    const logs: Array<Line> = []
    return Effect.gen(function*() {
      yield* ThreadStats.event("deployed", "now")
      yield* ThreadStats.distribution("a", 1)
      const { errors, events, metrics } = yield* ThreadStats.flush()
      assert.deepStrictEqual(events, { delivered: 0, kept: 0, dropped: 1 })
      assert.strictEqual(metrics.delivered, 1)
      assert.deepStrictEqual(errors.map(({ message }) => message), [
        "Rejected at standard output: a log line cannot be an event"
      ])
      assert.deepStrictEqual((yield* addsUp).events.dropped, { Refused: 1 })
    }).pipe(Effect.provide(Layer.merge(clientOn(output), logsTo(logs))))
  })
})

describe("LogReporter in a process of its own", () => {
  let program = ""
  beforeAll(async () => {
    program = await bundle("test/log/program.ts")
  }, 60_000)

  const run = (name: string, stdout: "pipe" | number = "pipe") =>
    Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [program], { env: { PROGRAM: name }, stdio: ["pipe", stdout, "pipe"] })
      ),
      (child) => Effect.sync(() => child.exitCode === null && child.kill("SIGKILL"))
    )

  const read = (stream: NodeJS.ReadableStream | null) =>
    Effect.async<string>((resume) => {
      let text = ""
      stream!.setEncoding("utf8").on("data", (chunk) => {
        text += chunk
      }).on("end", () => resume(Effect.succeed(text)))
    })

  const ended = (child: Effect.Effect.Success<ReturnType<typeof run>>) =>
    Effect.async<number | null>((resume) => {
      child.once("exit", (code) => resume(Effect.succeed(code)))
    })

  const told = (stderr: string): ReadonlyArray<any> => stderr.trim().split("\n").map((text) => JSON.parse(text))

  const isWhole = (stdout: string) => {
    const lines = stdout.split("\n")
    const metrics = lines.flatMap((text) => asMetric(text) ?? [])
    assert.deepStrictEqual(
      metrics.filter(({ m }) => m === "latency").map(({ v }) => v),
      Array.from({ length: 1500 }, (_, i) => i)
    )
    assert.strictEqual(metrics.filter(({ m }) => m === "rounds").length, 30)
    // nothing of ours in anybody else's line
    assert.deepStrictEqual(lines.filter((text) => text.includes("\"m\":") && asMetric(text) === undefined), [])
    return lines
  }

  it.live("never shares a line with what the program itself prints, over a pipe", () =>
    Effect.gen(function*() {
      const child = yield* run("interleaved")
      const [stdout, stderr, code] = yield* Effect.all([read(child.stdout), read(child.stderr), ended(child)], {
        concurrency: "unbounded"
      })
      assert.strictEqual(code, 0, stderr)
      const lines = isWhole(stdout)
      assert.isAbove(lines.filter((text) => text.startsWith("open ")).length, 50)
      assert.deepInclude(told(stderr)[0], { received: 1530, delivered: 1530, held: 0 })
    }).pipe(Effect.scoped), 30_000)

  it.live("never shares a line with what the program itself prints, into a file", () =>
    Effect.gen(function*() {
      const path = join(tmpdir(), `effect-threadstats-log-${process.pid}`)
      yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(path, { force: true })))
      const child = yield* run("interleaved", openSync(path, "w"))
      const [stderr, code] = yield* Effect.all([read(child.stderr), ended(child)], { concurrency: "unbounded" })
      assert.strictEqual(code, 0, stderr)
      isWhole(readFileSync(path, "utf8"))
    }).pipe(Effect.scoped), 30_000)

  it.live(
    "waits for a reader that is slow, with no more in memory than the pipe does not hold",
    () =>
      Effect.gen(function*() {
        const child = yield* run("much")
        const stderr = yield* Effect.fork(read(child.stderr))
        yield* Effect.sleep("300 millis")
        const [stdout, code] = yield* Effect.all([read(child.stdout), ended(child)], { concurrency: "unbounded" })
        const [{ metrics, waiting }, stats] = told(yield* stderr)
        assert.strictEqual(code, 0)
        assert.deepStrictEqual(metrics, { delivered: 20_000, kept: 0, dropped: 0 })
        assert.isAtMost(waiting, 4096)
        assert.strictEqual(stats.held, 0)
        assert.lengthOf(metricsIn(stdout), 20_000)
      }).pipe(Effect.scoped),
    30_000
  )

  it.live(
    "with a reader that is gone keeps everything, and neither ends the program nor listens for it",
    () =>
      Effect.gen(function*() {
        const child = yield* run("closed")
        const stderr = yield* Effect.fork(read(child.stderr))
        child.stdout!.destroy()
        yield* Effect.sleep("50 millis")
        child.stdin!.write("go\n")
        const code = yield* ended(child)
        assert.deepStrictEqual(told(yield* stderr), [
          { listeners: 0 },
          { received: 3, delivered: 0, held: 3, dropped: {} }
        ])
        assert.strictEqual(code, 0)
      }).pipe(Effect.scoped),
    30_000
  )
})
