import { assert, describe, it } from "@effect/vitest"
import * as Reporter from "effect-threadstats/Reporter"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import { node } from "../support/childProcess.js"
import * as Servers from "../support/dogstatsd.js"
import { reporterContract } from "../support/reporterContract.js"
import { bundledProgram, event, layerClient, makeReporter, makeService, transports } from "./connections.js"
import { manyValues, sample } from "./encoding.js"
import { parse } from "./lineParser.js"
import { makeAgent, seriesKey } from "./receiverModels.js"

class Server extends Context.Tag("test/Server")<Server, Servers.Receiver>() {}

/** Long enough for a busy machine. No test waits for it. */
const flushTimeout = "2 minutes"

describe.each(transports.map((transport) => [transport.name, transport] as const))(
  "DogStatsD connection over %s",
  (_, { address, isSkipped, listen }) => {
    const layerReporter = Layer.scopedContext(Effect.gen(function*() {
      const url = yield* address
      const server = yield* listen(url)
      return Context.make(Server, server).pipe(Context.add(Reporter.Reporter, yield* makeService({ url })))
    }))

    describe.skipIf(isSkipped)("reporter contract", () => {
      const parseAll = (lines: ReadonlyArray<string>) => lines.map(parse)
      // lines have no field for the interval
      reporterContract(layerReporter, {
        arrived: Effect.flatMap(Server, (server) =>
          Effect.map(server.drained, () => {
            const all = parseAll(server.lines())
            return {
              metrics: all.filter((line) => line.sort === "metric" && line.type !== "d"),
              distributions: all.filter((line) => line.sort === "metric" && line.type === "d"),
              events: all.filter((line) => line.sort === "event")
            }
          })),
        samples: {
          metrics: parseAll([
            "shop.orders:5|c|#env:test",
            "shop.queue:-3|g|#host:web-1",
            "shop.users:ann|s",
            "shop.users:7|s",
            "shop.size:1|h|@0.5",
            "shop.size:2|h|@0.3333333333333333",
            "shop.time:0.25|ms|#env:test"
          ])
        },
        distributions: parseAll([
          "shop.latency:0.1:0.2:0.1|d|#env:test",
          "shop.latency:7|d|#env:test",
          "shop.basket:1|d"
        ]),
        events: parseAll([
          "_e{8,10}:Deployed|version 42|d:1700000000|t:success|#v:42",
          "_e{6,0}:Scaled|",
          "_e{13,10}:Größer \ud83d\ude80|line\\nline|h:web-1|p:low"
        ])
      })
    })

    /** The counts of the client, after a check that they are complete. */
    const stats = Effect.map(ThreadStats.stats, ({ events, metrics }) => {
      for (const { delivered, dropped, pending, received } of [events, metrics]) {
        const all = Object.values(dropped).reduce((sum: number, n) => sum + (n ?? 0), 0)
        assert.strictEqual(received, delivered + pending + all)
      }
      return { pending: metrics.pending + events.pending, delivered: metrics.delivered + events.delivered }
    })

    /** Records seven points and events. */
    const record = Effect.gen(function*() {
      yield* ThreadStats.increment("c", 2)
      yield* ThreadStats.increment("c", 3)
      yield* ThreadStats.gauge("g", 4)
      yield* ThreadStats.histogram("h", 5)
      yield* ThreadStats.set("s", "a")
      yield* ThreadStats.distribution("d", 6)
      yield* ThreadStats.event("e", "text")
    })

    const totals = (servers: ReadonlyArray<Servers.Receiver>) => {
      const agent = makeAgent(() => Date.now() / 1000)
      for (const server of servers) server.lines().forEach(agent.receive)
      const key = (name: string) => seriesKey({ name, tags: [] })
      return {
        c: agent.counts().get(key("c")),
        h: agent.histograms.get(key("h"))?.count,
        s: agent.sets.get(key("s"))?.size,
        d: agent.distributions.get(key("d")),
        e: agent.events.length
      }
    }

    it.scopedLive.skipIf(isSkipped)(
      "keeps points while there is no receiver, and delivers them once to a new one",
      () =>
        Effect.gen(function*() {
          const url = yield* address
          yield* Effect.gen(function*() {
            yield* record
            for (let i = 0; i < 3; i++) {
              const receipt = yield* ThreadStats.flush()
              assert.strictEqual(receipt.metrics.pending + receipt.events.pending, 7)
              assert.deepStrictEqual(receipt.errors.map(({ reason }) => reason), [
                "Transport",
                "Transport",
                "Transport"
              ])
              assert.deepStrictEqual(receipt.errors.flatMap(({ ambiguous }) => ambiguous), [])
              assert.deepStrictEqual(yield* stats, { pending: 7, delivered: 0 })
            }
            const server = yield* listen(url)
            yield* record
            const receipt = yield* ThreadStats.flush()
            assert.deepStrictEqual(receipt.errors, [])
            assert.deepStrictEqual(yield* stats, { pending: 0, delivered: 14 })
            yield* server.drained
            assert.deepStrictEqual(totals([server]), { c: 10, h: 2, s: 1, d: [6, 6], e: 2 })
          }).pipe(Effect.provide(layerClient({ url }, { flushTimeout })))
        })
    )

    it.scopedLive.skipIf(isSkipped)(
      "keeps points after the receiver has closed, and connects to its successor",
      () =>
        Effect.gen(function*() {
          const url = yield* address
          yield* Effect.gen(function*() {
            const first = yield* listen(url)
            yield* record
            assert.deepStrictEqual((yield* ThreadStats.flush()).errors, [])
            yield* first.drained
            yield* first.close
            yield* record
            const receipt = yield* ThreadStats.flush()
            assert.strictEqual(receipt.metrics.pending + receipt.events.pending, 7)
            assert.deepStrictEqual(yield* stats, { pending: 7, delivered: 7 })
            const second = yield* listen(url)
            yield* record
            assert.deepStrictEqual((yield* ThreadStats.flush()).errors, [])
            // a receiver that is replaced between two flushes costs no error
            yield* second.drained
            yield* second.close
            const third = yield* listen(url)
            yield* record
            assert.deepStrictEqual((yield* ThreadStats.flush()).errors, [])
            assert.deepStrictEqual(yield* stats, { pending: 0, delivered: 28 })
            yield* third.drained
            assert.deepStrictEqual(totals([first, second, third]), { c: 20, h: 4, s: 1, d: [6, 6, 6, 6], e: 4 })
          }).pipe(Effect.provide(layerClient({ url }, { flushTimeout })))
        })
    )

    it.scopedLive.skipIf(isSkipped)("delivers pending points when the layer closes", () =>
      Effect.gen(function*() {
        const url = yield* address
        const server = yield* listen(url)
        yield* Effect.provide(record, layerClient({ url }, { flushTimeout }))
        yield* server.drained
        assert.deepStrictEqual(totals([server]), { c: 5, h: 1, s: 1, d: [6], e: 1 })
      }))

    it.scopedLive.skipIf(isSkipped)(
      "lets a process without other work end, after a last flush",
      () =>
        Effect.gen(function*() {
          const url = yield* address
          const server = yield* listen(url)
          const child = yield* node([yield* bundledProgram], { DD_DOGSTATSD_URL: url })
          const { code, stderr } = yield* child.ended
          assert.deepStrictEqual([code, stderr], [0, ""])
          yield* server.drained
          assert.includeMembers(
            server.lines().map((line) => line.replace(/\|c:[^|]*|\|T\d+/g, "")),
            ["flushed:1|c", "left:2|c"]
          )
        })
    )
  }
)

describe("DogStatsD packet size", () => {
  it.scoped("is 1432 bytes over UDP and 8192 bytes over a Unix socket", () =>
    Effect.gen(function*() {
      const udp = yield* Servers.udpServer()
      const stream = yield* Servers.streamServer(yield* Servers.socketPath)
      const batch = manyValues(5000)
      const gauges = Array.from({ length: 500 }, (_, i) => sample("gauge", `gauge.${i}`, [i], { tags: ["ü:ä"] }))
      for (const [server, size] of [[udp, 1432], [stream, 8192]] as const) {
        const reporter = yield* makeReporter({ url: server.url, lineTimestamps: "never" })
        const receipts = [yield* reporter.flushDistributions([batch]), yield* reporter.flushSamples!(gauges)]
        const bytes = receipts.reduce((sum, receipt) => sum + receipt.bytes, 0)
        yield* server.drained
        assert.strictEqual(server.bytes(), bytes)
        assert.strictEqual(server.packets.length, receipts.reduce((sum, { payloads }) => sum + payloads, 0))
        assert.isTrue(server.packets.every(({ byteLength }) => byteLength <= size))
        assert.isAtMost(server.packets.length, Math.ceil(bytes / (size - 40)) + 2)
        const lines = server.lines().map(parse)
        assert.deepStrictEqual(
          lines.flatMap((line) => line.sort === "metric" && line.type === "d" ? line.values.map(Number) : []),
          batch.points[0]![1]
        )
        assert.strictEqual(lines.filter((line) => line.sort === "metric" && line.type === "g").length, 500)
      }
    }))
})

describe("DogStatsD address", () => {
  /** Linux sends packets for 0.0.0.0 to this machine. The address does not say so. */
  const cases = [
    ["one socket", "localhost", {}, 1],
    ["one socket", "127.0.0.1", {}, 1],
    ["another socket", "0.0.0.0", {}, 2],
    ["one socket", "0.0.0.0", { socketLifetime: Infinity }, 1],
    ["another socket", "0.0.0.0", { socketLifetime: "28 seconds" }, 2]
  ] as const
  for (const [which, host, options, sockets] of cases) {
    it.scoped(`gets packets from ${which} after half a minute at ${host} with ${JSON.stringify(options)}`, () =>
      Effect.gen(function*() {
        const server = yield* Servers.udpServer()
        const reporter = yield* makeReporter({ agentHost: host, port: Number(new URL(server.url).port), ...options })
        for (const pause of ["0 seconds", "29 seconds", "2 seconds"] as const) {
          yield* TestClock.adjust(pause)
          yield* reporter.flushEvents(event)
        }
        yield* server.drained
        assert.strictEqual(server.packets.length, 3)
        assert.strictEqual(server.ports.size, sockets)
      }))
  }

  it.scoped("gets each packet of each batch once, and all packets of a batch from one socket", () =>
    Effect.gen(function*() {
      const portsByBatch: Array<Set<number>> = []
      const server = yield* Servers.udpServer()
      const reporter = yield* makeReporter({
        agentHost: "0.0.0.0",
        port: Number(new URL(server.url).port),
        packetSize: 512
      })
      const total = { packets: 0, lines: 0 }
      for (let batch = 0; batch < 10; batch++) {
        server.ports.clear()
        const names = Array.from({ length: 100 }, (_, i) => sample("counter", `c${batch}.${i}`, [1]))
        const { payloads } = yield* reporter.flushSamples!(names)
        yield* server.drained
        portsByBatch.push(new Set(server.ports))
        total.packets += payloads
        total.lines += names.length
        yield* TestClock.adjust("10 seconds")
      }
      assert.strictEqual(server.packets.length, total.packets)
      assert.strictEqual(new Set(server.lines()).size, total.lines)
      for (const ports of portsByBatch) assert.strictEqual(ports.size, 1)
      assert.strictEqual(new Set(portsByBatch.flatMap((ports) => Array.from(ports))).size, 4)
    }))

  it.scoped("gets packets from another socket when the machine's clock was set back", () =>
    Effect.gen(function*() {
      const server = yield* Servers.udpServer()
      const reporter = yield* makeReporter({ agentHost: "0.0.0.0", port: Number(new URL(server.url).port) })
      yield* TestClock.setTime(6 * 3_600_000)
      yield* reporter.flushEvents(event)
      yield* TestClock.setTime(0)
      yield* reporter.flushEvents(event)
      yield* server.drained
      assert.deepStrictEqual([server.packets.length, server.ports.size], [2, 2])
    }))

  it.scopedLive("fails with a ReporterError when the host does not exist", () =>
    Effect.gen(function*() {
      const reporter = yield* makeReporter({ agentHost: "nowhere.invalid" })
      yield* reporter.warm
      const error = yield* Effect.flip(reporter.flushEvents(event))
      assert.strictEqual(error.undelivered.length, 1)
      assert.match(error.message, /^(Transport|Timeout) at udp:\/\/nowhere\.invalid:8125: /)
    }))
})

describe("DogStatsD socket type", () => {
  const messageOf = (url: string) =>
    Effect.gen(function*() {
      const reporter = yield* makeReporter({ url })
      return (yield* Effect.flip(reporter.flushEvents(event))).message
    })
  const isSkipped = Servers.unixDatagrams instanceof Error

  it.scoped.skipIf(isSkipped)(
    "is named in the error when a stream connects to a socket for datagrams",
    () =>
      Effect.gen(function*() {
        const datagrams = yield* Servers.datagramServer(yield* Servers.socketPath)
        assert.include(yield* messageOf(datagrams.url.replace("unixgram", "unixstream")), "the socket has another type")
      })
  )

  it.scoped.skipIf(isSkipped)(
    "is named in the error when datagrams go to a socket for a stream",
    () =>
      Effect.gen(function*() {
        const stream = yield* Servers.streamServer(yield* Servers.socketPath)
        assert.include(yield* messageOf(stream.url.replace("unixstream", "unixgram")), "the socket has another type")
      })
  )

  it.scoped("is not mentioned in the error when the socket does not exist", () =>
    Effect.gen(function*() {
      assert.include(
        yield* messageOf(`unixstream://${yield* Servers.socketPath}`),
        "the socket does not exist (ENOENT)"
      )
    }))
})
