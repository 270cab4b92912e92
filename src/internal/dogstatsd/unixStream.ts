import * as Effect from "effect/Effect"
import type { Socket } from "node:net"
import { afterPoll, type Connection, sendWithin } from "./connection.js"
import { fromSystemError, SocketError } from "./socketError.js"

/** Opens a stream of frames. A frame is the length of a packet in four bytes, the lowest first, and the packet. */
export const openStream = (path: string): Effect.Effect<Connection, SocketError> =>
  Effect.flatMap(
    Effect.promise(() => import("node:net")),
    ({ createConnection }) =>
      Effect.async<Connection, SocketError>((resume) => {
        const socket = createConnection({ path })
        socket.unref()
        const onError = (error: Error) => resume(Effect.fail(fromSystemError(error, { kind: "NoReceiver" })))
        socket.once("error", onError)
        socket.once("connect", () => {
          socket.off("error", onError)
          resume(Effect.succeed(makeConnection(socket)))
        })
        return Effect.sync(() => socket.destroy())
      })
  )

const frame = (packet: Buffer): Buffer => {
  const framed = Buffer.allocUnsafe(4 + packet.byteLength)
  framed.writeUInt32LE(packet.byteLength, 0)
  packet.copy(framed, 4)
  return framed
}

/** A receiver that read everything ends the stream when it closes. One that did not breaks the stream with an error. */
const closeErrorOf = (error: Error | null | undefined): SocketError =>
  error === undefined || error === null
    ? new SocketError({
      kind: "NoReceiver",
      description: "the receiver closed the connection",
      isAmbiguous: false,
      lostBefore: "none"
    })
    : fromSystemError(error, { kind: "NoReceiver", lostBefore: "all" })

const makeConnection = (socket: Socket): Connection => {
  let brokenBy: Error | undefined
  socket.on("error", (error) => {
    brokenBy ??= error
  })
  // Node.js notices the end of a stream only while it reads.
  socket.resume()
  return {
    send: (packet, limit) =>
      sendWithin(limit, (resume) => {
        if (!socket.writable) {
          resume(Effect.fail(closeErrorOf(brokenBy)))
          return undefined
        }
        // A receiver ignores half a frame, so a failed write did not arrive. Node.js reports no error for a write that was in progress
        // when the connection broke.
        socket.write(
          frame(packet),
          (error) => resume(error || socket.destroyed ? Effect.fail(closeErrorOf(brokenBy ?? error)) : Effect.void)
        )
        return () => socket.destroy()
      }),
    checkDelivered: Effect.async((resume) => {
      afterPoll(() => resume(brokenBy === undefined ? Effect.void : Effect.fail(closeErrorOf(brokenBy))))
    }),
    discardErrors: () => {},
    isOpen: () => socket.writable,
    closeError: () => brokenBy === undefined ? undefined : closeErrorOf(brokenBy),
    close: () => {
      socket.destroy()
    },
    isPersistent: true
  }
}
