/**
 * Transport over `node:http` and `node:https`, with its own pool of connections. It loads and evaluates a fraction of what `fetch`
 * does, and adds nothing of `@effect/platform` to a bundle.
 */
import type * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Http from "node:http"
import { asyncWithin } from "../runtime/asyncWithin.js"
import { oneTurn } from "../runtime/eventLoop.js"
import { builtin } from "../runtime/nodeBuiltin.js"
import { type DeliveryFailure, timedOut } from "./httpFailure.js"
import { type HttpResponse, maxResponseBytes } from "./httpResponse.js"
import { makeTunnelAgent, nameProxy, proxyHeaders } from "./proxyAgent.js"
import { type ProxySettings, resolveProxy } from "./proxySettings.js"
import * as Transport from "./transport.js"

/** Common part of the two modules. */
interface Protocol {
  readonly Agent: new(options: Http.AgentOptions) => Http.Agent
  readonly request: (options: Http.RequestOptions) => Http.ClientRequest
}

/** Connections to one server, and the parts of its address. */
interface Pool {
  readonly agent: Http.Agent
  readonly request: Protocol["request"]
}

/**
 * Time for which an idle connection is used again, in milliseconds: longer than a flush interval, shorter than load balancers wait. A
 * connection that was closed while the process was frozen would break during the request.
 */
const longestIdle = 30_000

/** Makes the transport. The pool closes with the scope. Its idle connections do not keep the process alive. */
export const make = (
  options: Transport.TransportOptions
): Effect.Effect<Transport.Transport, ConfigError.ConfigError, Scope.Scope> =>
  Effect.flatMap(resolveProxy(options.apiUrl), (proxy) => {
    let pool: Pool | undefined
    let usedAt = 0
    let requests = 0
    const addresses = new Map<string, Address>()
    const transport = Transport.make(
      (request, limit, failed) =>
        Effect.clockWith((clock) => {
          pool ??= openPool(options.apiUrl, proxy)
          const now = clock.unsafeCurrentTimeMillis()
          // The time of day goes on while a process is frozen. If the clock was set back, the difference is negative.
          if (Math.abs(now - usedAt) > longestIdle) closeIdle(pool.agent)
          usedAt = now
          requests++
          const failedBy = proxy === undefined ? failed : (error: unknown) => failed(nameProxy(proxy, error))
          try {
            let address = addresses.get(request.url)
            if (address === undefined) addresses.set(request.url, address = parseAddress(request.url, proxy))
            return exchange(pool, address, request, limit, failedBy)
          } catch (error) {
            return Effect.fail(failed(error))
          }
        }),
      options
    )
    const warm: Transport.Transport["warm"] = (key) =>
      Effect.suspend(() => {
        const before = requests
        // A flush that follows at once, as in a function that starts with its first invocation, opens the connection itself.
        return Effect.zipRight(
          oneTurn,
          Effect.suspend(() => requests === before ? transport.warm(key) : Effect.void)
        )
      })
    return Effect.as(Effect.addFinalizer(() => Effect.sync(() => pool?.agent.destroy())), { ...transport, warm })
  })

/** Opens a pool. A proxy gets a tunnel to an API with TLS, and the requests themselves to any other. */
const openPool = (apiUrl: string, proxy: ProxySettings | undefined): Pool => {
  const options = { keepAlive: true }
  const isTls = /^https:/i.test(apiUrl)
  // Loads only the module that is needed.
  const { Agent, request } = builtin<Protocol>(
    isTls || proxy?.url.protocol === "https:" ? "node:https" : "node:http"
  )
  return { agent: isTls && proxy !== undefined ? makeTunnelAgent(proxy, options) : new Agent(options), request }
}

/** Address of a request, which `node:http` would parse each time, and the headers for a proxy. */
interface Address {
  readonly options: Pick<Http.RequestOptions, "auth" | "hostname" | "path" | "port" | "protocol">
  readonly headers: Readonly<Record<string, string>>
}

const hostOf = ({ hostname }: URL): string => hostname.replace(/^\[|\]$/g, "")

const parseAddress = (text: string, proxy: ProxySettings | undefined): Address => {
  const url = new URL(text)
  if (proxy === undefined || url.protocol === "https:") return { options: parseOptions(url), headers: {} }
  const { port, protocol } = proxy.url
  return {
    options: { protocol, hostname: hostOf(proxy.url), port, path: text },
    headers: { host: url.host, ...proxyHeaders(proxy) }
  }
}

const parseOptions = (url: URL): Address["options"] => {
  const { password, pathname, port, protocol, search, username } = url
  return {
    protocol,
    hostname: hostOf(url),
    port,
    path: `${pathname}${search}`,
    ...(username === "" ? undefined : { auth: `${decodeURIComponent(username)}:${decodeURIComponent(password)}` })
  }
}

const closeIdle = (agent: Http.Agent): void => {
  for (const sockets of Object.values(agent.freeSockets)) {
    for (const socket of sockets ?? []) socket.destroy()
  }
}

/** Response of which the headers are read only if they are needed. */
class NodeResponse implements HttpResponse {
  readonly body: string
  private readonly incoming: Http.IncomingMessage
  constructor(incoming: Http.IncomingMessage, body: string) {
    this.incoming = incoming
    this.body = body
  }
  get status(): number {
    return this.incoming.statusCode ?? 0
  }
  get headers(): HttpResponse["headers"] {
    return this.incoming.headers as HttpResponse["headers"]
  }
}

/**
 * Longest body that is passed to `node:http` as text, in bytes. It writes text together with the headers, and bytes after them: that is
 * a call of the system more, and a tenth of the cost of a flush.
 */
const longestText = 16_384

/** Returns a text with one character for each byte. */
const toBinaryText = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1")

const exchange = (
  pool: Pool,
  address: Address,
  request: Transport.HttpRequest,
  limit: number,
  failed: (error: unknown) => DeliveryFailure
): Effect.Effect<HttpResponse, DeliveryFailure> =>
  Effect.suspend(() => {
    let incoming: Http.IncomingMessage | undefined
    let bytes = 0
    const chunks: Array<Uint8Array> = []
    /** After the status there is a response, whatever happens to its body. */
    const respond = (failure: () => DeliveryFailure): Effect.Effect<HttpResponse, DeliveryFailure> =>
      incoming === undefined
        ? Effect.fail(failure())
        : Effect.succeed(new NodeResponse(incoming, Buffer.concat(chunks).toString()))

    return asyncWithin<HttpResponse, DeliveryFailure>(
      (resume) => {
        let outgoing: Http.ClientRequest
        try {
          outgoing = pool.request({
            ...address.options,
            agent: pool.agent,
            method: request.method,
            headers: request.body === undefined
              ? { ...request.headers, ...address.headers }
              : { ...request.headers, ...address.headers, "content-length": request.body.byteLength }
          })
        } catch (error) {
          // The protocol or a header is invalid.
          resume(Effect.fail(failed(error)))
          return
        }
        let isEnded = false
        const stop = () => {
          isEnded = true
          // A connection returns to the pool when request and response are complete.
          if (incoming?.complete !== true || !outgoing.writableFinished) outgoing.destroy()
        }
        /** Ends the exchange; only the first call counts. */
        const end = (failure: () => DeliveryFailure) => {
          if (isEnded) return
          resume(respond(failure))
          stop()
        }
        const onEnd = () => end(() => failed(new Error("the connection was closed before an answer")))

        outgoing.on("error", (error) => end(() => failed(error)))
        outgoing.on("close", onEnd)
        outgoing.on("upgrade", (message, socket) => {
          incoming = message
          onEnd()
          // Nobody uses the socket of another protocol.
          socket.destroy()
        })
        outgoing.on("response", (message) => {
          incoming = message
          message.on("data", (chunk: Uint8Array) => {
            bytes += chunk.byteLength
            chunks.push(chunk)
            if (bytes >= maxResponseBytes) onEnd()
          })
          message.on("error", onEnd)
          message.on("end", onEnd)
        })
        const { body } = request
        if (body !== undefined && body.byteLength <= longestText) outgoing.end(toBinaryText(body), "latin1")
        else outgoing.end(body)
        return stop
      },
      limit,
      () => respond(() => timedOut(limit))
    )
  })
