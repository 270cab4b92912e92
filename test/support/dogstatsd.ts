/** Receivers of DogStatsD on real sockets, for io tests. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { createSocket } from "node:dgram"
import { mkdtempSync, rmSync } from "node:fs"
import { type AddressInfo, createConnection, createServer, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** A server, and the packets that arrived there. */
export interface Receiver {
  readonly url: string
  readonly packets: Array<Buffer>
  /** Number of bytes that arrived, without the frames of a stream. */
  readonly bytes: () => number
  readonly lines: () => ReadonlyArray<string>
  /**
   * Waits until the server has read everything that left its senders before. It sends a mark to the server and waits for its
   * arrival: the system delivers in order.
   */
  readonly drained: Effect.Effect<void>
  readonly close: Effect.Effect<void>
}

/** Packet that {@link Receiver.drained} sends. No sender writes a NUL. */
const mark = Buffer.from("\0drained")

const linesIn = (packets: ReadonlyArray<Buffer>): ReadonlyArray<string> =>
  packets.flatMap((packet) => {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(packet)
    if (!text.endsWith("\n")) throw new Error(`a packet ends within a line: ${JSON.stringify(text.slice(-200))}`)
    return text.slice(0, -1).split("\n")
  })

/** A receiver without a socket, and the function that hands it a packet. Returns false for a mark. */
const makeReceiver = (url: string, sendMark: () => void, close: Effect.Effect<void>) => {
  const packets: Array<Buffer> = []
  const waiting: Array<() => void> = []
  const receive = (packet: Buffer): boolean => {
    if (packet.equals(mark)) {
      waiting.shift()?.()
      return false
    }
    packets.push(packet)
    return true
  }
  const receiver: Receiver = {
    url,
    packets,
    bytes: () => packets.reduce((sum, { byteLength }) => sum + byteLength, 0),
    lines: () => linesIn(packets),
    drained: Effect.async((resume) => {
      waiting.push(() => resume(Effect.void))
      sendMark()
    }),
    close
  }
  return { receiver, receive }
}

export const udpServer = (
  options: { readonly port?: number; readonly onPacket?: (server: { readonly close: () => void }) => void } = {}
): Effect.Effect<Receiver & { readonly ports: Set<number> }, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async((resume) => {
      /** Ports of the senders. */
      const ports = new Set<number>()
      const socket = createSocket({ type: "udp4", recvBufferSize: 4 * 1024 * 1024 })
      let isOpen = true
      const close = () => {
        if (isOpen) socket.close()
        isOpen = false
      }
      socket.bind(options.port ?? 0, "127.0.0.1", () => {
        const { port } = socket.address()
        const sendMark = () => {
          const sender = createSocket("udp4")
          sender.send(mark, port, "127.0.0.1", () => sender.close())
        }
        const { receive, receiver } = makeReceiver(`udp://127.0.0.1:${port}`, sendMark, Effect.sync(close))
        socket.on("message", (packet, sender) => {
          if (!receive(packet)) return
          ports.add(sender.port)
          options.onPacket?.({ close })
        })
        resume(Effect.succeed({ ...receiver, ports }))
      })
    }),
    ({ close }) => close
  )

/** A port on which nobody listens. */
export const freePort: Effect.Effect<number> = Effect.async((resume) => {
  const socket = createSocket("udp4")
  socket.bind(0, "127.0.0.1", () => {
    const { port } = socket.address() as AddressInfo
    socket.close(() => resume(Effect.succeed(port)))
  })
})

/** A path for a socket. The scope removes its folder. */
export const socketPath: Effect.Effect<string, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "dogstatsd-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  ),
  (folder) => join(folder, "dsd.socket")
)

const frame = (packet: Buffer): Buffer => {
  const length = Buffer.alloc(4)
  length.writeUInt32LE(packet.byteLength, 0)
  return Buffer.concat([length, packet])
}

/** Drops a connection whose next frame is longer than its buffer, as the Agent does. */
export const streamServer = (
  path: string,
  options: { readonly onConnection?: (socket: Socket) => void } = {}
): Effect.Effect<Receiver & { readonly connections: Set<Socket> }, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async((resume) => {
      const connections = new Set<Socket>()
      let isMark = false
      const sendMark = () => {
        isMark = true
        const sender = createConnection({ path }, () => sender.end(frame(mark)))
        sender.on("error", () => {})
      }
      const server = createServer((socket) => {
        connections.add(socket)
        socket.on("error", () => {})
        socket.on("close", () => connections.delete(socket))
        let read = Buffer.alloc(0)
        socket.on("data", (chunk) => {
          read = Buffer.concat([read, chunk])
          while (read.byteLength >= 4) {
            const length = read.readUInt32LE(0)
            if (length > 8192) socket.destroy()
            if (length > 8192 || read.byteLength < 4 + length) return
            receive(read.subarray(4, 4 + length))
            read = read.subarray(4 + length)
          }
        })
        if (isMark) isMark = false
        else options.onConnection?.(socket)
      })
      const close = Effect.async<void>((done) => {
        for (const socket of connections) socket.destroy()
        server.close(() => done(Effect.void))
      })
      const { receive, receiver } = makeReceiver(`unixstream://${path}`, sendMark, close)
      server.listen(path, () => resume(Effect.succeed({ ...receiver, connections })))
    }),
    ({ close }) => close
  )

interface UnixDatagrams {
  readonly createSocket: (type: "unix_dgram", listener?: (packet: Buffer) => void) => {
    readonly on: (event: string, listener: (argument: unknown) => void) => void
    readonly bind: (path: string) => void
    readonly connect: (path: string) => void
    readonly send: (packet: Buffer, callback: (error?: Error) => void) => void
    readonly close: () => void
  }
}

const packageName: string = "unix-dgram"

/** The native package for datagrams on Unix sockets, or the error if it does not load here. */
export const unixDatagrams: UnixDatagrams | Error = await import(packageName).then(
  (module) => module.default as UnixDatagrams,
  (error: Error) => error
)

export const datagramServer = (path: string): Effect.Effect<Receiver, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      if (unixDatagrams instanceof Error) return Effect.die(unixDatagrams)
      const { createSocket } = unixDatagrams
      rmSync(path, { force: true })
      // A full queue takes no packet. It has room after the server has read.
      const sendMark = () => {
        const sender = createSocket("unix_dgram")
        sender.connect(path)
        sender.send(mark, (error) => {
          sender.close()
          if (error !== undefined) setImmediate(sendMark)
        })
      }
      const socket = createSocket("unix_dgram", (packet) => receive(packet))
      socket.on("error", (error) => {
        throw error
      })
      socket.bind(path)
      let isOpen = true
      const close = Effect.sync(() => {
        if (isOpen) socket.close()
        isOpen = false
      })
      const { receive, receiver } = makeReceiver(`unixgram://${path}`, sendMark, close)
      return Effect.succeed(receiver)
    }),
    ({ close }) => close
  )
