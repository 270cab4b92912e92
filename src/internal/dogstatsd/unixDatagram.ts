import * as Effect from "effect/Effect"
import { type Connection, sendWithin } from "./connection.js"
import { fromSystemError, type SocketError, type SystemError } from "./socketError.js"

/** The part of the package `unix-dgram` that is used. */
export interface UnixDatagrams {
  readonly createSocket: (type: "unix_dgram") => {
    readonly on: (event: "error", listener: (error: SystemError) => void) => void
    readonly connect: (path: string) => void
    readonly send: (packet: Buffer, callback: (error?: SystemError) => void) => void
    readonly close: () => void
  }
}

/**
 * Name with a declared type, so that bundlers leave the import of the optional native package to Node.js. webpack needs the comment in the
 * import besides.
 */
const packageName: string = "unix-dgram"

export const loadUnixDatagrams: Effect.Effect<UnixDatagrams, unknown> = /*#__PURE__*/ Effect.map(
  /*#__PURE__*/ Effect.tryPromise(() => import(/* webpackIgnore: true */ packageName)),
  (module) => module.default
)

type GetErrorName = (code: number) => string

/** Replaces the codes of the package, which are negative numbers, and 1 for a full buffer. */
const withErrorName = (error: SystemError, getErrorName: GetErrorName): SystemError => {
  const code = error.code === 1
    ? "EAGAIN"
    : typeof error.code === "number" && error.code < 0
    ? getErrorName(error.code)
    : error.code
  return Object.assign(new Error(error.message), { code })
}

/** Opens a socket whose calls never wait. It keeps the process alive while it is open. */
export const openDatagram = (
  unixDatagrams: UnixDatagrams,
  path: string
): Effect.Effect<Connection, SocketError> =>
  Effect.flatMap(
    Effect.promise(() => import("node:util")),
    ({ getSystemErrorName }) => Effect.suspend(() => connect(unixDatagrams, path, getSystemErrorName))
  )

const connect = (
  unixDatagrams: UnixDatagrams,
  path: string,
  getErrorName: GetErrorName
): Effect.Effect<Connection, SocketError> => {
  let socket: ReturnType<UnixDatagrams["createSocket"]>
  try {
    socket = unixDatagrams.createSocket("unix_dgram")
  } catch (error) {
    return Effect.fail(fromSystemError(withErrorName(error as SystemError, getErrorName)))
  }
  let connectError: SystemError | undefined
  socket.on("error", (error) => {
    connectError = error
  })
  let isOpen = true
  const close = () => {
    if (isOpen) socket.close()
    isOpen = false
  }
  socket.connect(path)
  if (connectError !== undefined) {
    close()
    return Effect.fail(fromSystemError(withErrorName(connectError, getErrorName), { kind: "NoReceiver" }))
  }
  return Effect.succeed({
    send: (packet, limit) =>
      sendWithin(limit, (resume) => {
        socket.send(
          packet,
          (error) => resume(error ? Effect.fail(fromSystemError(withErrorName(error, getErrorName))) : Effect.void)
        )
        return undefined
      }),
    checkDelivered: Effect.void,
    discardErrors: () => {},
    isOpen: () => isOpen,
    closeError: () => undefined,
    close,
    isPersistent: false
  })
}
