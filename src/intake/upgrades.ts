/** Refusal of requests that want another protocol, such as WebSocket or HTTP/2 without TLS. */
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Socket } from "node:net"
import { socketOf } from "./nodeSocket.js"
import { Refusal, refusalResponse } from "./requestBody.js"

/** Refuses the upgrade of a request, and closes its connection after the answer. */
export type RefuseUpgrade = (request: HttpServerRequest.HttpServerRequest) => HttpServerResponse.HttpServerResponse

const refusal = new Refusal({
  status: 400,
  code: "Upgrade",
  reason: "This intake has no other protocol than HTTP/1.1. Send the request without the header Upgrade"
})

/**
 * Creates the refusal of upgrades. When the scope closes, it destroys the connections that clients still hold open: the server
 * does not count them among its own.
 */
export const make: Effect.Effect<RefuseUpgrade, never, Scope.Scope> = Effect.gen(function*() {
  const sockets = new Set<Socket>()
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const socket of sockets) socket.destroy()
    })
  )
  return (request) => {
    const socket = socketOf(request)
    if (socket !== undefined) {
      sockets.add(socket)
      // An error without a listener would end the process.
      socket.on("error", () => socket.destroy())
      socket.once("finish", () => socket.destroy())
      socket.once("close", () => sockets.delete(socket))
    }
    return HttpServerResponse.setHeader(refusalResponse(refusal), "connection", "close")
  }
})
