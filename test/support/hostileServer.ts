/**
 * A TCP server that does to its client what networks and broken servers do, one named behaviour at a time.
 */
import type { DistributionSeries, Series } from "effect-threadstats/Series"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type AddressInfo, createServer, type Socket } from "node:net"
import { createSecureContext, TLSSocket } from "node:tls"
import { inflateSync } from "node:zlib"
import { type Certificate, selfSigned } from "./certificate.js"

/** What a behaviour has to work with. What it awaits may never come; then it is done. */
export interface Connection {
  /** The first bytes of the request are there. Before this is called, nothing is read. */
  readonly begun: () => Promise<void>
  /** The whole of the request is there. */
  readonly request: () => Promise<Request>
  /** Writes, and waits until the client has had a moment to read it. */
  readonly say: (text: string | Uint8Array) => Promise<void>
  /** Says the same again and again, for as long as the client is there. */
  readonly drip: (text: string | Uint8Array, everyMillis: number) => void
  /** RST. */
  readonly reset: () => void
  /** FIN; what the client still sends is read. */
  readonly end: () => void
  /** Takes what was sent for delivered. */
  readonly accept: (request: Request) => void
}

export interface Request {
  readonly path: string
  readonly body: Buffer
}

export interface Behaviour {
  /** What the client thinks it talks to. Default: what the server speaks. */
  readonly scheme?: "http" | "https"
  /** What the server speaks. Default: plain. */
  readonly speaks?: "plain" | "tls"
  readonly serve: (connection: Connection) => void | Promise<void>
}

const head = (status: string, ...lines: ReadonlyArray<string>) => [`HTTP/1.1 ${status}`, ...lines, "", ""].join("\r\n")

/** Reads the request, takes it for delivered, and answers with this; what comes after the status line is the behaviour. */
const accepting =
  (after: (connection: Connection) => void | Promise<void>): Behaviour["serve"] => async (connection) => {
    connection.accept(await connection.request())
    await after(connection)
  }

const withBehaviours = <K extends string>(record: { readonly [Name in K]: Behaviour }): {
  readonly [Name in K]: Behaviour
} => record

export const good: Behaviour = {
  serve: accepting(async ({ end, say }) => {
    await say(head("202 Accepted", "content-length: 2", "connection: close") + "{}")
    end()
  })
}

export const behaviours = withBehaviours({
  "reads nothing": {
    serve: () => {}
  },
  "reads the request and says nothing": {
    serve: async ({ request }) => {
      await request()
    }
  },
  "goes on with 100 Continue, and no further": {
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
    serve: async ({ request, say }) => {
      await request()
      await say(head("503 Service Unavailable", "content-length: 100") + "try ")
    }
  },
  "stops within the body of an acceptance": {
    serve: accepting(({ say }) => say(head("202 Accepted", "content-length: 100") + "{"))
  },
  "drips headers": {
    serve: async ({ drip, request, say }) => {
      await request()
      await say("HTTP/1.1 202 Accepted\r\nx: ")
      drip("x", 5)
    }
  },
  "drips the body of an acceptance": {
    serve: accepting(async ({ drip, say }) => {
      await say(head("202 Accepted", "content-length: 1000000"))
      drip(" ", 5)
    })
  },
  "sends a header without end": {
    serve: async ({ drip, request, say }) => {
      await request()
      await say("HTTP/1.1 202 Accepted\r\nx: ")
      drip("x".repeat(16_384), 1)
    }
  },
  "sends a body without end": {
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
    serve: async ({ request, reset, say }) => {
      await request()
      await say(head("503 Service Unavailable", "content-length: 100") + "try ")
      reset()
    }
  },
  "resets within the body of an acceptance": {
    serve: accepting(async ({ reset, say }) => {
      await say(head("202 Accepted", "content-length: 100") + "{")
      reset()
    })
  },
  "ends before an answer": {
    serve: async ({ end, request }) => {
      await request()
      end()
    }
  },
  "ends within the headers": {
    serve: async ({ end, request, say }) => {
      await request()
      await say("HTTP/1.1 202 Accepted\r\ncontent-le")
      end()
    }
  },
  "ends before the body is as long as it said": {
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
  "sends a chunk whose length is none": {
    serve: accepting(({ say }) => say(head("202 Accepted", "transfer-encoding: chunked") + "zz\r\n{}\r\n"))
  },
  "sends a body that is not packed as it said": {
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
  "has a certificate that nobody knows": {
    speaks: "tls",
    serve: good.serve
  },
  "never ends the TLS handshake": {
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
  "speaks plain HTTP where TLS is expected": {
    scheme: "https",
    serve: async ({ begun, end, say }) => {
      await begun()
      await say(head("400 Bad Request", "content-length: 0", "connection: close"))
      end()
    }
  },
  "speaks TLS where plain HTTP is expected": {
    scheme: "http",
    speaks: "tls",
    serve: good.serve
  }
})

export type Name = keyof typeof behaviours

/** What was taken for delivered, in order. */
export interface Arrived {
  readonly series: ReadonlyArray<number>
  readonly distributions: ReadonlyArray<ReadonlyArray<number>>
  readonly events: ReadonlyArray<string>
}

export interface HostileServer {
  readonly url: string
  /** How connections are served from now on. */
  readonly behave: (behaviour: Behaviour) => Effect.Effect<void>
  readonly arrived: Effect.Effect<Arrived>
  /** How many connections there have been. */
  readonly connections: Effect.Effect<number>
  /** How many bytes of requests were read, after decryption. */
  readonly bytesRead: Effect.Effect<number>
  /**
   * How many connections that a request was begun on its client still holds. (The pool behind `fetch` opens a spare one for
   * every one that it gives up.)
   */
  readonly held: Effect.Effect<number>
}

/** A server on a free loopback port. Whatever is left of it ends with the scope. */
export const make = (
  initial: Behaviour,
  certificate: Certificate = selfSigned()
): Effect.Effect<HostileServer, never, Scope.Scope> =>
  Effect.gen(function*() {
    let behaviour = initial
    let connections = 0
    let bytesRead = 0
    const scheme = initial.scheme ?? (initial.speaks === "tls" ? "https" : "http")
    const secureContext = initial.speaks === "tls" ? createSecureContext(certificate) : undefined
    /** Those whose client is still there, and those that are not closed on this side. */
    const open = new Set<Socket>()
    const all = new Set<Socket>()
    const requests: Array<Request> = []

    const connected = (raw: Socket) => {
      connections++
      all.add(raw)
      raw.on("close", () => all.delete(raw))
      const socket = behaviour.speaks === "tls" && secureContext !== undefined
        ? new TLSSocket(raw, { isServer: true, secureContext })
        : raw
      open.add(socket)
      for (const event of ["end", "error", "close"]) socket.on(event, () => open.delete(socket))
      raw.on("error", () => open.delete(socket))
      void behaviour.serve(connectionOf(socket, raw, (bytes) => bytesRead += bytes, requests))
    }

    const server = createServer({ allowHalfOpen: true, noDelay: true }, connected)
    yield* Effect.acquireRelease(
      Effect.async<void>((resume) => {
        server.listen(0, "127.0.0.1", () => resume(Effect.void))
      }),
      () =>
        Effect.async<void>((resume) => {
          for (const socket of all) socket.destroy()
          server.close(() => resume(Effect.void))
        })
    )

    return {
      url: `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`,
      behave: (next) =>
        Effect.sync(() => {
          behaviour = next
        }),
      arrived: Effect.sync(() => arrivedIn(requests)),
      connections: Effect.sync(() => connections),
      bytesRead: Effect.sync(() => bytesRead),
      held: Effect.sync(() => {
        // what is not read tells neither that there is a request nor that the client is gone
        for (const socket of open) socket.resume()
        return Array.from(open).filter((socket) => socket.bytesRead > 0).length
      })
    }
  })

const connectionOf = (
  socket: Socket,
  raw: Socket,
  onRead: (bytes: number) => void,
  requests: Array<Request>
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
      for (const look of waiting) look()
    })
  }
  const when = <A>(look: () => A | undefined): Promise<A> =>
    new Promise((resolve) => {
      const again = () => {
        const found = look()
        if (found === undefined) return
        waiting.delete(again)
        resolve(found)
      }
      waiting.add(again)
      read()
      again()
    })
  return {
    begun: () => when(() => received.length > 0 || undefined).then(() => {}),
    request: () => when(() => requestIn(received)),
    say: (text) => new Promise((resolve) => socket.write(text, () => setTimeout(resolve, 10))),
    drip(text, everyMillis) {
      const timer = setInterval(() => {
        if (socket.writableLength === 0) socket.write(text)
      }, everyMillis)
      for (const event of ["end", "error", "close"]) socket.on(event, () => clearInterval(timer))
    },
    reset: () => raw.resetAndDestroy(),
    end: () => socket.end(),
    accept: (request) => requests.push(request)
  }
}

/** The request, once it is whole. Its body has a length, as every body of this client's. */
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
