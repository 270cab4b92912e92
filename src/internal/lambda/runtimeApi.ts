/**
 * The HTTP endpoint inside a Lambda execution environment, which serves the Runtime API and the Extensions API.
 *
 * Over `node:http`, because a request for the next event is answered when there is one, be it after hours: `fetch` gives
 * up after five minutes. Nothing here has a time limit, makes spans or adds trace headers.
 */
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Http from "node:http"
import { builtin } from "../runtime/nodeBuiltin.js"

/**
 * - `Connection`: none, or one that broke before an answer
 * - `Truncated`: an answer that broke off
 */
export class LambdaApiError extends /*#__PURE__*/ Data.TaggedError("LambdaApiError")<{
  readonly reason: "Connection" | "Truncated"
  readonly cause: Error
}> {
  override get message(): string {
    return this.reason === "Truncated" ? "the answer broke off" : `no answer: ${this.cause.message}`
  }
}

export interface Answer {
  readonly status: number
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
}

export interface Request {
  readonly method: "GET" | "POST"
  readonly path: string
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** JSON. */
  readonly body?: string | undefined
}

/** A request whose body is under way. It is given up when its scope closes before it has ended. */
export interface Upload {
  /** Waits while the connection is full. Fails once the request is over. */
  readonly write: (chunk: string | Uint8Array) => Effect.Effect<void, UploadOver>
  /** What became of it, the end of its body included. */
  readonly end: (trailers: Readonly<Record<string, string>>) => Effect.Effect<Answer, LambdaApiError>
}

/** It was answered, or the connection broke, before its body had ended. */
export class UploadOver extends /*#__PURE__*/ Data.TaggedError("UploadOver")<{}> {}

export interface LambdaApi {
  readonly request: (request: Request) => Effect.Effect<Answer, LambdaApiError>
  readonly upload: (request: {
    readonly path: string
    readonly headers: Readonly<Record<string, string>>
    /** The trailers that may come. */
    readonly trailers: ReadonlyArray<string>
  }) => Effect.Effect<Upload, never, Scope.Scope>
}

const variable = "AWS_LAMBDA_RUNTIME_API"

/** Where the endpoint is: host and port. */
export const address: Config.Config<URL> = Config.nonEmptyString(variable).pipe(
  Config.mapOrFail((text) =>
    Either.try({
      try: () => new URL(/^http:\/\//.test(text) ? text : `http://${text}`),
      catch: () => ConfigError.InvalidData([variable], `Expected host and port but received "${text}"`)
    })
  )
)

/** What an answer that reports an error says: `type: message` where it is in the API's form, else how it begins. */
export const describe = ({ body, status }: Answer): string => {
  const said = Option.match(Option.liftThrowable(JSON.parse)(body), {
    onNone: () => body.trim(),
    onSome: (error) =>
      [error?.errorType, error?.errorMessage].filter((part) => typeof part === "string").join(": ") || body
  })
  return said === "" ? `status ${status}` : `status ${status}: ${said.slice(0, 200)}`
}

/** An `import` would load half of `fetch` with it: see {@link builtin}. */
const http = () => builtin<typeof Http>("node:http")

const asError = (cause: unknown): Error => cause instanceof Error ? cause : new Error(String(cause))

type Settle = (result: Effect.Effect<Answer, LambdaApiError>) => void

/** Settles once or more; only the first counts. */
const observe = (outgoing: Http.ClientRequest, settle: Settle): void => {
  const fail = (reason: LambdaApiError["reason"]) => (cause?: unknown) =>
    settle(Effect.fail(new LambdaApiError({ reason, cause: asError(cause ?? "the connection was closed") })))
  let answering = false
  outgoing.on("error", fail("Connection"))
  outgoing.on("close", () => {
    if (!answering) fail("Connection")()
  })
  outgoing.on("response", (incoming) => {
    answering = true
    const chunks: Array<Uint8Array> = []
    incoming.on("data", (chunk) => chunks.push(chunk))
    incoming.on("error", fail("Truncated"))
    incoming.on("end", () => {
      settle(Effect.succeed({
        status: incoming.statusCode ?? 0,
        headers: incoming.headers as Answer["headers"],
        body: Buffer.concat(chunks).toString("utf8")
      }))
    })
  })
}

/** A request as `node:http` takes it, and as it can be handed to another thread. */
export interface Prepared {
  readonly method: Request["method"]
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
}

export const prepare = (base: URL, { body, headers, method, path }: Request): Prepared => ({
  method,
  url: new URL(`${base.pathname.replace(/\/$/, "")}${path}`, base).href,
  headers: {
    ...body === undefined
      ? undefined
      : { "content-type": "application/json", "content-length": String(Buffer.byteLength(body)) },
    ...headers
  },
  body
})

const start = ({ body, headers, method, url }: Prepared, agent: Http.Agent | false, settle: Settle) => {
  const outgoing = http().request(url, { agent, method, headers })
  observe(outgoing, settle)
  outgoing.end(body)
  return outgoing
}

/** Over a connection of its own, which keeps no process alive. */
export const requestUnref = (base: URL, request: Request): Effect.Effect<Answer, LambdaApiError> =>
  Effect.async((resume) => {
    const outgoing = start(prepare(base, request), false, resume)
    outgoing.on("socket", (socket) => socket.unref())
    return Effect.sync(() => outgoing.destroy())
  })

/** A connection that was kept open, and that the other side had closed by the time it was used again. */
const wasStale = (outgoing: Http.ClientRequest, { cause, reason }: LambdaApiError): boolean =>
  outgoing.reusedSocket && reason === "Connection" &&
  ["ECONNRESET", "EPIPE"].includes(String(Reflect.get(cause, "code")))

export const make = (base: URL): Effect.Effect<LambdaApi, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => new (http().Agent)({ keepAlive: true })),
    (agent) => Effect.sync(() => agent.destroy())
  ).pipe(
    Effect.map((agent) => {
      const send = (request: Request, agent: Http.Agent | false): Effect.Effect<Answer, LambdaApiError> =>
        Effect.async((resume) => {
          const outgoing = start(prepare(base, request), agent, (result) =>
            resume(
              agent === false
                ? result
                : Effect.catchIf(result, (error) => wasStale(outgoing, error), () => send(request, false))
            ))
          return Effect.sync(() => outgoing.destroy())
        })

      const upload: LambdaApi["upload"] = ({ headers, path, trailers }) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            const answer = Deferred.unsafeMake<Answer, LambdaApiError>(FiberId.none)
            const { url } = prepare(base, { method: "POST", path })
            const outgoing = http().request(url, {
              agent: false,
              method: "POST",
              headers: { ...headers, "transfer-encoding": "chunked", trailer: trailers.join(", ") }
            })
            observe(outgoing, (result) => Deferred.unsafeDone(answer, result))
            outgoing.flushHeaders()
            return { answer, outgoing }
          }),
          ({ outgoing }) => Effect.sync(() => outgoing.destroy())
        ).pipe(Effect.map(({ answer, outgoing }) => {
          const over = Effect.zipRight(Effect.exit(Deferred.await(answer)), new UploadOver())
          const drained = Effect.async<void>((resume) => {
            const onDrain = () => resume(Effect.void)
            outgoing.once("drain", onDrain)
            return Effect.sync(() => outgoing.off("drain", onDrain))
          })
          return {
            write: (chunk) =>
              Effect.suspend(() => outgoing.write(chunk) ? Effect.void : Effect.raceFirst(drained, over)),
            end: (values) =>
              Effect.suspend(() => {
                outgoing.addTrailers(values)
                outgoing.end()
                return Deferred.await(answer)
              })
          }
        }))

      return { request: (request) => send(request, agent), upload }
    })
  )
