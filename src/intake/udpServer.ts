import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { createSocket } from "node:dgram"
import { isIPv6 } from "node:net"

/** Maximum number and bytes of datagrams that wait for their ingest. More are lost, as they are in a full socket buffer. */
const maxBacklog = 10_000
const maxBacklogBytes = 16 * 1024 * 1024

/** A socket that receives datagrams. */
export interface UdpServer {
  readonly url: string
  readonly packets: Stream.Stream<Uint8Array>
}

/** Binds a UDP socket until the scope closes. */
export const bindUdp = (host: string, port: number): Effect.Effect<UdpServer, Error, Scope.Scope> =>
  Effect.gen(function*() {
    const queue = yield* Effect.acquireRelease(Queue.dropping<Uint8Array>(maxBacklog), Queue.shutdown)
    let backlogBytes = 0
    const enqueue = (packet: Uint8Array) => {
      if (backlogBytes <= maxBacklogBytes && queue.unsafeOffer(packet)) backlogBytes += packet.byteLength
    }
    const packets = Stream.mapChunks(Stream.fromQueue(queue), (packets) => {
      for (const { byteLength } of packets) backlogBytes -= byteLength
      return packets
    })
    const socket = yield* Effect.acquireRelease(
      Effect.sync(() => createSocket(isIPv6(host) ? "udp6" : "udp4")),
      (socket) =>
        Effect.async<void>((resume) => {
          socket.close(() => resume(Effect.void))
        })
    )
    yield* Effect.async<void, Error>((resume) => {
      const fail = (error: Error) => resume(Effect.fail(error))
      socket.once("error", fail)
      socket.bind({ address: host, port, exclusive: true }, () => {
        socket.off("error", fail)
        // An ICMP error of an earlier datagram would end the process otherwise.
        socket.on("error", () => {})
        resume(Effect.void)
      })
    })
    socket.on("message", enqueue)
    const { address, port: boundPort } = socket.address()
    const hostname = address === "0.0.0.0"
      ? "127.0.0.1"
      : address === "::"
      ? "[::1]"
      : isIPv6(address)
      ? `[${address}]`
      : address
    return { url: `udp://${hostname}:${boundPort}`, packets }
  })
