/** Injection of faults into requests. */
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { FaultAction, InjectedFault } from "./faults.js"
import { socketOf } from "./nodeSocket.js"

type Response = HttpServerResponse.HttpServerResponse

/** Draws the fault of a request: the first one for its path whose turn it is. */
export const drawFault = (
  faults: ReadonlyArray<InjectedFault>,
  path: string
): Effect.Effect<InjectedFault | undefined> =>
  Effect.gen(function*() {
    for (const fault of faults) {
      if (fault.path !== undefined && fault.path !== path) continue
      if (fault.rate === 1 || (yield* Random.next) < fault.rate) return fault
    }
    return undefined
  })

/** Resets the connection of a request. A server without sockets answers 503. */
const resetConnection = (
  request: HttpServerRequest.HttpServerRequest,
  closing: Deferred.Deferred<Response>
): Effect.Effect<Response> =>
  Effect.suspend(() => {
    const socket = socketOf(request)
    if (socket === undefined) return Effect.succeed(HttpServerResponse.empty({ status: 503 }))
    socket.resetAndDestroy()
    return Deferred.await(closing)
  })

/** Injects a fault into a request. `closing` answers the request when the intake closes. */
export const injectFault = <R>(
  { action, delay }: { readonly action: FaultAction; readonly delay: Duration.Duration },
  request: HttpServerRequest.HttpServerRequest,
  usual: Effect.Effect<Response, never, R>,
  closing: Deferred.Deferred<Response>
): Effect.Effect<Response, never, R> => {
  const answer = action._tag === "Usual"
    ? usual
    : action._tag === "Answer"
    ? Effect.succeed(action.response)
    : action._tag === "Hang"
    ? Deferred.await(closing)
    : resetConnection(request, closing)
  return Duration.equals(delay, Duration.zero)
    ? answer
    : Effect.flatten(Effect.raceFirst(
      Effect.as(Effect.sleep(delay), answer),
      Effect.map(Deferred.await(closing), Effect.succeed<Response>)
    ))
}
