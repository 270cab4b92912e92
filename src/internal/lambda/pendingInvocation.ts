/** An invocation that the Runtime API has handed out, until its response is sent. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { logFrom } from "../runtime/log.js"
import { fromApiError, LambdaRuntimeError, refused } from "./LambdaRuntimeError.js"
import type { ApiResponse, LambdaApi } from "./runtimeApi.js"

export interface PendingInvocation {
  readonly id: string
  /** Milliseconds since the epoch. */
  readonly deadline: number
  readonly headers: ApiResponse["headers"]
  /** The event as JSON text. */
  readonly body: string
}

const log = /*#__PURE__*/ logFrom("LambdaRuntime")

/** Waits for the next invocation. */
export const nextInvocation = (api: LambdaApi): Effect.Effect<PendingInvocation, LambdaRuntimeError> =>
  api.request({ method: "GET", path: "/2018-06-01/runtime/invocation/next" }).pipe(
    Effect.mapError(fromApiError("next")),
    Effect.flatMap((response) => {
      const { body, headers, status } = response
      const malformed = (description: string) =>
        new LambdaRuntimeError({ operation: "next", reason: "Malformed", status, description })
      if (status !== 200) return refused("next", response)
      const id = headers["lambda-runtime-aws-request-id"]
      if (id === undefined || id === "") return malformed("the invocation has no request id")
      const deadline = headers["lambda-runtime-deadline-ms"] ?? ""
      if (!/^[1-9]\d{0,15}$/.test(deadline)) return malformed(`invocation ${id} has no valid deadline`)
      return Effect.succeed({ id, deadline: Number(deadline), headers, body })
    })
  )

/**
 * Runs an invocation on a fiber of its own. The caller is uninterruptible, apart from `restore`. Its interruption does not reach
 * the invocation: the caller then waits for the end of the invocation, or for its deadline.
 */
export const runUntilDeadline = <E, R>(
  invocation: PendingInvocation,
  effect: Effect.Effect<void, E, R>,
  restore: <A2, E2, R2>(effect: Effect.Effect<A2, E2, R2>) => Effect.Effect<A2, E2, R2>
): Effect.Effect<void, E, R> =>
  Effect.gen(function*() {
    const clock = yield* Effect.clock
    const fiber = yield* Effect.forkDaemon(Effect.exit(Effect.interruptible(effect)))
    // `Fiber.join` would pass the fiber refs of one invocation on to the next.
    const ended = Effect.flatten(Fiber.await(fiber))
    const awaitUntilDeadline = Effect.suspend(() => {
      const left = Math.max(invocation.deadline - clock.unsafeCurrentTimeMillis(), 0)
      // The caller is interrupted already, so the time limit needs a fiber of its own.
      return Effect.disconnect(Effect.interruptible(Effect.timeoutOption(ended, Duration.millis(left))))
    })
    const onInterrupt = Effect.flatMap(
      awaitUntilDeadline,
      Option.match({
        onNone: () =>
          Effect.zipRight(
            log(Effect.logWarning(`Invocation ${invocation.id} did not finish before its deadline`)),
            Fiber.interruptFork(fiber)
          ),
        onSome: Exit.match({
          onFailure: (cause) =>
            log(Effect.logError(`The response of invocation ${invocation.id} could not be sent`, cause)),
          onSuccess: () => Effect.void
        })
      })
    )
    return yield* Effect.flatten(Effect.onInterrupt(restore(ended), () => onInterrupt))
  })
