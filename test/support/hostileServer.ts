/** A server that behaves towards its client as bad networks and broken servers do. Every behaviour has a name. */
import type { DistributionSeries, Series } from "effect-threadstats/Series"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { subscribe, unsubscribe } from "node:diagnostics_channel"
import { type AddressInfo, createServer, type Socket } from "node:net"
import type { Duplex } from "node:stream"
import { createSecureContext, TLSSocket } from "node:tls"
import { inflateSync } from "node:zlib"
import { type Certificate, selfSigned } from "./certificate.js"
import { connectAgents, type MemorySocket } from "./memoryNetwork.js"

/** The actions of a behaviour. An action that waits may wait forever; the behaviour ends there. */
export interface Connection {
  /** Waits for the first bytes of the request. The server reads nothing before. */
  readonly begun: () => Promise<void>
  /** Waits for the whole request. */
  readonly request: () => Promise<Request>
  /** Writes, and waits until the operating system has taken the bytes. */
  readonly say: (text: string | Uint8Array) => Promise<void>
  /** Writes text that contains the head of an answer, and waits until the client has read that head. */
  readonly sayHead: (text: string) => Promise<void>
  /** Repeats the text until the client is gone. */
  readonly drip: (text: string | Uint8Array, everyMillis: number) => void
  /** Sends RST. */
  readonly reset: () => void
  /** Sends FIN, and reads the rest of the client's bytes. */
  readonly end: () => void
  /** Counts the request as delivered. */
  readonly accept: (request: Request) => void
}

export interface Request {
  readonly path: string
  readonly body: Buffer
}

export interface Behaviour {
  /** Scheme of the server's address. Default: the one that the server speaks. */
  readonly scheme?: "http" | "https"
  /** Protocol of the server. Default: plain. */
  readonly speaks?: "plain" | "tls"
  readonly serve: (connection: Connection) => void | Promise<void>
}

const head = (status: string, ...lines: ReadonlyArray<string>) => [`HTTP/1.1 ${status}`, ...lines, "", ""].join("\r\n")

/** Reads the request, counts it as delivered, and continues with `after`. */
const accepting =
  (after: (connection: Connection) => void | Promise<void>): Behaviour["serve"] => async (connection) => {
    connection.accept(await connection.request())
    await after(connection)
  }

const defineBehaviours = <K extends string>(record: { readonly [Name in K]: Behaviour }): {
  readonly [Name in K]: Behaviour
} => record

export const good: Behaviour = {
  serve: accepting(async ({ end, say }) => {
    await say(head("202 Accepted", "content-length: 2", "connection: close") + "{}")
    end()
  })
}

export const behaviours = defineBehaviours({
  "reads nothing": {
    serve: () => {}
  },
  "reads the request and does not answer": {
    serve: async ({ request }) => {
      await request()
    }
  },
  "answers 100 Continue and nothing else": {
    serve: async ({ request, say }) => {
      await request()
      await say(head("100 Continue"))
    }
  },
  "stops within the headers": {
    serve: async ({ request, say }) => {
      await request()
      await say("HTTP/1.1 202 Accepted\r\ncontent-le")
    }
  },
  "stops within the body of an error": {
    serve: async ({ request, sayHead }) => {
      await request()
      await sayHead(head("503 Service Unavailable", "content-length: 100") + "try ")
    }
  },
  "stops within the body of an acceptance": {
    serve: accepting(({ sayHead }) => sayHead(head("202 Accepted", "content-length: 100") + "{"))
  },
  "sends a header byte by byte": {
    serve: async ({ drip, request, say }) => {
      await request()
      await say("HTTP/1.1 202 Accepted\r\nx: ")
      drip("x", 5)
    }
  },
  "sends the body of an acceptance byte by byte": {
    serve: accepting(async ({ drip, sayHead }) => {
      await sayHead(head("202 Accepted", "content-length: 1000000"))
      drip(" ", 5)
    })
  },
  "sends an endless header": {
    serve: async ({ drip, request, say }) => {
      await request()
      await say("HTTP/1.1 202 Accepted\r\nx: ")
      drip("x".repeat(16_384), 1)
    }
  },
  "sends an endless body": {
    serve: accepting(async ({ drip, say }) => {
      await say(head("202 Accepted", "transfer-encoding: chunked"))
      drip(`10000\r\n${" ".repeat(65_536)}\r\n`, 1)
    })
  },
  "resets the connection at once": {
    serve: ({ reset }) => reset()
  },
  "resets after the first bytes": {
    serve: async ({ begun, reset }) => {
      await begun()
      reset()
    }
  },
  "resets after the request": {
    serve: async ({ request, reset }) => {
      await request()
      reset()
    }
  },
  "resets within the headers": {
    serve: async ({ request, reset, say }) => {
      await request()
      await say("HTTP/1.1 202 Accepted\r\ncontent-le")
      reset()
    }
  },
  "resets within the body of an error": {
    serve: async ({ request, reset, sayHead }) => {
      await request()
      await sayHead(head("503 Service Unavailable", "content-length: 100") + "try ")
      reset()
    }
  },
  "resets within the body of an acceptance": {
    serve: accepting(async ({ reset, sayHead }) => {
      await sayHead(head("202 Accepted", "content-length: 100") + "{")
      reset()
    })
  },
  "closes the connection before the answer": {
    serve: async ({ end, request }) => {
      await request()
      end()
    }
  },
  "closes the connection within the headers": {
    serve: async ({ end, request, say }) => {
      await request()
      await say("HTTP/1.1 202 Accepted\r\ncontent-le")
      end()
    }
  },
  "closes the connection within the body of an acceptance": {
    serve: accepting(async ({ end, say }) => {
      await say(head("202 Accepted", "content-length: 100") + "{")
      end()
    })
  },
  "speaks another protocol": {
    serve: async ({ request, say }) => {
      await request()
      await say("220 mail.invalid ESMTP\r\n")
    }
  },
  "sends noise": {
    serve: async ({ begun, say }) => {
      await begun()
      await say(Buffer.from(Array.from({ length: 512 }, (_, i) => (i * 197 + 128) % 256)))
    }
  },
  "sends a chunk with an invalid length": {
    serve: accepting(({ say }) => say(head("202 Accepted", "transfer-encoding: chunked") + "zz\r\n{}\r\n"))
  },
  "sends a body that is not in its declared encoding": {
    serve: accepting(({ say }) =>
      say(head("202 Accepted", "content-encoding: gzip", "content-length: 5", "connection: close") + "plain")
    )
  },
  "switches protocols": {
    serve: async ({ request, say }) => {
      await request()
      await say(head("101 Switching Protocols", "connection: upgrade", "upgrade: test"))
    }
  },
  "answers before it has read the request": {
    serve: async ({ accept, end, request, say }) => {
      await say(head("202 Accepted", "content-length: 2", "connection: close") + "{}")
      accept(await request())
      end()
    }
  },
  "answers twice": {
    serve: accepting(({ say }) =>
      say(
        head("202 Accepted", "content-length: 2") + "{}" + head("403 Forbidden", "content-length: 2") + "{}"
      )
    )
  },
  "has an untrusted certificate": {
    speaks: "tls",
    serve: good.serve
  },
  "does not finish the TLS handshake": {
    scheme: "https",
    serve: async ({ begun }) => {
      await begun()
    }
  },
  "resets within the TLS handshake": {
    scheme: "https",
    serve: async ({ begun, reset }) => {
      await begun()
      reset()
    }
  },
  "speaks plain HTTP when the client expects TLS": {
    scheme: "https",
    serve: async ({ begun, end, say }) => {
      await begun()
      await say(head("400 Bad Request", "content-length: 0", "connection: close"))
      end()
    }
  },
  "speaks TLS when the client expects plain HTTP": {
    scheme: "http",
    speaks: "tls",
    serve: good.serve
  }
})

export type Name = keyof typeof behaviours

/** The values that the server counted as delivered, in order. */
export interface Arrived {
  readonly series: ReadonlyArray<number>
  readonly distributions: ReadonlyArray<ReadonlyArray<number>>
  readonly events: ReadonlyArray<string>
}

export interface HostileServer {
  readonly url: string
  /** Closes all connections, and serves the next ones in another way. */
  readonly behave: (behaviour: Behaviour) => Effect.Effect<void>
  readonly arrived: Effect.Effect<Arrived>
  /** Waits until the server counted requests of this many endpoints as delivered. */
  readonly arrivedAt: (endpoints: number) => Effect.Effect<void>
  /** Number of connections until now. */
  readonly connections: Effect.Effect<number>
  /** Waits until the server has done all that its behaviour does on this many connections. */
  readonly served: (connections: number) => Effect.Effect<void>
  /** Number of bytes that the server has read, after decryption. */
  readonly bytesRead: Effect.Effect<number>
  /**
   * Waits until the client has closed all connections on which it began a request. (The pool behind `fetch` opens a spare one for
   * every one that it closes.)
   */
  readonly released: Effect.Effect<void>
}

export interface Options {
  readonly certificate?: Certificate
  /** Place of the clients. Default: this process. */
  readonly clients?: "this process" | "other processes"
}

/** A server on a free loopback port. All its connections end with the scope. */
export const make = (
  initial: Behaviour,
  { certificate = selfSigned(), clients = "this process" }: Options = {}
): Effect.Effect<HostileServer, never, Scope.Scope> =>
  Effect.gen(function*() {
    const secureContext = initial.speaks === "tls" ? createSecureContext(certificate) : undefined
    const heads = yield* watchHeads
    let authority = ""
    const { accept, server } = makeServer<Socket>(initial, (raw, behaviour) => {
      const socket = behaviour.speaks === "tls" && secureContext !== undefined
        ? new TLSSocket(raw, { isServer: true, secureContext })
        : raw
      const headRead = clients === "this process"
        ? (path: string) => heads.next(authority, path)
        // No event announces that another process has read. Tests of other processes assert nothing that depends on it.
        : () => new Promise<void>((resolve) => setTimeout(resolve, 10))
      return { socket, headRead, reset: () => raw.resetAndDestroy() }
    })
    const listener = createServer({ allowHalfOpen: true, noDelay: true }, accept)
    yield* Effect.acquireRelease(
      Effect.async<void>((resume) => {
        listener.listen(0, "127.0.0.1", () => resume(Effect.void))
      }),
      () =>
        Effect.zipRight(
          server.close,
          Effect.async<void>((resume) => {
            listener.close(() => resume(Effect.void))
          })
        )
    )
    authority = `127.0.0.1:${(listener.address() as AddressInfo).port}`
    const scheme = initial.scheme ?? (initial.speaks === "tls" ? "https" : "http")
    return { ...server, url: `${scheme}://${authority}` }
  })

/** A server in memory, for clients over `node:http`. It speaks no TLS. */
export const makeInMemory = (initial: Behaviour): Effect.Effect<HostileServer, never, Scope.Scope> =>
  Effect.gen(function*() {
    const authority = "intake.memory"
    const heads = yield* watchHeads
    const { accept, server } = makeServer<MemorySocket>(initial, (socket) => ({
      socket,
      headRead: (path) => heads.next(authority, path),
      reset: () => socket.reset()
    }))
    yield* connectAgents(accept)
    yield* Effect.addFinalizer(() => server.close)
    return { ...server, url: `http://${authority}` }
  })

interface Accepted {
  readonly socket: Duplex & { readonly bytesRead?: number }
  readonly headRead: (path: string) => Promise<void>
  readonly reset: () => void
}

const makeServer = <S extends Duplex>(initial: Behaviour, open: (raw: S, behaviour: Behaviour) => Accepted) => {
  let behaviour = initial
  let connections = 0
  let served = 0
  let bytesRead = 0
  /** Functions that run whenever a behaviour is done or a client is gone. */
  const observers = new Set<() => void>()
  const notify = () => {
    for (const observer of observers) observer()
  }
  const when = (holds: () => boolean) =>
    Effect.async<void>((resume) => {
      const observer = () => {
        if (!holds()) return
        observers.delete(observer)
        resume(Effect.void)
      }
      observers.add(observer)
      observer()
      return Effect.sync(() => observers.delete(observer))
    })
  /** Sockets whose client is still there, with the number of bytes that it sent. */
  const clients = new Map<Duplex, () => number>()
  /** Connections that this side has not closed. */
  const all = new Set<S>()
  const requests: Array<Request> = []

  const accept = (raw: S) => {
    connections++
    all.add(raw)
    raw.on("close", () => all.delete(raw))
    const accepted = open(raw, behaviour)
    const { socket } = accepted
    let received = 0
    clients.set(socket, () => socket.bytesRead ?? received)
    const gone = () => {
      clients.delete(socket)
      notify()
    }
    for (const event of ["end", "error", "close"]) socket.on(event, gone)
    raw.on("error", gone)
    const onAccept = (request: Request) => {
      requests.push(request)
      notify()
    }
    const onRead = (bytes: number) => {
      received += bytes
      bytesRead += bytes
    }
    void Promise.resolve(behaviour.serve(connectionOf(accepted, onRead, onAccept))).then(() => {
      served++
      notify()
    })
  }

  const close = Effect.sync(() => {
    for (const socket of all) socket.destroy()
  })

  const server: Omit<HostileServer, "url"> & { readonly close: Effect.Effect<void> } = {
    close,
    behave: (next) =>
      Effect.zipRight(
        close,
        Effect.sync(() => {
          behaviour = next
        })
      ),
    arrived: Effect.sync(() => arrivedIn(requests)),
    arrivedAt: (endpoints) => when(() => new Set(requests.map(({ path }) => path)).size >= endpoints),
    connections: Effect.sync(() => connections),
    served: (count) => when(() => served >= count),
    bytesRead: Effect.sync(() => bytesRead),
    released: Effect.suspend(() => {
      // A socket that nobody reads reports neither the client's bytes nor its end.
      for (const socket of clients.keys()) socket.resume()
      return when(() => Array.from(clients.values()).every((received) => received() === 0))
    })
  }
  return { accept, server }
}

/** Follows the heads of answers that the HTTP clients of this process read, by the diagnostics channels of `node:http` and undici. */
const watchHeads = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => {
      const waiters = new Set<(authority: string, path: string) => void>()
      const notify = (authority: string, path: string) => {
        for (const waiter of waiters) waiter(authority, path)
      }
      const ofNode = (message: unknown) => {
        const { request } = message as {
          readonly request: { readonly path: string; readonly getHeader: (name: string) => unknown }
        }
        notify(String(request.getHeader("host")), request.path)
      }
      const ofUndici = (message: unknown) => {
        const { request } = message as { readonly request: { readonly origin: string | URL; readonly path: string } }
        notify(new URL(request.origin).host, request.path)
      }
      subscribe("http.client.response.finish", ofNode)
      subscribe("undici:request:headers", ofUndici)
      return { waiters, ofNode, ofUndici }
    }),
    ({ ofNode, ofUndici }) =>
      Effect.sync(() => {
        unsubscribe("http.client.response.finish", ofNode)
        unsubscribe("undici:request:headers", ofUndici)
      })
  ),
  ({ waiters }) => ({
    /** Resolves when a client has read the next head from this server and path. */
    next: (authority: string, path: string) =>
      new Promise<void>((resolve) => {
        const waiter = (fromAuthority: string, fromPath: string) => {
          if (fromAuthority !== authority || fromPath !== path) return
          waiters.delete(waiter)
          resolve()
        }
        waiters.add(waiter)
      })
  })
)

const connectionOf = (
  { headRead, reset, socket }: Accepted,
  onRead: (bytes: number) => void,
  accept: (request: Request) => void
): Connection => {
  let received = Buffer.alloc(0)
  const waiting = new Set<() => void>()
  let reading = false
  const read = () => {
    if (reading) return
    reading = true
    socket.on("data", (chunk: Buffer) => {
      onRead(chunk.length)
      received = Buffer.concat([received, chunk])
      for (const check of waiting) check()
    })
  }
  const when = <A>(find: () => A | undefined): Promise<A> =>
    new Promise((resolve) => {
      const check = () => {
        const found = find()
        if (found === undefined) return
        waiting.delete(check)
        resolve(found)
      }
      waiting.add(check)
      read()
      check()
    })
  const say = (text: string | Uint8Array) => new Promise<void>((resolve) => socket.write(text, () => resolve()))
  return {
    begun: () => when(() => received.length > 0 || undefined).then(() => {}),
    request: () => when(() => requestIn(received)),
    say,
    sayHead: (text) => {
      const isRead = headRead(requestIn(received)!.path)
      return say(text).then(() => isRead)
    },
    drip(text, everyMillis) {
      // The interval keeps a connection busy, as such a server does. No outcome depends on its length.
      const timer = setInterval(() => {
        if (socket.writableLength === 0) socket.write(text)
      }, everyMillis)
      for (const event of ["end", "error", "close"]) socket.on(event, () => clearInterval(timer))
    },
    reset,
    end: () => socket.end(),
    accept
  }
}

/** Returns the request as soon as it is complete. Its body has a declared length, as every body of this client. */
const requestIn = (received: Buffer): Request | undefined => {
  const end = received.indexOf("\r\n\r\n")
  if (end < 0) return undefined
  const text = received.subarray(0, end).toString("latin1")
  const path = text.split(" ")[1]!
  const length = Number(/^content-length: *(\d+)$/im.exec(text)?.[1] ?? 0)
  const body = received.subarray(end + 4)
  if (body.length < length) return undefined
  return { path, body: /^content-encoding: *deflate$/im.test(text) ? inflateSync(body) : body }
}

const arrivedIn = (requests: ReadonlyArray<Request>): Arrived => {
  const bodies = (path: string) =>
    requests.filter((request) => request.path === `/api/v1/${path}`).map(({ body }) => JSON.parse(body.toString()))
  return {
    series: bodies("series").flatMap((body: { series: ReadonlyArray<Series> }) =>
      body.series.flatMap(({ points }) => points.map(([, value]) => value))
    ),
    distributions: bodies("distribution_points").flatMap((body: { series: ReadonlyArray<DistributionSeries> }) =>
      body.series.flatMap(({ points }) => points.map(([, values]) => values))
    ),
    events: bodies("events").map((body: { title: string }) => body.title)
  }
}
