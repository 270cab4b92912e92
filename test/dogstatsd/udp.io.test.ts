/** UDP sockets to a receiver on another machine, whose reports of lost packets arrive late. */
import { assert, describe, it } from "@effect/vitest"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import dgram from "node:dgram"
import dns from "node:dns"
import { syncBuiltinESMExports } from "node:module"
import * as Servers from "../support/dogstatsd.js"
import { event, layerClient, makeReporter } from "./connections.js"

/** Replaces a function of a built-in module of Node.js until the scope closes. */
const replaced = <K extends string, M extends { [name in K]: unknown }>(
  module: M,
  name: K,
  replace: (original: M[K]) => M[K]
) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const original = module[name]
      module[name] = replace(original)
      syncBuiltinESMExports()
      return original
    }),
    (original) =>
      Effect.sync(() => {
        module[name] = original
        syncBuiltinESMExports()
      })
  )

/** Returns the sockets that the program opens from now on. */
const openedSockets = Effect.gen(function*() {
  const sockets: Array<dgram.Socket> = []
  yield* replaced(dgram, "createSocket", (original) =>
    ((...args: Parameters<typeof original>) => {
      const socket = original(...args)
      sockets.push(socket)
      return socket
    }) as typeof original)
  return sockets
})

/** The error by which Node.js reports that a router, or the receiver's machine, refused an earlier packet by ICMP. */
const refused = () => Object.assign(new Error("recvmsg ECONNREFUSED"), { code: "ECONNREFUSED", syscall: "recvmsg" })

/** Linux sends packets for 0.0.0.0 to this machine. The address does not say so, so the client treats it as another one. */
const remoteUrl = ({ url }: Servers.Receiver) => url.replace("127.0.0.1", "0.0.0.0")

const counts = Effect.map(
  ThreadStats.stats,
  ({ metrics: { delivered, dropped, pending, received } }) => ({ received, delivered, pending, dropped })
)

describe("DogStatsD over UDP when a packet is reported as lost", () => {
  it.scopedLive("between two flushes, counts the packets of the next flush as delivered", () =>
    Effect.gen(function*() {
      const server = yield* Servers.udpServer()
      const sockets = yield* openedSockets
      yield* Effect.gen(function*() {
        yield* ThreadStats.increment("first")
        assert.deepStrictEqual((yield* ThreadStats.flush()).errors, [])
        for (let i = 0; i < 3; i++) sockets[0]!.emit("error", refused())
        yield* ThreadStats.increment("second")
        assert.deepStrictEqual((yield* ThreadStats.flush()).errors, [])
        assert.deepStrictEqual(yield* counts, { received: 2, delivered: 2, pending: 0, dropped: {} })
        yield* server.drained
        assert.deepStrictEqual(server.lines().map((line) => line.split(":")[0]), ["first", "second"])
      }).pipe(Effect.provide(layerClient({ url: remoteUrl(server) })))
    }))

  for (
    const [delivery, outcome] of [
      ["at-least-once", { delivered: 1, pending: 1, dropped: {} }],
      ["at-most-once", { delivered: 1, pending: 0, dropped: { Ambiguous: 1 } }]
    ] as const
  ) {
    it.scopedLive(`during a flush, counts earlier packets as ambiguous, and sends the others (delivery: "${delivery}")`, () =>
      Effect.gen(function*() {
        const server = yield* Servers.udpServer()
        const sockets = yield* openedSockets
        yield* Effect.gen(function*() {
          const { warm } = yield* ThreadStats.ThreadStats
          yield* warm
          const socket = sockets[0]!
          const send = socket.send.bind(socket) as (...args: ReadonlyArray<unknown>) => void
          let packets = 0
          Object.assign(socket, {
            send: (...args: ReadonlyArray<unknown>) => {
              send(...args)
              if (++packets === 2) socket.emit("error", refused())
            }
          })
          // Two packets: one line does not fit beside the other.
          for (const name of ["first", "second"]) {
            yield* ThreadStats.distribution(`${name}.${"n".repeat(190)}`, 1, {
              tags: ["t".repeat(200), "u".repeat(200)]
            })
          }
          const receipt = yield* ThreadStats.flush()
          assert.deepStrictEqual(receipt.errors.map(({ ambiguous, reason }) => [reason, ambiguous.length]), [
            ["Transport", 1]
          ])
          assert.deepStrictEqual(yield* counts, { received: 2, ...outcome })
          assert.strictEqual(sockets.length, 2)
          assert.deepStrictEqual((yield* ThreadStats.flush()).errors, [])
          assert.strictEqual((yield* counts).pending, 0)
        }).pipe(Effect.provide(layerClient({ url: remoteUrl(server), packetSize: 700 }, { delivery })))
      }))
  }
})

describe("DogStatsD over UDP to a host name", () => {
  it.scoped("sends to the known address when the name cannot be resolved any more", () =>
    Effect.gen(function*() {
      const server = yield* Servers.udpServer()
      let lookups = 0
      yield* replaced(dns.promises, "lookup", () =>
        (() => {
          lookups++
          return lookups === 1
            ? Promise.resolve([{ address: "127.0.0.1", family: 4 }])
            : Promise.reject(Object.assign(new Error("getaddrinfo EAI_AGAIN"), { code: "EAI_AGAIN" }))
        }) as never)
      const reporter = yield* makeReporter({
        agentHost: "agent.example",
        port: Number(new URL(server.url).port),
        socketLifetime: "1 second"
      })
      for (let i = 0; i < 3; i++) {
        yield* reporter.flushEvents(event)
        yield* TestClock.adjust("1 second")
      }
      yield* server.drained
      assert.deepStrictEqual([server.packets.length, server.ports.size, lookups], [3, 1, 3])
    }))
})
