import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { Socket as UdpSocket } from "node:dgram"
import type { Socket as StreamSocket } from "node:net"

/** Where a receiver listens. */
export type Target =
  | { readonly _tag: "Udp"; readonly host: string; readonly port: number }
  | { readonly _tag: "Unix"; readonly path: string; readonly framing: "datagram" | "stream" | "either" }

/** Without anything that a log should not hold. */
export const addressOf = (target: Target): string =>
  target._tag === "Udp"
    ? `udp://${target.host.includes(":") ? `[${target.host}]` : target.host}:${target.port}`
    : `${{ datagram: "unixgram", stream: "unixstream", either: "unix" }[target.framing]}://${target.path}`

/** A packet did not leave, or is not known to have arrived. */
export class SocketFailure extends /*#__PURE__*/ Data.TaggedError("SocketFailure")<{
  /**
   * - `Absent`: nobody is there, or no longer
   * - `Full`: the buffer is
   * - `TooLarge`: the system takes no packet of this size
   * - `Silent`: no end within the time there was
   */
  readonly kind: "Absent" | "Full" | "TooLarge" | "Silent"
  readonly description: string
  /** Whether this very packet may have arrived. */
  readonly ambiguous: boolean
  /** What of the packets before it, over the same socket, may not have arrived. */
  readonly doubt: "nothing" | "recent" | "all"
}> {}

/** A socket that is connected. */
export interface Link {
  /** Hands one packet to the system, and succeeds when it has left. Interrupted, it closes the socket. */
  readonly send: (packet: Buffer) => Effect.Effect<void, SocketFailure>
  /** Fails if what was sent over it has not arrived, as far as that can be known. */
  readonly settle: Effect.Effect<void, SocketFailure>
  readonly isOpen: () => boolean
  /** What broke it, if something did. */
  readonly broken: () => SocketFailure | undefined
  readonly close: () => void
  /** Whether it can be kept without keeping the process. */
  readonly lasting: boolean
}

interface SystemError extends Error {
  readonly code?: string | number | undefined
}

const failure = (
  error: SystemError,
  doubt: SocketFailure["doubt"] = "nothing",
  kind: SocketFailure["kind"] = kindOf(error.code),
  ambiguous = false
): SocketFailure => new SocketFailure({ kind, description: describe(error), ambiguous, doubt })

const kindOf = (code: SystemError["code"]): SocketFailure["kind"] => {
  switch (code) {
    case "EAGAIN":
    case "EWOULDBLOCK":
    case "ENOBUFS":
    case "ENOMEM":
      return "Full"
    case "EMSGSIZE":
      return "TooLarge"
    default:
      return "Absent"
  }
}

const hints: { readonly [code: string]: string } = {
  ECONNREFUSED: "nobody listens there",
  ECONNRESET: "the receiver has gone away",
  EPIPE: "the receiver has gone away",
  ENOENT: "there is no such socket",
  ENOTFOUND: "there is no such host",
  EACCES: "the socket may not be written to",
  EPROTOTYPE: "the socket is of the other sort: unixgram:// needs one for datagrams, unixstream:// one for streams",
  EAGAIN: "the buffer is full",
  EWOULDBLOCK: "the buffer is full",
  ENOBUFS: "the buffer is full",
  EMSGSIZE: "the system takes no packet of this size"
}

const describe = ({ code, message }: SystemError): string => {
  const hint = typeof code === "string" ? hints[code] : undefined
  return hint === undefined ? message : `${hint} (${code})`
}

/**
 * Twice, so that the event loop has looked for what came back in between, wherever it was: an ICMP message that nobody
 * listens is there at once where the receiver is on the same machine.
 */
const afterPoll = (f: () => void): void => {
  setImmediate(() => setImmediate(f))
}

/** A socket to this target. With `unixDatagrams`, the package that knows them, a Unix socket can be of that sort. */
export const open = (target: Target, unixDatagrams: UnixDatagrams | undefined): Effect.Effect<Link, SocketFailure> => {
  if (target._tag === "Udp") return openUdp(target.host, target.port)
  if (target.framing === "stream" || unixDatagrams === undefined) {
    return target.framing === "either" ? withHint(openStream(target.path)) : openStream(target.path)
  }
  const datagram = openDatagram(unixDatagrams, target.path)
  return target.framing === "datagram"
    ? datagram
    : Effect.catchIf(datagram, isOtherSort, () => openStream(target.path))
}

const isOtherSort = ({ description }: SocketFailure): boolean => description.includes("EPROTOTYPE")

const withHint = Effect.mapError((error: SocketFailure) =>
  isOtherSort(error)
    ? new SocketFailure({ ...error, description: "the socket takes datagrams: install the package unix-dgram" })
    : error
)

const isLoopback = (address: string): boolean => address.startsWith("127.") || address === "::1"

/** IPv4 where there is one, as the Agent listens by default. */
const resolve = (host: string) =>
  Effect.tryPromise({
    try: async () => {
      const { isIP } = await import("node:net")
      const family = isIP(host)
      if (family !== 0) return { address: host, family }
      const { lookup } = await import("node:dns/promises")
      const found = await lookup(host, { all: true })
      return found.find(({ family }) => family === 4) ?? found[0]!
    },
    catch: (error) => failure(error as SystemError)
  })

/**
 * The socket is connected, or the system would not say that nobody listens. What it says comes after the packet has left: at
 * once on this machine, and within the time of a round trip from another.
 */
const openUdp = (host: string, port: number): Effect.Effect<Link, SocketFailure> =>
  Effect.flatMap(
    Effect.zip(resolve(host), Effect.promise(() => import("node:dgram"))),
    ([{ address, family }, { createSocket }]) =>
      Effect.async<Link, SocketFailure>((resume) => {
        const socket = createSocket(family === 6 ? "udp6" : "udp4")
        socket.unref()
        const link = udpLink(socket, isLoopback(address))
        socket.connect(port, address, (error?: Error) => {
          if (error === undefined) return resume(Effect.succeed(link))
          link.close()
          resume(Effect.fail(failure(error)))
        })
        return Effect.sync(link.close)
      })
  )

const udpLink = (socket: UdpSocket, isNear: boolean): Link => {
  let isOpen = true
  let returned: SystemError | undefined
  socket.on("error", (error) => {
    returned = error
  })
  const close = () => {
    if (isOpen) socket.close()
    isOpen = false
  }
  /** What came back; `own` says whether it is about the packet that was sent last. */
  const look = (resume: (effect: Effect.Effect<void, SocketFailure>) => void, own: boolean) => () => {
    const error = returned
    returned = undefined
    resume(
      error === undefined ? Effect.void : Effect.fail(failure(error, own ? "nothing" : "recent", "Absent", !own))
    )
  }
  return {
    send: (packet) =>
      Effect.async((resume) => {
        socket.send(packet, (error: SystemError | null) => {
          if (error === null) return afterPoll(look(resume, isNear))
          // nobody listened to the ones before; this one has not left
          resume(Effect.fail(failure(error, kindOf(error.code) === "Absent" ? "recent" : "nothing")))
        })
        return Effect.sync(close)
      }),
    settle: Effect.async((resume) => afterPoll(look(resume, false))),
    isOpen: () => isOpen,
    broken: () => undefined,
    close,
    lasting: true
  }
}

/** A stream of frames, each of which is its length in four bytes, the lowest first, and a packet. */
const openStream = (path: string): Effect.Effect<Link, SocketFailure> =>
  Effect.flatMap(
    Effect.promise(() => import("node:net")),
    ({ createConnection }) =>
      Effect.async<Link, SocketFailure>((resume) => {
        const socket = createConnection({ path })
        socket.unref()
        const refuse = (error: Error) => resume(Effect.fail(failure(error, "nothing", "Absent")))
        socket.once("error", refuse)
        socket.once("connect", () => {
          socket.off("error", refuse)
          resume(Effect.succeed(streamLink(socket)))
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

const streamLink = (socket: StreamSocket): Link => {
  let broken: Error | undefined
  socket.on("error", (error) => {
    broken ??= error
  })
  // nothing is read, but the end of the stream is noticed
  socket.resume()
  /** A receiver that closed after it had read everything ends the stream; one that had not breaks it. */
  const gone = (error: Error | null | undefined) =>
    error === undefined || error === null
      ? new SocketFailure({
        kind: "Absent",
        description: "the receiver has closed the connection",
        ambiguous: false,
        doubt: "nothing"
      })
      : failure(error, "all", "Absent")
  return {
    send: (packet) =>
      Effect.async((resume) => {
        if (!socket.writable) return resume(Effect.fail(gone(broken)))
        // what fails has not left as a whole, and half a frame is none; Node.js says nothing of a write that was under way
        // when the connection broke
        socket.write(
          frame(packet),
          (error) => resume(error || socket.destroyed ? Effect.fail(gone(broken ?? error)) : Effect.void)
        )
        return Effect.sync(() => socket.destroy())
      }),
    settle: Effect.async((resume) => {
      afterPoll(() => resume(broken === undefined ? Effect.void : Effect.fail(gone(broken))))
    }),
    isOpen: () => socket.writable,
    broken: () => broken === undefined ? undefined : gone(broken),
    close: () => {
      socket.destroy()
    },
    lasting: true
  }
}

/** What is used of the package `unix-dgram`. */
export interface UnixDatagrams {
  readonly createSocket: (type: "unix_dgram") => {
    readonly on: (event: "error", listener: (error: SystemError) => void) => void
    readonly connect: (path: string) => void
    readonly send: (packet: Buffer, callback: (error?: SystemError) => void) => void
    readonly close: () => void
  }
}

/** A name that bundlers do not follow: the package is native, and optional. */
const packageName: string = "unix-dgram"

export const loadUnixDatagrams: Effect.Effect<UnixDatagrams, unknown> = /*#__PURE__*/ Effect.map(
  /*#__PURE__*/ Effect.tryPromise(() => import(packageName)),
  (module) => module.default
)

/** The package's codes are negative numbers, and 1 for a buffer that is full. */
const named = (error: SystemError, names: Names): SystemError => {
  const code = error.code === 1
    ? "EAGAIN"
    : typeof error.code === "number" && error.code < 0
    ? names(error.code)
    : error.code
  return Object.assign(new Error(error.message), { code })
}

type Names = (code: number) => string

/** It waits for nothing, and keeps the process as long as it is open. */
const openDatagram = (unixDatagrams: UnixDatagrams, path: string): Effect.Effect<Link, SocketFailure> =>
  Effect.flatMap(Effect.promise(() => import("node:util")), ({ getSystemErrorName }) =>
    Effect.suspend(() => {
      let socket: ReturnType<UnixDatagrams["createSocket"]>
      try {
        socket = unixDatagrams.createSocket("unix_dgram")
      } catch (error) {
        return Effect.fail(failure(named(error as SystemError, getSystemErrorName)))
      }
      let refusal: SystemError | undefined
      socket.on("error", (error) => {
        refusal = error
      })
      let isOpen = true
      const close = () => {
        if (isOpen) socket.close()
        isOpen = false
      }
      socket.connect(path)
      if (refusal !== undefined) {
        close()
        return Effect.fail(failure(named(refusal, getSystemErrorName), "nothing", "Absent"))
      }
      return Effect.succeed<Link>({
        send: (packet) =>
          Effect.async((resume) => {
            socket.send(
              packet,
              (error) => resume(error ? Effect.fail(failure(named(error, getSystemErrorName))) : Effect.void)
            )
          }),
        settle: Effect.void,
        isOpen: () => isOpen,
        broken: () => undefined,
        close,
        lasting: false
      })
    }))
