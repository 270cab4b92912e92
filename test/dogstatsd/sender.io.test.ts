import { assert, describe, it } from "@effect/vitest"
import * as Reporter from "effect-threadstats/Reporter"
import type { DistributionSeries } from "effect-threadstats/Series"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import type { Socket } from "node:net"
import { node } from "../support/childProcess.js"
import * as Servers from "../support/dogstatsd.js"
import { eventually, nextTurn } from "../support/wait.js"
import { event, layerClient, makeReporter } from "./connections.js"
import { parse } from "./lineParser.js"

const values = (n: number): ReadonlyArray<DistributionSeries> =>
  Array.from({ length: n }, (_, i) => ({
    metric: `d${i}`,
    points: [[0, Array.from({ length: 500 }, (_, j) => i + j / 1000)]],
    type: "distribution",
    tags: [],
    interval: 10
  }))

const pause = (socket: Socket) => {
  socket.pause()
}

/** Items that count the reads of their values. The encoder reads an item when the packet before has left. */
const countReads = (items: ReadonlyArray<DistributionSeries>) => {
  let reads = 0
  const count = <A extends object>(values: A): A =>
    new Proxy(values, {
      get: (target, key) => {
        reads++
        return Reflect.get(target, key) as unknown
      }
    })
  const counted = items.map((item) => ({
    ...item,
    points: item.points.map(([time, values]) => [time, count(values)] as const)
  }))
  return { counted, reads: () => reads }
}

/** Waits until the reads have stood still for many turns of the event loop: the buffer of the socket is full. */
const stalled = (reads: () => number): Effect.Effect<void> =>
  Effect.gen(function*() {
    let last = 0
    for (let turns = 0; turns < 500; turns++) {
      yield* nextTurn
      if (reads() === last && last > 0) continue
      last = reads()
      turns = 0
    }
  })

/** Advances the clock of the test until the fiber ends, with turns of the event loop for the sockets between the steps. */
const joinWithClock = <A, E>(fiber: Fiber.RuntimeFiber<A, E>): Effect.Effect<A, E> =>
  Effect.gen(function*() {
    while (fiber.unsafePoll() === null) {
      for (let turns = 0; turns < 10; turns++) yield* nextTurn
      yield* TestClock.adjust("20 millis")
    }
    return yield* Fiber.join(fiber)
  })

describe("DogStatsD sender over UDP", () => {
  it.scoped("reports sent items as delivered, a half-sent item as ambiguous, and the rest as undelivered when the receiver closes", () =>
    Effect.gen(function*() {
      // the second item is in the second packet to the fourth
      const server = yield* Servers.udpServer({ onPacket: ({ close }) => server.packets.length === 3 && close() })
      const reporter = yield* makeReporter({ url: server.url })
      const batch = values(4)
      const error = yield* Effect.flip(reporter.flushDistributions(batch))
      assert.deepStrictEqual(error.undelivered, batch.slice(1))
      assert.deepStrictEqual(error.ambiguous, batch.slice(1, 2))
      assert.deepInclude(error.receipt, { items: 1, payloads: 3 })
      assert.strictEqual(error.reason, "Transport")
    }))

  it.scoped("retries once on a new socket when a socket of an earlier batch fails", () =>
    Effect.gen(function*() {
      const server = yield* Servers.udpServer()
      const reporter = yield* makeReporter({ url: server.url })
      assert.strictEqual((yield* reporter.flushEvents(event)).retries, 0)
      yield* server.close
      for (const retries of [1, 0]) {
        const error = yield* Effect.flip(reporter.flushEvents(event))
        assert.deepStrictEqual([error.receipt.retries, error.undelivered], [retries, event])
      }
    }))

  it.scopedLive("retries in the first batch without a receiver, and tries once in each batch after that", () =>
    Effect.gen(function*() {
      const port = yield* Servers.freePort
      const reporter = yield* makeReporter({ agentHost: "127.0.0.1", port })
      const flush = Effect.suspend(() =>
        reporter.flushEvents(event).pipe(
          Effect.flip,
          Effect.provideService(Reporter.Deadline, Date.now() + 120_000),
          Effect.map(({ receipt }) => receipt.retries)
        )
      )
      assert.isAbove(yield* flush, 1)
      for (let i = 0; i < 3; i++) assert.strictEqual(yield* flush, 0)
    }))
})

describe("DogStatsD sender over a Unix stream", () => {
  it.scoped("ends at the deadline of the flush when the receiver does not read, and leaves no half frame", () =>
    Effect.gen(function*() {
      const server = yield* Servers.streamServer(yield* Servers.socketPath, { onConnection: pause })
      const reporter = yield* makeReporter({ url: server.url })
      const batch = values(1000)
      const { counted, reads } = countReads(batch)
      const flush = yield* reporter.flushDistributions(counted).pipe(
        Effect.provideService(Reporter.Deadline, 300),
        Effect.flip,
        Effect.uninterruptible,
        Effect.fork
      )
      yield* stalled(reads)
      yield* TestClock.adjust(299)
      assert.isNull(flush.unsafePoll())
      yield* TestClock.adjust(1)
      const error = yield* Fiber.join(flush)
      assert.strictEqual(error.reason, "Timeout")
      assert.isAbove(error.undelivered.length, 0)
      assert.isAbove(error.receipt.items, 0)
      assert.strictEqual(error.receipt.items + error.undelivered.length, batch.length)
      assert.isAtMost(error.ambiguous.length, 4)
      for (const socket of server.connections) socket.resume()
      yield* server.drained
      assert.isAbove(server.lines().length, 0)
      server.lines().forEach(parse)
    }))

  for (const delivery of ["at-least-once", "at-most-once"] as const) {
    it.scoped(`reports unread points as ambiguous when the stream breaks (delivery: "${delivery}")`, () =>
      Effect.gen(function*() {
        const server = yield* Servers.streamServer(yield* Servers.socketPath, { onConnection: pause })
        yield* Effect.gen(function*() {
          for (let i = 0; i < 100; i++) {
            for (let j = 0; j < 500; j++) yield* ThreadStats.distribution(`d${i}`, j + 0.12345678)
          }
          const flush = yield* Effect.fork(ThreadStats.flush())
          yield* eventually(() => server.connections.size === 1)
          // the buffer of a socket is full after a few turns
          for (let turns = 0; turns < 1000; turns++) yield* nextTurn
          yield* server.close
          const { errors, metrics } = yield* joinWithClock(flush)
          assert.isAbove(errors[0]!.ambiguous.length, 10)
          assert.strictEqual(metrics.delivered + metrics.pending + metrics.dropped, 50_000)
          const { dropped, pending } = (yield* ThreadStats.stats).metrics
          assert.strictEqual(pending, metrics.pending)
          assert.deepStrictEqual(dropped, delivery === "at-most-once" ? { Ambiguous: metrics.dropped } : {})
          assert.isAbove(delivery === "at-most-once" ? metrics.dropped : metrics.pending, 0)
        }).pipe(Effect.provide(layerClient({ url: server.url }, { delivery })))
      }))
  }

  it.scoped("opens a new stream when the receiver has closed the old one in good order, with nothing ambiguous", () =>
    Effect.gen(function*() {
      const path = yield* Servers.socketPath
      const first = yield* Servers.streamServer(path)
      const reporter = yield* makeReporter({ url: first.url })
      yield* reporter.flushEvents(event)
      yield* first.drained
      yield* first.close
      const second = yield* Servers.streamServer(path)
      // the end of the stream has arrived when a later connection is served
      yield* second.drained
      assert.deepInclude(yield* reporter.flushEvents(event), { items: 1, retries: 0 })
      yield* second.drained
      assert.deepStrictEqual([first.lines(), second.lines()], [["_e{1,0}:t|"], ["_e{1,0}:t|"]])
    }))

  it.scopedLive("keeps all points when a flush is interrupted, and delivers them with the next flush", () =>
    Effect.gen(function*() {
      let isPaused = true
      const server = yield* Servers.streamServer(yield* Servers.socketPath, {
        onConnection: (socket) => isPaused && pause(socket)
      })
      yield* Effect.gen(function*() {
        for (let i = 0; i < 1000; i++) {
          for (let j = 0; j < 100; j++) yield* ThreadStats.distribution(`d${i}`, j + 0.12345678)
        }
        const flush = yield* Effect.fork(ThreadStats.flush())
        yield* eventually(() => server.connections.size === 1)
        yield* Fiber.interrupt(flush)
        assert.strictEqual((yield* ThreadStats.stats).metrics.pending, 100_000)
        isPaused = false
        assert.deepStrictEqual((yield* ThreadStats.flush()).errors, [])
        assert.strictEqual((yield* ThreadStats.stats).metrics.delivered, 100_000)
      }).pipe(Effect.provide(layerClient({ url: server.url }, { flushTimeout: "2 minutes" })))
      yield* server.drained
      assert.isAtLeast(server.lines().map(parse).length, 1000)
    }))
})

describe("DogStatsD sender over Unix datagrams", () => {
  it.scoped.skipIf(Servers.unixDatagrams instanceof Error)(
    "waits while the buffer is full, and loses nothing",
    () =>
      Effect.gen(function*() {
        const path = yield* Servers.socketPath
        const child = yield* node(["test/dogstatsd/slow.cjs", path], {})
        assert.strictEqual(yield* child.line, "bound")
        const reporter = yield* makeReporter({ url: `unixgram://${path}` })
        const batch = values(200)
        /** Flushes with this much time, on the clock of the test. */
        const flush = (items: ReadonlyArray<DistributionSeries>, millis: number) =>
          Effect.gen(function*() {
            const deadline = (yield* Clock.currentTimeMillis) + millis
            const fiber = yield* Effect.fork(
              Effect.provideService(Effect.either(reporter.flushDistributions(items)), Reporter.Deadline, deadline)
            )
            return yield* joinWithClock(fiber)
          })
        const error = yield* Effect.flip(Effect.flatten(flush(batch, 800)))
        assert.include(error.message, "the buffer is full")
        assert.strictEqual(error.receipt.items + error.undelivered.length, batch.length)
        yield* child.write("read")
        const rest = yield* Effect.flatten(
          flush(error.undelivered as ReadonlyArray<DistributionSeries>, Number.MAX_SAFE_INTEGER)
        )
        const bytes = error.receipt.bytes + rest.bytes
        yield* child.write(bytes)
        assert.strictEqual(yield* child.line, `read ${bytes}`)
      })
  )
})
