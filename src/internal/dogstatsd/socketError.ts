import * as Data from "effect/Data"

/** A packet that was not sent, or that may not have arrived. */
export class SocketError extends /*#__PURE__*/ Data.TaggedError("SocketError")<{
  /**
   * - `NoReceiver`: the receiver is absent, or closed the connection
   * - `BufferFull`: the buffer of the socket is full
   * - `TooLarge`: the system sends no packet of this size
   * - `Timeout`: the packet did not leave in time
   */
  readonly kind: "NoReceiver" | "BufferFull" | "TooLarge" | "Timeout"
  readonly description: string
  /** Error code of the system, such as `ECONNREFUSED`. */
  readonly code?: string | undefined
  /** Whether this packet may have arrived. */
  readonly isAmbiguous: boolean
  /** Earlier packets of the same connection that may not have arrived. */
  readonly lostBefore: "none" | "recent" | "all"
}> {}

export interface SystemError extends Error {
  readonly code?: string | number | undefined
}

export const fromSystemError = (
  error: SystemError,
  more: Partial<Pick<SocketError, "isAmbiguous" | "kind" | "lostBefore">> = {}
): SocketError =>
  new SocketError({
    kind: kindOf(error.code),
    description: describe(error),
    code: typeof error.code === "string" ? error.code : undefined,
    isAmbiguous: false,
    lostBefore: "none",
    ...more
  })

export const timeout = (description: string, isAmbiguous: boolean): SocketError =>
  new SocketError({ kind: "Timeout", description, isAmbiguous, lostBefore: "none" })

export const kindOf = (code: SystemError["code"]): SocketError["kind"] => {
  switch (code) {
    case "EAGAIN":
    case "EWOULDBLOCK":
    case "ENOBUFS":
    case "ENOMEM":
      return "BufferFull"
    case "EMSGSIZE":
      return "TooLarge"
    default:
      return "NoReceiver"
  }
}

const explanations: { readonly [code: string]: string } = {
  ECONNREFUSED: "the receiver does not listen at this address",
  ECONNRESET: "the receiver closed the connection",
  EPIPE: "the receiver closed the connection",
  ENOENT: "the socket does not exist",
  ENOTFOUND: "the host name is unknown",
  EACCES: "this process may not write to the socket",
  EPROTOTYPE: "the socket has another type: use unixgram:// for datagrams and unixstream:// for a stream",
  EAGAIN: "the buffer is full",
  EWOULDBLOCK: "the buffer is full",
  ENOBUFS: "the buffer is full",
  EMSGSIZE: "the packet is too large for the system"
}

const describe = ({ code, message }: SystemError): string => {
  const explanation = typeof code === "string" ? explanations[code] : undefined
  return explanation === undefined ? message : `${explanation} (${code})`
}
