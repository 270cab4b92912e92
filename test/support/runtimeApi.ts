import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo, Socket } from "node:net"

/** What `invocation/next` is answered with: an invocation, or anything else. */
export type Next = Invocation | ((response: ServerResponse, request: IncomingMessage) => void)

export interface Invocation {
  readonly id?: string
  /** As it is when it is a text, else as JSON. Default: `{}`. */
  readonly event?: unknown
  /** Milliseconds from now. Default: 10 seconds. */
  readonly time?: number
  /** Instead of, or beside, those above. `undefined` leaves one out. */
  readonly headers?: Readonly<Record<string, string | undefined>>
}

/** A request to the API other than `next`. */
export interface Posted {
  /** Behind the version: `invocation/1/response`. */
  readonly path: string
  readonly headers: IncomingMessage["headers"]
  /** As text, and as JSON if it is. */
  readonly text: string
  readonly json: any
  readonly trailers: IncomingMessage["trailers"]
}

export interface Reply {
  readonly status: number
  readonly body?: string
}

/** A stand-in for the Runtime API of one execution environment, on the loopback interface. */
export interface RuntimeApi {
  /** For `AWS_LAMBDA_RUNTIME_API`. */
  readonly address: string
  /** Answers a request for the next invocation, the one that waits or the one to come. Ids are `1`, `2`, … unless given. */
  readonly next: (...answers: ReadonlyArray<Next>) => Effect.Effect<void>
  /** Waits for the next post that has arrived in full. */
  readonly posted: Effect.Effect<Posted>
  /** Waits until a request for an invocation is open with nothing to answer it. */
  readonly idle: Effect.Effect<void>
  /** What happened, in order: `next`, the paths of posts that arrived in full, and `gone` when a request for the next was given up. */
  readonly log: Array<string>
  /** The headers of all requests. */
  readonly headers: Array<IncomingMessage["headers"]>
  /** The first chunks of a body that is under way, by path. */
  readonly partial: Map<string, string>
  /** How posts are answered. Default: 202. `destroy` breaks the connection. */
  reply: (path: string) => Reply | "destroy"
  /** Whether an upload is answered before its end, with the connection left open: with its first bytes, or at once when paused. */
  early: boolean
  /** Whether bodies are left unread, until `resume`. */
  paused: boolean
  readonly resume: () => void
  /** Connections that were opened. */
  readonly connections: () => number
  /** Requests for the next invocation that wait, now and at most. */
  readonly waiting: () => { readonly now: number; readonly most: number }
}

const version = "/2018-06-01/runtime/"

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export const make: Effect.Effect<RuntimeApi, never, Scope.Scope> = Effect.gen(function*() {
  const answers: Array<Next> = []
  const waiters: Array<{ readonly request: IncomingMessage; readonly response: ServerResponse }> = []
  const onIdle: Array<() => void> = []
  const posts = yield* Queue.unbounded<Posted>()
  const log: Array<string> = []
  const headers: Array<IncomingMessage["headers"]> = []
  const partial = new Map<string, string>()
  const sockets = new Set<Socket>()
  let connections = 0
  let most = 0
  let count = 0

  const serve = () => {
    while (answers.length > 0 && waiters.length > 0) {
      const answer = answers.shift()!
      const { request, response } = waiters.shift()!
      if (typeof answer === "function") {
        answer(response, request)
        continue
      }
      const event = answer.event ?? {}
      const all = {
        "Lambda-Runtime-Aws-Request-Id": answer.id ?? String(++count),
        "Lambda-Runtime-Deadline-Ms": String(Date.now() + (answer.time ?? 10_000)),
        "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:123456789012:function:orders",
        ...answer.headers
      }
      for (const [name, value] of Object.entries(all)) if (value !== undefined) response.setHeader(name, value)
      // Before a text, Node would write the headers in its encoding.
      response.end(Buffer.from(typeof event === "string" ? event : JSON.stringify(event)))
    }
    if (waiters.length > 0) { for (const resume of onIdle.splice(0)) resume() }
  }

  const api = {
    reply: (_path: string): Reply | "destroy" => ({ status: 202, body: "{\"status\":\"OK\"}" }),
    early: false,
    paused: false
  }
  const onResume: Array<() => void> = []

  const server = createServer({ requestTimeout: 0 }, (request, response) => {
    headers.push(request.headers)
    const [prefix, rest] = (request.url ?? "").split(version)
    const path = prefix === "" ? rest! : `${prefix} ${rest}`
    if (request.method === "GET" && path === "invocation/next") {
      log.push("next")
      const waiter = { request, response }
      waiters.push(waiter)
      most = Math.max(most, waiters.length)
      response.on("close", () => {
        const at = waiters.indexOf(waiter)
        if (at === -1) return
        waiters.splice(at, 1)
        log.push("gone")
      })
      return serve()
    }
    const answer = () => {
      const reply = self.reply(path)
      if (reply === "destroy") return request.socket.destroy()
      response.shouldKeepAlive = true
      return response.writeHead(reply.status, { "content-type": "application/json" }).end(reply.body)
    }
    const chunks: Array<Buffer> = []
    request.on("data", (chunk) => {
      chunks.push(chunk)
      if (chunks.length <= 10) partial.set(path, Buffer.concat(chunks).toString("utf8"))
      if (self.early && chunks.length === 1) answer()
    })
    if (self.paused) {
      request.pause()
      onResume.push(() => request.resume())
      if (self.early) setTimeout(answer, 20)
    }
    request.on("error", () => log.push(`cut ${path}`))
    request.on("end", () => {
      const text = Buffer.concat(chunks).toString("utf8")
      log.push(path)
      Queue.unsafeOffer(posts, { path, headers: request.headers, text, json: parse(text), trailers: request.trailers })
      if (!self.early) answer()
    })
  })
  server.on("connection", (socket) => {
    connections++
    sockets.add(socket)
    socket.on("close", () => sockets.delete(socket))
  })

  yield* Effect.acquireRelease(
    Effect.async<void>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.async<void>((resume) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resume(Effect.void))
      })
  )

  const self: RuntimeApi = Object.assign(api, {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    next: (...more: ReadonlyArray<Next>) =>
      Effect.sync(() => {
        answers.push(...more)
        serve()
      }),
    posted: Queue.take(posts),
    idle: Effect.async<void>((resume) => {
      if (waiters.length > 0) return resume(Effect.void)
      onIdle.push(() => resume(Effect.void))
    }),
    resume: () => {
      self.paused = false
      for (const resume of onResume.splice(0)) resume()
    },
    log,
    headers,
    partial,
    connections: () => connections,
    waiting: () => ({ now: waiters.length, most })
  })
  return self
})
