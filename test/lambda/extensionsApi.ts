/** A fake of Lambda's Extensions API: in process, or on a loopback port. */
import type * as LambdaExtension from "effect-threadstats/LambdaExtension"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { EventEmitter } from "node:events"
import http, { type IncomingHttpHeaders, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { vi } from "vitest"

/** An answer to a request. The other two break the connection, before the answer or in the middle of its body. */
export type Answer =
  | { readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly body: string }
  | "broken connection"
  | "truncated body"

export interface ApiRequest {
  readonly method: string
  /** The path without the prefix of the Extensions API: `register` or `event/next`. */
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface ExtensionsApi {
  /** The value of `AWS_LAMBDA_RUNTIME_API`. */
  readonly address: string
  readonly requests: Array<ApiRequest>
  /** Number of connections so far. In process it stays zero. */
  readonly connections: () => number
  /** Answers registrations. Without an answer the request stays open. */
  register: () => Answer | undefined
  /** Waits for an open request for the next event. */
  readonly nextRequested: Effect.Effect<void>
  /** Waits for an open request for the next event, and answers it. */
  readonly answerNext: (answer: Answer) => Effect.Effect<void>
  /** Waits for an open request for the next event, and answers it with an invocation. */
  readonly invoke: (requestId: string, deadlineMs?: number) => Effect.Effect<void>
  /** Number of requests for the next event so far. */
  readonly nextCount: () => number
}

export const json = (status: number, body: unknown, headers: Record<string, string> = {}): Answer => ({
  status,
  headers,
  body: JSON.stringify(body)
})

const prefix = "/2020-01-01/extension/"

/** The API without a transport. `receive` passes a request to it, and returns the function that gives the request up. */
const makeApi = (address: string, connections: () => number = () => 0) => {
  const requests: Array<ApiRequest> = []
  const openRequests: Array<(answer: Answer) => void> = []
  const waiters: Array<() => void> = []
  let nextCount = 0
  const nextRequested = Effect.async<void>((resume) => {
    if (openRequests.length > 0) return resume(Effect.void)
    waiters.push(() => resume(Effect.void))
  })
  const answerNext = (answer: Answer) => Effect.map(nextRequested, () => openRequests.shift()!(answer))
  const api: ExtensionsApi = {
    address,
    requests,
    connections,
    register: () => json(200, {}, { "lambda-extension-identifier": "id-1" }),
    nextRequested,
    answerNext,
    invoke: (requestId, deadlineMs = 60_000) => answerNext(json(200, { eventType: "INVOKE", requestId, deadlineMs })),
    nextCount: () => nextCount
  }
  const receive = (request: ApiRequest, respond: (answer: Answer) => void): () => void => {
    requests.push(request)
    if (request.path === "register") {
      const answer = api.register()
      if (answer !== undefined) respond(answer)
      return () => {}
    }
    nextCount++
    openRequests.push(respond)
    for (const resume of waiters.splice(0)) resume()
    return () => {
      const index = openRequests.indexOf(respond)
      if (index !== -1) openRequests.splice(index, 1)
    }
  }
  return { api, receive }
}

/** Passes a body to the API, and returns the function that gives the request up. */
type Send = (body: string, respond: (answer: Answer) => void) => () => void

/** A request of `node:http`, as far as clients of the API use one. It reaches the API without a socket. */
class FakeClientRequest extends EventEmitter {
  readonly reusedSocket = false
  private isOver = false
  private giveUp = () => {}
  private readonly send: Send

  constructor(send: Send) {
    super()
    this.send = send
  }

  end(body = ""): void {
    queueMicrotask(() => {
      if (this.isOver) return
      this.emit("socket", { unref: () => {} })
      this.giveUp = this.send(body, (answer) => this.respond(answer))
    })
  }

  destroy(): void {
    if (this.isOver) return
    this.isOver = true
    this.giveUp()
    this.emit("close")
  }

  private respond(answer: Answer): void {
    if (this.isOver) return
    this.isOver = true
    if (answer === "broken connection") {
      this.emit("error", Object.assign(new Error("socket hang up"), { code: "ECONNRESET" }))
    } else {
      const isTruncated = answer === "truncated body"
      const { body, headers, status } = isTruncated ? { status: 200, headers: {}, body: "{" } : answer
      const incoming = Object.assign(new EventEmitter(), { statusCode: status, headers })
      this.emit("response", incoming)
      incoming.emit("data", Buffer.from(body))
      if (isTruncated) incoming.emit("error", new Error("aborted"))
      else incoming.emit("end")
    }
    this.emit("close")
  }
}

/** An API that requests of this process reach without a socket, as long as the scope is open. */
export const makeInProcess: Effect.Effect<ExtensionsApi, never, Scope.Scope> = Effect.gen(function*() {
  const { api, receive } = makeApi("runtime.test")
  const request = (url: string, { headers, method }: { method: string; headers: Record<string, string> }) =>
    new FakeClientRequest((body, respond) => {
      const { host, pathname } = new URL(url)
      if (host !== api.address) throw new Error(`a request to another host: ${host}`)
      const lowerCase = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
      return receive({ method, path: pathname.replace(prefix, ""), headers: lowerCase, body }, respond)
    })
  yield* Effect.acquireRelease(
    Effect.sync(() => vi.spyOn(http, "request").mockImplementation(request as never)),
    (spy) => Effect.sync(() => spy.mockRestore())
  )
  return api
})

const respondOver = (response: ServerResponse) => (answer: Answer): void => {
  if (answer === "broken connection") response.destroy()
  else if (answer === "truncated body") {
    response.writeHead(200, { "content-length": "10" })
    response.write("{", () => response.destroy())
  } else response.writeHead(answer.status, answer.headers).end(answer.body)
}

/** An API on a loopback port. */
export const makeServer: Effect.Effect<ExtensionsApi, never, Scope.Scope> = Effect.gen(function*() {
  let receive: ReturnType<typeof makeApi>["receive"] | undefined
  const server = http.createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const giveUp = receive!({
        method: request.method!,
        path: request.url!.replace(prefix, ""),
        headers: request.headers,
        body: Buffer.concat(chunks).toString("utf8")
      }, respondOver(response))
      response.on("close", giveUp)
    })
  })
  yield* Effect.acquireRelease(
    Effect.async<void>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.async<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )
  let connections = 0
  server.on("connection", () => connections++)
  const served = makeApi(`127.0.0.1:${(server.address() as AddressInfo).port}`, () => connections)
  receive = served.receive
  return served.api
})

/** Answers to a registration that fail it: condition, reason and status of the error, answer. */
export const failedRegistrations: ReadonlyArray<
  readonly [
    condition: string,
    reason: LambdaExtension.LambdaExtensionError["reason"],
    status: number | undefined,
    answer: Answer
  ]
> = [
  ["Lambda refuses the registration", "Refused", 403, json(403, { errorType: "Extension.RegistrationClosed" })],
  ["the registration has no identifier", "Malformed", undefined, json(200, {})],
  ["the connection breaks before the answer", "Connection", undefined, "broken connection"],
  ["the answer breaks off", "Truncated", undefined, "truncated body"]
]
