import * as Effect from "effect/Effect"
import type { Socket } from "node:dgram"
import { afterPoll, type Connection, sendWithin } from "./connection.js"
import { fromSystemError, kindOf, type SocketError, type SystemError } from "./socketError.js"

export const isLoopback = (address: string): boolean => address.startsWith("127.") || address === "::1"

/** Resolves a host name. Prefers IPv4, on which the Agent listens by default. */
const resolveHost = (host: string) =>
  Effect.tryPromise({
    try: async () => {
      const { isIP } = await import("node:net")
      const family = isIP(host)
      if (family !== 0) return { address: host, family }
      const { lookup } = await import("node:dns/promises")
      const addresses = await lookup(host, { all: true })
      return addresses.find(({ family }) => family === 4) ?? addresses[0]!
    },
    catch: (error) => fromSystemError(error as SystemError)
  })

/** Opens a connected socket. The system reports a closed port for connected sockets only. */
export const openUdp = (host: string, port: number): Effect.Effect<Connection, SocketError> =>
  Effect.flatMap(
    Effect.zip(resolveHost(host), Effect.promise(() => import("node:dgram"))),
    ([{ address, family }, { createSocket }]) =>
      Effect.async<Connection, SocketError>((resume) => {
        const socket = createSocket(family === 6 ? "udp6" : "udp4")
        socket.unref()
        const connection = makeConnection(socket, isLoopback(address))
        socket.connect(port, address, (error?: Error) => {
          if (error === undefined) return resume(Effect.succeed(connection))
          connection.close()
          resume(Effect.fail(fromSystemError(error)))
        })
        return Effect.sync(connection.close)
      })
  )

const makeConnection = (socket: Socket, isLocal: boolean): Connection => {
  let isOpen = true
  let pendingError: SystemError | undefined
  socket.on("error", (error) => {
    pendingError = error
  })
  const close = () => {
    if (isOpen) socket.close()
    isOpen = false
  }
  /** Takes the error that the system reported. It concerns the last packet, or else an earlier one. */
  const takeSocketError = (concernsLast: boolean): Effect.Effect<void, SocketError> => {
    const error = pendingError
    pendingError = undefined
    return error === undefined ? Effect.void : Effect.fail(fromSystemError(error, {
      kind: "NoReceiver",
      isAmbiguous: !concernsLast,
      lostBefore: concernsLast ? "none" : "recent"
    }))
  }
  return {
    send: (packet, limit) =>
      sendWithin(limit, (resume) => {
        socket.send(packet, (error: SystemError | null) => {
          // On the same machine the report of this packet comes at once, from another one after a round trip.
          if (error === null) return afterPoll(() => resume(takeSocketError(isLocal)))
          // This packet did not leave. The error may report that earlier packets did not arrive.
          const lostBefore = kindOf(error.code) === "NoReceiver" ? "recent" : "none"
          resume(Effect.fail(fromSystemError(error, { lostBefore })))
        })
        return close
      }),
    // The last packet has waited for its own report.
    checkDelivered: Effect.suspend(() => takeSocketError(false)),
    discardErrors: () => {
      pendingError = undefined
    },
    isOpen: () => isOpen,
    closeError: () => undefined,
    close,
    isPersistent: true
  }
}
