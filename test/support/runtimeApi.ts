/** A fake of the Lambda Runtime API, over a loopback socket, that announces each of its events. */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo, Socket } from "node:net"

/** The answer to a request for the next invocation: an invocation, or a function that writes another answer. */
export type Next = Invocation | ((response: ServerResponse, request: IncomingMessage) => void)

export interface Invocation {
  readonly id?: string
  /** The event: a string is sent unchanged, other values as JSON. Default: `{}`. */
  readonly event?: unknown
  /** Milliseconds from now until the deadline, by the test's clock. Default: 10 seconds. */
  readonly time?: number
  /** Headers that replace or extend the usual ones. `undefined` removes a header. */
  readonly headers?: Readonly<Record<string, string | undefined>>
}

/** A request other than `next` whose body has arrived in full. */
export interface Posted {
  /** The path after the version: `invocation/1/response`. */
  readonly path: string
  readonly headers: IncomingMessage["headers"]
  readonly text: string
  /** The text parsed as JSON, or undefined if it is not JSON. */
  readonly json: any
  readonly trailers: IncomingMessage["trailers"]
}

export interface Reply {
  readonly status: number
  readonly body?: string
}

export interface RuntimeApi {
  /** Value for `AWS_LAMBDA_RUNTIME_API`. */
  readonly address: string
  /** Answers the waiting or coming requests for the next invocation, in order. The default ids are `1`, `2`, … */
  readonly next: (...answers: ReadonlyArray<Next>) => Effect.Effect<void>
  /** Waits for the next post that has arrived in full. */
  readonly posted: Effect.Effect<Posted>
  /** Waits until a request for an invocation waits for its answer. */
  readonly idle: Effect.Effect<void>
  /** Waits until the condition holds. Each event of this API and each note evaluates it again. */
  readonly until: (holds: () => boolean) => Effect.Effect<void>
  /** Events in order: `next`, the paths of posts that arrived in full, `gone` for a request for the next invocation that was given up, and notes. */
  readonly log: Array<string>
  /** Appends an entry of the test to the log. */
  readonly note: (entry: string) => void
  /** The headers of all requests. */
  readonly headers: Array<IncomingMessage["headers"]>
  /** The first chunks of each body, by path. */
  readonly partial: Map<string, string>
  /** Returns the reply to a post. Default: 202. `destroy` breaks the connection. */
  reply: (path: string) => Reply | "destroy"
  /** True if the first bytes of a post's body bring about its reply. The connection stays open. */
  early: boolean
  /** True if the bodies of new posts stay unread until `resume`. */
  paused: boolean
  readonly resume: () => void
  /** Replies to the paused posts although their bodies are unread. */
  readonly replyUnread: () => void
  /** Number of connections that were opened. */
  readonly connections: () => number
  /** Number of requests for the next invocation that wait: now, and the maximum. */
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

const post = (request: IncomingMessage, path: string, body: Buffer): Posted => ({
  path,
  headers: request.headers,
  trailers: request.trailers,
  get text() {
    return body.toString("utf8")
  },
  get json() {
    return parse(this.text)
  }
})

export const make: Effect.Effect<RuntimeApi, never, Scope.Scope> = Effect.gen(function*() {
  const clock = yield* Effect.clock
  const answers: Array<Next> = []
  const waiters: Array<{ readonly request: IncomingMessage; readonly response: ServerResponse }> = []
  const watchers = new Set<() => void>()
  const posts = yield* Queue.unbounded<Posted>()
  const log: Array<string> = []
  const headers: Array<IncomingMessage["headers"]> = []
  const partial = new Map<string, string>()
  const sockets = new Set<Socket>()
  let connections = 0
  let most = 0
  let count = 0

  const announce = () => {
    for (const watch of watchers) watch()
  }
  const note = (entry: string) => {
    log.push(entry)
    announce()
  }
  const until = (holds: () => boolean): Effect.Effect<void> =>
    Effect.async<void>((resume) => {
      const watch = () => {
        if (!holds()) return
        watchers.delete(watch)
        resume(Effect.void)
      }
      watchers.add(watch)
      watch()
      return Effect.sync(() => watchers.delete(watch))
    })

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
        "Lambda-Runtime-Deadline-Ms": String(clock.unsafeCurrentTimeMillis() + (answer.time ?? 10_000)),
        "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:123456789012:function:orders",
        ...answer.headers
      }
      for (const [name, value] of Object.entries(all)) if (value !== undefined) response.setHeader(name, value)
      // Node.js writes the headers in the encoding of the body if the body is a string.
      response.end(Buffer.from(typeof event === "string" ? event : JSON.stringify(event)))
    }
    announce()
  }

  const settings = {
    reply: (_path: string): Reply | "destroy" => ({ status: 202, body: "{\"status\":\"OK\"}" }),
    early: false,
    paused: false
  }
  const unread: Array<{ readonly request: IncomingMessage; readonly answer: () => void }> = []

  const server = createServer({ requestTimeout: 0 }, (request, response) => {
    headers.push(request.headers)
    const [prefix, rest] = (request.url ?? "").split(version)
    const path = prefix === "" ? rest! : `${prefix} ${rest}`
    if (request.method === "GET" && path === "invocation/next") {
      note("next")
      const waiter = { request, response }
      waiters.push(waiter)
      most = Math.max(most, waiters.length)
      response.on("close", () => {
        const index = waiters.indexOf(waiter)
        if (index === -1) return
        waiters.splice(index, 1)
        note("gone")
      })
      return serve()
    }
    const answer = () => {
      const reply = api.reply(path)
      if (reply === "destroy") return request.socket.destroy()
      response.shouldKeepAlive = true
      return response.writeHead(reply.status, { "content-type": "application/json" }).end(reply.body)
    }
    const chunks: Array<Buffer> = []
    request.on("data", (chunk) => {
      chunks.push(chunk)
      if (chunks.length <= 10) partial.set(path, Buffer.concat(chunks).toString("utf8"))
      if (api.early && chunks.length === 1) answer()
      announce()
    })
    if (api.paused) {
      request.pause()
      unread.push({ request, answer })
    }
    request.on("error", () => note(`cut ${path}`))
    request.on("end", () => {
      note(path)
      Queue.unsafeOffer(posts, post(request, path, Buffer.concat(chunks)))
      if (!api.early) answer()
    })
    announce()
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

  const api: RuntimeApi = Object.assign(settings, {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    next: (...more: ReadonlyArray<Next>) =>
      Effect.sync(() => {
        answers.push(...more)
        serve()
      }),
    posted: Queue.take(posts),
    idle: until(() => waiters.length > 0),
    until,
    resume: () => {
      api.paused = false
      for (const { request } of unread.splice(0)) request.resume()
    },
    replyUnread: () => {
      for (const { answer } of unread) answer()
    },
    log,
    note,
    headers,
    partial,
    connections: () => connections,
    waiting: () => ({ now: waiters.length, most })
  })
  return api
})
