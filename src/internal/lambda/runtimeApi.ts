/**
 * The HTTP endpoint inside a Lambda execution environment, which serves the Runtime API and the Extensions API.
 *
 * It uses `node:http`, because the response to a request for the next event may take hours, and `fetch` gives up after five
 * minutes. Requests have no time limit, no span and no trace headers.
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
import { variable } from "../config/environment.js"
import { builtin } from "../runtime/nodeBuiltin.js"
import { writeChunk } from "./writeChunk.js"

/**
 * A request without a complete response.
 *
 * - `Connection`: the connection failed, or broke before a response
 * - `Truncated`: the connection broke during the response
 */
export class LambdaApiError extends /*#__PURE__*/ Data.TaggedError("LambdaApiError")<{
  readonly reason: "Connection" | "Truncated"
  readonly cause: Error
}> {
  override get message(): string {
    return this.reason === "Truncated"
      ? "the connection broke during the response"
      : `there was no response (${this.cause.message})`
  }
}

/** A complete response. */
export interface ApiResponse {
  readonly status: number
  /** Names are in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
}

export interface ApiRequest {
  readonly method: "GET" | "POST"
  readonly path: string
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** JSON text. */
  readonly body?: string | undefined
}

/** A request whose body is sent in parts. Its scope aborts it if it has not ended. */
export interface Upload {
  /** Waits while the connection is full. Fails once the request has ended. */
  readonly write: (chunk: string | Uint8Array) => Effect.Effect<void, UploadEnded>
  /** Ends the body with trailers and waits for the response. */
  readonly end: (trailers: Readonly<Record<string, string>>) => Effect.Effect<ApiResponse, LambdaApiError>
}

/** The upload got its response, or lost its connection, before its body had ended. */
export class UploadEnded extends /*#__PURE__*/ Data.TaggedError("UploadEnded")<{}> {}

export interface LambdaApi {
  readonly request: (request: ApiRequest) => Effect.Effect<ApiResponse, LambdaApiError>
  readonly upload: (request: {
    readonly path: string
    readonly headers: Readonly<Record<string, string>>
    /** Names of the trailers that may follow. */
    readonly trailers: ReadonlyArray<string>
  }) => Effect.Effect<Upload, never, Scope.Scope>
}

const addressVariable = "AWS_LAMBDA_RUNTIME_API"

/** Reads the URL of the endpoint from host and port. */
export const address: Config.Config<URL> = /*#__PURE__*/ Config.mapOrFail(
  /*#__PURE__*/ variable(addressVariable),
  Option.match({
    onNone: () =>
      Either.left(
        ConfigError.MissingData([addressVariable], "AWS Lambda sets it. Run this program on Lambda or in its emulator")
      ),
    onSome: (text) =>
      Either.try({
        try: () => new URL(/^http:\/\//.test(text) ? text : `http://${text}`),
        catch: () => ConfigError.InvalidData([addressVariable], `Expected host and port but received "${text}"`)
      })
  })
)

/** Describes a response that reports an error: `type: message` if it has the API's form, else the start of its body. */
export const describe = ({ body, status }: ApiResponse): string => {
  const text = Option.match(Option.liftThrowable(JSON.parse)(body), {
    onNone: () => body.trim(),
    onSome: (error) =>
      [error?.errorType, error?.errorMessage].filter((part) => typeof part === "string").join(": ") || body
  })
  return text === "" ? `status ${status}` : `status ${status}: ${text.slice(0, 200)}`
}

/** An `import` would load a large part of `fetch` too: see {@link builtin}. */
const http = () => builtin<typeof Http>("node:http")

const asError = (cause: unknown): Error => cause instanceof Error ? cause : new Error(String(cause))

type OnResult = (result: Effect.Effect<ApiResponse, LambdaApiError>) => void

/** Passes on the result of a request. Further results may follow, and the caller ignores them. */
const observe = (outgoing: Http.ClientRequest, onResult: OnResult): void => {
  const fail = (reason: LambdaApiError["reason"]) => (cause?: unknown) =>
    onResult(Effect.fail(new LambdaApiError({ reason, cause: asError(cause ?? "the connection closed") })))
  let isResponding = false
  outgoing.on("error", fail("Connection"))
  outgoing.on("close", () => {
    if (!isResponding) fail("Connection")()
  })
  outgoing.on("response", (incoming) => {
    isResponding = true
    const chunks: Array<Uint8Array> = []
    incoming.on("data", (chunk) => chunks.push(chunk))
    incoming.on("error", fail("Truncated"))
    incoming.on("end", () => {
      onResult(Effect.succeed({
        status: incoming.statusCode ?? 0,
        headers: incoming.headers as ApiResponse["headers"],
        body: Buffer.concat(chunks).toString("utf8")
      }))
    })
  })
}

/** A request in the form of `node:http`, which can be passed to another thread. */
export interface PreparedRequest {
  readonly method: ApiRequest["method"]
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
}

export const prepare = (base: URL, { body, headers, method, path }: ApiRequest): PreparedRequest => ({
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

const start = ({ body, headers, method, url }: PreparedRequest, agent: Http.Agent | false, onResult: OnResult) => {
  const outgoing = http().request(url, { agent, method, headers })
  observe(outgoing, onResult)
  outgoing.end(body)
  return outgoing
}

/** Returns whether the other side had closed a kept connection before it was used again. */
const wasStale = (outgoing: Http.ClientRequest, { cause, reason }: LambdaApiError): boolean =>
  outgoing.reusedSocket && reason === "Connection" &&
  ["ECONNRESET", "EPIPE"].includes(String(Reflect.get(cause, "code")))

/** Sends a request over a kept connection of the agent. Opens a new one for the first request, and if the other side had closed it. */
const send = (
  prepared: PreparedRequest,
  agent: Http.Agent | false,
  options: { readonly unref: boolean }
): Effect.Effect<ApiResponse, LambdaApiError> =>
  Effect.async((resume) => {
    const outgoing = start(prepared, agent, (result) =>
      resume(
        agent === false
          ? result
          : Effect.catchIf(result, (error) => wasStale(outgoing, error), () => send(prepared, false, options))
      ))
    if (options.unref) outgoing.on("socket", (socket) => socket.unref())
    return Effect.sync(() => outgoing.destroy())
  })

/** Returns a function that sends requests over a kept connection. Neither of them keeps the process alive. */
export const makeRequestUnref = (base: URL): LambdaApi["request"] => {
  const agent = new (http().Agent)({ keepAlive: true })
  return (request) => send(prepare(base, request), agent, { unref: true })
}

export const make = (base: URL): Effect.Effect<LambdaApi, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => new (http().Agent)({ keepAlive: true })),
    (agent) => Effect.sync(() => agent.destroy())
  ).pipe(
    Effect.map((agent) => {
      const upload: LambdaApi["upload"] = ({ headers, path, trailers }) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            const response = Deferred.unsafeMake<ApiResponse, LambdaApiError>(FiberId.none)
            const { url } = prepare(base, { method: "POST", path })
            const outgoing = http().request(url, {
              agent: false,
              method: "POST",
              headers: { ...headers, "transfer-encoding": "chunked", trailer: trailers.join(", ") }
            })
            observe(outgoing, (result) => Deferred.unsafeDone(response, result))
            outgoing.flushHeaders()
            return { outgoing, response }
          }),
          ({ outgoing }) => Effect.sync(() => outgoing.destroy())
        ).pipe(Effect.map(({ outgoing, response }) => {
          const ended = Effect.zipRight(Effect.exit(Deferred.await(response)), new UploadEnded())
          return {
            write: (chunk) => writeChunk(outgoing, chunk, ended),
            end: (values) =>
              Effect.suspend(() => {
                outgoing.addTrailers(values)
                outgoing.end()
                return Deferred.await(response)
              })
          }
        }))

      return { request: (request) => send(prepare(base, request), agent, { unref: false }), upload }
    })
  )
