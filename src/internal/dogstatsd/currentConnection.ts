import * as Effect from "effect/Effect"
import type { Scope } from "effect/Scope"
import type { Connection, Target } from "./connection.js"
import { openConnection } from "./openConnection.js"
import { type SocketError, timeout } from "./socketError.js"
import { isLoopback } from "./udp.js"
import type { UnixDatagrams } from "./unixDatagram.js"

/** Maximum time to open a socket or to send one packet, in milliseconds. */
export const longestStepMillis = 3_000

/** Limits a step to the time that is left. */
export const stepLimit = (left: number): number => Math.max(1, Math.min(left, longestStepMillis))

/**
 * Whether the receiver may move behind its address. A packet filter keeps the way of a socket while packets use it, even after another
 * receiver took over. Only a socket with another port of its own, at the address that the name has now, reaches that one.
 */
const mayMove = (target: Target): boolean =>
  target._tag === "Udp" && target.host !== "localhost" && !isLoopback(target.host)

/** The one connection of a sender, opened when it is needed. */
export interface CurrentConnection {
  readonly get: () => Connection | undefined
  /** Returns the open connection, or opens one within the time that is left. */
  readonly connect: (now: number, left: number) => Effect.Effect<Connection, SocketError>
  /** Works like `connect`, but replaces an open connection whose lifetime is over. No packet of the batch has left over it. */
  readonly connectBatch: (now: number, left: number) => Effect.Effect<Connection, SocketError>
  readonly close: () => void
}

/** Closes the connection together with the scope. A UDP socket to another machine has a lifetime, in milliseconds. */
export const make = (
  target: Target,
  unixDatagrams: UnixDatagrams | undefined,
  socketLifetime: number
): Effect.Effect<CurrentConnection, never, Scope> => {
  let current: Connection | undefined
  let openedAt = -Infinity

  const close = () => {
    current?.close()
    current = undefined
  }

  const open = (now: number, left: number): Effect.Effect<Connection, SocketError> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.map(
        restore(Effect.timeoutFail(Effect.interruptible(openConnection(target, unixDatagrams)), {
          duration: stepLimit(left),
          onTimeout: () => timeout("opening the socket took too long", false)
        })),
        (connection) => {
          close()
          current = connection
          openedAt = now
          return connection
        }
      )
    )

  const connect = (now: number, left: number): Effect.Effect<Connection, SocketError> =>
    current?.isOpen() === true ? Effect.succeed(current) : open(now, left)

  const connectBatch = (now: number, left: number): Effect.Effect<Connection, SocketError> => {
    const connection = current
    if (connection === undefined || !connection.isOpen()) return open(now, left)
    connection.discardErrors()
    // The machine's clock may have been set back.
    if (!mayMove(target) || Math.abs(now - openedAt) < socketLifetime) return Effect.succeed(connection)
    // The old address still serves if the name cannot be resolved now.
    return Effect.orElseSucceed(open(now, left), () => {
      openedAt = now
      return connection
    })
  }

  return Effect.acquireRelease(
    Effect.succeed({ get: () => current, connect, connectBatch, close }),
    () => Effect.sync(close)
  )
}
