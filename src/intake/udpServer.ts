import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { createSocket } from "node:dgram"
import { isIPv6 } from "node:net"

/** How many datagrams wait to be looked at; beyond, they are lost, as a full socket loses them. */
const backlog = 10_000

export interface Bound {
  readonly url: string
  readonly packets: Stream.Stream<Uint8Array>
}

/** A UDP socket, until the scope closes. */
export const bind = (host: string, port: number): Effect.Effect<Bound, Error, Scope.Scope> =>
  Effect.gen(function*() {
    const queue = yield* Effect.acquireRelease(Queue.dropping<Uint8Array>(backlog), Queue.shutdown)
    const take = (packet: Uint8Array) => {
      queue.unsafeOffer(packet)
    }
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
        // an ICMP message that comes back is no news
        socket.on("error", () => {})
        resume(Effect.void)
      })
    })
    socket.on("message", take)
    const { address, port: bound } = socket.address()
    const shown = address === "0.0.0.0"
      ? "127.0.0.1"
      : address === "::"
      ? "[::1]"
      : isIPv6(address)
      ? `[${address}]`
      : address
    return { url: `udp://${shown}:${bound}`, packets: Stream.fromQueue(queue) }
  })
