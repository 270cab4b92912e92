/**
 * Over `node:http` and `node:https`, with a pool of connections of its own. It is a fraction of what `fetch` has to load and to
 * evaluate, and brings nothing of `@effect/platform` into a bundle.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import type * as Http from "node:http"
import { oneTurn } from "../runtime/eventLoop.js"
import { builtin } from "../runtime/nodeBuiltin.js"
import * as alarm from "../runtime/timer.js"
import { type DeliveryFailure, timedOut } from "./httpFailure.js"
import { type HttpResponse, maxResponseBytes } from "./httpResponse.js"
import * as Transport from "./transport.js"

/** What the two modules have in common. */
interface Protocol {
  readonly Agent: new(options: Http.AgentOptions) => Http.Agent
  readonly request: (url: string, options: Http.RequestOptions) => Http.ClientRequest
}

interface Pool {
  readonly agent: Http.Agent
  readonly request: Protocol["request"]
}

/**
 * For how long a connection may lie idle and be used again, in milliseconds: longer than a flush interval, and shorter than
 * load balancers wait. One that was closed while the process was frozen would break under the request.
 */
const longestIdle = 30_000

/** The pool is closed with the scope. Its idle connections hold no process. */
export const make = (options: Transport.TransportOptions): Effect.Effect<Transport.Transport, never, Scope.Scope> =>
  Effect.suspend(() => {
    let pool: Pool | undefined
    let usedAt = 0
    let requests = 0
    const opened = (): Pool => {
      // of the two only the one that is needed is loaded
      const { Agent, request } = builtin<Protocol>(/^https:/i.test(options.apiUrl) ? "node:https" : "node:http")
      return { agent: new Agent({ keepAlive: true }), request }
    }
    const transport = Transport.make(
      (request, limit, failed) =>
        Effect.clockWith((clock) => {
          pool ??= opened()
          const now = clock.unsafeCurrentTimeMillis()
          if (now - usedAt > longestIdle) closeIdle(pool.agent)
          usedAt = now
          requests++
          return exchange(pool, request, limit, failed, clock)
        }),
      options
    )
    const warm: Transport.Transport["warm"] = (key) =>
      Effect.suspend(() => {
        const before = requests
        // What is sent at once, as by a function that starts with its first invocation, opens the connection itself.
        return Effect.zipRight(
          oneTurn,
          Effect.suspend(() => requests === before ? transport.warm(key) : Effect.void)
        )
      })
    return Effect.as(Effect.addFinalizer(() => Effect.sync(() => pool?.agent.destroy())), { ...transport, warm })
  })

const closeIdle = (agent: Http.Agent): void => {
  for (const sockets of Object.values(agent.freeSockets)) {
    for (const socket of sockets ?? []) socket.destroy()
  }
}

const exchange = (
  pool: Pool,
  request: Transport.HttpRequest,
  limit: Duration.Duration,
  failed: (error: unknown) => DeliveryFailure,
  clock: Clock.Clock
): Effect.Effect<HttpResponse, DeliveryFailure> =>
  Effect.async((resume) => {
    let outgoing: Http.ClientRequest
    try {
      outgoing = pool.request(request.url, {
        agent: pool.agent,
        method: request.method,
        headers: request.body === undefined
          ? request.headers
          : { ...request.headers, "content-length": request.body.byteLength }
      })
    } catch (error) {
      // what is wrong with an address or a header
      return resume(Effect.fail(failed(error)))
    }
    const decoder = new TextDecoder()
    let incoming: Http.IncomingMessage | undefined
    let bytes = 0
    let body = ""

    // The limit is the clock's, and holds in a region that cannot be interrupted, too.
    const late = () => end(() => timedOut(limit))
    const off = alarm.set(clock, Runtime.defaultRuntime, Duration.toMillis(limit), late, { unref: false })
    const stop = () => {
      off()
      // A connection goes back to the pool when both sides have said all they had to say.
      if (incoming?.complete !== true || !outgoing.writableFinished) outgoing.destroy()
    }
    /** Only the first end counts. An answer is one from its status on, whatever becomes of its body. */
    const end = (failure: () => DeliveryFailure) => {
      resume(
        incoming === undefined
          ? Effect.fail(failure())
          : Effect.succeed({
            status: incoming.statusCode ?? 0,
            headers: incoming.headers as HttpResponse["headers"],
            body
          })
      )
      stop()
    }
    const ended = () => end(() => failed(new Error("the connection was closed before an answer")))

    outgoing.on("error", (error) => end(() => failed(error)))
    outgoing.on("close", ended)
    outgoing.on("upgrade", (message, socket) => {
      incoming = message
      ended()
      // which is nobody's any more
      socket.destroy()
    })
    outgoing.on("response", (message) => {
      incoming = message
      message.on("data", (chunk: Uint8Array) => {
        bytes += chunk.byteLength
        body += decoder.decode(chunk, { stream: true })
        if (bytes >= maxResponseBytes) ended()
      })
      message.on("error", ended)
      message.on("end", ended)
    })
    outgoing.end(request.body)
    return Effect.sync(stop)
  })
