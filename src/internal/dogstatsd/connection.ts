import * as Effect from "effect/Effect"
import { asyncWithin } from "../runtime/asyncWithin.js"
import { type SocketError, timeout } from "./socketError.js"

/** Address of a receiver. */
export type Target =
  | { readonly _tag: "Udp"; readonly host: string; readonly port: number }
  | { readonly _tag: "Unix"; readonly path: string; readonly framing: "datagram" | "stream" | "either" }

/** Returns the address as a URL. A target contains no secrets, so that errors and logs may show it. */
export const formatTarget = (target: Target): string =>
  target._tag === "Udp"
    ? `udp://${target.host.includes(":") ? `[${target.host}]` : target.host}:${target.port}`
    : `${{ datagram: "unixgram", stream: "unixstream", either: "unix" }[target.framing]}://${target.path}`

/** Socket that is connected to a receiver. */
export interface Connection {
  /**
   * Sends one packet, and succeeds when it left this process. Fails if it did not leave within the limit, in milliseconds. Interruption
   * closes the socket, and so does the limit.
   */
  readonly send: (packet: Buffer, limit: number) => Effect.Effect<void, SocketError>
  /** Fails if the system reports that an earlier packet did not arrive. */
  readonly checkDelivered: Effect.Effect<void, SocketError>
  /** Forgets errors that concern packets of earlier batches: those count as delivered, and the next packet did not cause them. */
  readonly discardErrors: () => void
  readonly isOpen: () => boolean
  /** Error that closed the socket, if there is one. */
  readonly closeError: () => SocketError | undefined
  readonly close: () => void
  /** Whether the socket can stay open without keeping the process alive. */
  readonly isPersistent: boolean
}

/** Makes the effect that sends a packet. `register` starts to send and returns a function that closes the socket. */
export const sendWithin = (
  limit: number,
  register: (resume: (effect: Effect.Effect<void, SocketError>) => void) => (() => void) | undefined
): Effect.Effect<void, SocketError> =>
  asyncWithin(register, limit, () => Effect.fail(timeout("the receiver does not read", true)))

/**
 * Calls the function after the event loop polled its sockets. The first `setImmediate` may run before that poll. The system reports a
 * closed port of the same machine within one poll.
 */
export const afterPoll = (f: () => void): void => {
  setImmediate(() => setImmediate(f))
}
