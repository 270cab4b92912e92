/** A local intake for tests: in process for most of them, on a loopback port for those about sockets. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpApp from "@effect/platform/HttpApp"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpServer from "@effect/platform/HttpServer"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { createServer } from "node:http"

/** An intake on a free loopback port. */
export const layerIntake = (options?: LocalIntake.IntakeOptions): Layer.Layer<LocalIntake.LocalIntake> =>
  LocalIntake.layer(options).pipe(
    Layer.provide(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })),
    Layer.orDie
  )

/** Answers requests in process, as the server behind it would over HTTP. */
export class Handler extends Context.Tag("test/Handler")<Handler, (request: Request) => Promise<Response>>() {}

/** An HTTP server without a socket, and the function that passes a request to it. */
const layerServer: Layer.Layer<HttpServer.HttpServer | Handler> = Layer.effectContext(Effect.sync(() => {
  let handler = (_: Request): Promise<Response> => Promise.reject(new Error("the server is not started"))
  const server = HttpServer.make({
    address: { _tag: "TcpAddress", hostname: "127.0.0.1", port: 8080 },
    serve: (app, middleware) =>
      Effect.map(Effect.runtime<never>(), (runtime) => {
        handler = HttpApp.toWebHandlerRuntime(runtime)(
          (middleware === undefined ? app : middleware(app as HttpApp.Default)) as HttpApp.Default
        )
      })
  })
  return Context.make(HttpServer.HttpServer, server).pipe(
    Context.add(Handler, (request: Request) => handler(request))
  )
}))

/** An HTTP client whose requests reach the intake in process. */
const layerClient: Layer.Layer<HttpClient.HttpClient, never, Handler> = Layer.effect(
  HttpClient.HttpClient,
  Effect.map(Handler, (handler) =>
    HttpClient.make((request, url, signal) => {
      const body = request.body._tag === "Uint8Array" ? request.body.body : null
      const headers = { ...request.headers, host: url.host }
      return Effect.tryPromise({
        try: () => handler(new Request(url, { method: request.method, headers, body, signal })),
        catch: (cause) => new HttpClientError.RequestError({ request, reason: "Transport", cause })
      }).pipe(Effect.map((response) => HttpClientResponse.fromWeb(request, response)))
    }))
)

/** An intake in process, and the HTTP client that reaches it. It needs no socket, and runs on the test's clock. */
export const layerInProcess = (
  options?: LocalIntake.IntakeOptions
): Layer.Layer<LocalIntake.LocalIntake | HttpClient.HttpClient | Handler> =>
  Layer.merge(LocalIntake.layer(options), layerClient).pipe(Layer.provideMerge(layerServer)) as never
