/** Connections in memory for `node:http`: HTTP of both sides as over a socket, with no port and no system call. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as http from "node:http"
import { Duplex } from "node:stream"
import { vi } from "vitest"

/** Runs a function after the write that precedes it is complete, as bytes arrive after the operating system took them. */
const afterWrite = (task: () => void) => {
  setImmediate(() => setImmediate(task))
}

/** One end of a connection. It has the methods of a socket that `node:http` calls. */
export class MemorySocket extends Duplex {
  peer!: MemorySocket

  constructor() {
    super({ allowHalfOpen: true, emitClose: true })
  }

  override _read(): void {}

  override _write(chunk: Uint8Array, _: BufferEncoding, done: (error?: Error | null) => void): void {
    afterWrite(() => {
      if (!this.peer.destroyed) this.peer.push(chunk)
    })
    setImmediate(done)
  }

  override _writev(
    chunks: Array<{ readonly chunk: Uint8Array }>,
    done: (error?: Error | null) => void
  ): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), "utf8", done)
  }

  override _final(done: (error?: Error | null) => void): void {
    afterWrite(() => {
      if (!this.peer.destroyed) this.peer.push(null)
    })
    setImmediate(done)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    afterWrite(() => this.peer.destroy())
    done(error)
  }

  /** Breaks the connection: the peer gets ECONNRESET. */
  reset(): void {
    this.peer.destroy(Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" }))
    this.destroy()
  }

  setKeepAlive(): this {
    return this
  }
  setNoDelay(): this {
    return this
  }
  setTimeout(): this {
    return this
  }
  ref(): this {
    return this
  }
  unref(): this {
    return this
  }
}

/** Connects all agents of `node:http` to the listener until the scope closes. Returns the server sides of the connections. */
export const connectAgents = (
  listener: (socket: MemorySocket) => void
): Effect.Effect<ReadonlyArray<MemorySocket>, never, Scope.Scope> => {
  const sockets: Array<MemorySocket> = []
  return Effect.as(
    Effect.acquireRelease(
      Effect.sync(() =>
        vi.spyOn(http.Agent.prototype as unknown as { createConnection: () => Duplex }, "createConnection")
          .mockImplementation(() => {
            const [client, server] = [new MemorySocket(), new MemorySocket()]
            client.peer = server
            server.peer = client
            sockets.push(server)
            server.on("error", () => {})
            setImmediate(() => {
              client.emit("connect")
              listener(server)
            })
            return client
          })
      ),
      (spy) => Effect.sync(() => spy.mockRestore())
    ),
    sockets
  )
}

/** Connects all agents of `node:http` to an HTTP server in memory until the scope closes. */
export const connectAgentsTo = (
  handle: http.RequestListener
): Effect.Effect<ReadonlyArray<MemorySocket>, never, Scope.Scope> =>
  Effect.suspend(() => {
    const server = http.createServer(handle)
    return connectAgents((socket) => server.emit("connection", socket))
  })
