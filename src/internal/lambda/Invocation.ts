/** One event of a Lambda function, from the start of its program to its last flush. */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { type FlushOptions, ThreadStats } from "../../ThreadStats.js"
import * as unrefClock from "../runtime/unrefClock.js"
import { LambdaContext, remainingMillis } from "./LambdaContext.js"
import { LambdaExtension } from "./LambdaExtension.js"

export interface Invocation {
  readonly client: ThreadStats["Type"]
  /** The invocation around this one, for the same client or another. */
  readonly parent: Invocation | undefined
  isOpen: boolean
}

export const Invocation = /*#__PURE__*/ Context.GenericTag<Invocation>("effect-threadstats/Lambda/Invocation")

/** The options of a program, decoded. Durations are in milliseconds. */
export interface InvocationSettings {
  /** The client's own interval if undefined. */
  readonly flushInterval: number | undefined
  readonly deadlineMargin: number
  readonly afterResponse: boolean
}

/** An opened invocation and the effects that flush it. */
export interface OpenedInvocation {
  readonly invocation: Invocation
  /** Flushes until the scope closes: closed buckets on the interval, and everything once, shortly before the deadline. */
  readonly flushWhileOpen: Effect.Effect<void, never, Scope.Scope>
  /** Closes the invocation and flushes everything. */
  readonly close: Effect.Effect<void>
}

/** Opens an invocation of the client. Inside an open invocation of the same client it leaves every flush to that one. */
export const open = (
  settings: InvocationSettings
): Effect.Effect<OpenedInvocation, never, ThreadStats> =>
  Effect.contextWith((services: Context.Context<ThreadStats>) => {
    const client = Context.get(services, ThreadStats)
    const context = Option.getOrUndefined(Context.getOption(services, LambdaContext))
    const parent = nearestOpen(Option.getOrUndefined(Context.getOption(services, Invocation)))
    const owner = findFlushOwner(parent, client)
    const invocation: Invocation = { client, parent, isOpen: true }
    const flushes = makeFlushes(client, context, settings)
    const close = Effect.suspend(() => {
      invocation.isOpen = false
      return owner?.isOpen === true ? Effect.void : flushes.last
    })
    return { invocation, flushWhileOpen: owner === undefined ? flushes.whileOpen : Effect.void, close }
  })

/** Skips the ended invocations in front: a chain of fibers, each started by an earlier one, must not retain them all. */
const nearestOpen = (self: Invocation | undefined): Invocation | undefined =>
  self === undefined || self.isOpen ? self : nearestOpen(self.parent)

/** Returns the open invocation around that flushes the client at its end. */
const findFlushOwner = (self: Invocation | undefined, client: ThreadStats["Type"]): Invocation | undefined =>
  self === undefined || (self.isOpen && self.client === client) ? self : findFlushOwner(self.parent, client)

/** Time that a flush leaves for the response to reach Lambda, in milliseconds. */
const responseMarginMillis = 100

const makeFlushes = (
  client: ThreadStats["Type"],
  context: LambdaContext | undefined,
  { afterResponse, deadlineMargin, flushInterval }: InvocationSettings
) => {
  /** The outcome of the program is its own, also if the client's flush dies. */
  const flush = (options: () => FlushOptions): Effect.Effect<void> =>
    Effect.catchAllCause(Effect.suspend(() => client.flush(options())), () => Effect.void)

  const flushEverything = flush(() => {
    const left = remainingMillis(context)
    return { timeout: Math.max(left - responseMarginMillis, left / 2) }
  })

  const whileOpen = Effect.clockWith((clock) => {
    /** Flushes on a fiber of its own, because a flush that is cut short would be sent twice. */
    const toItsEnd = (self: Effect.Effect<void>) =>
      Effect.flatMap(Effect.forkDaemon(Effect.withClock(self, clock)), Fiber.await)

    const interval = flushInterval ?? Duration.toMillis(client.config.flushInterval)
    const left = remainingMillis(context)
    const margin = Math.min(deadlineMargin, left / 2)
    const flushClosedBuckets = flush(() => ({
      upTo: clock.unsafeCurrentTimeMillis(),
      timeout: Math.max(remainingMillis(context) - margin, 1)
    }))
    // `Effect.schedule` waits before the first flush, and `Schedule.spaced` does not catch up after a freeze.
    const onInterval = Effect.schedule(toItsEnd(flushClosedBuckets), Schedule.spaced(interval))
    const beforeDeadline = Effect.delay(toItsEnd(flushEverything), left - margin)
    return Effect.all([
      interval > 0 && interval < Infinity ? onInterval : Effect.void,
      left < Infinity ? beforeDeadline : Effect.void
    ], { concurrency: "unbounded", discard: true }).pipe(Effect.withClock(unrefClock.make(clock)))
  })

  const last = afterResponse && context !== undefined
    ? Effect.flatMap(
      Effect.serviceOption(LambdaExtension),
      Option.match({
        onNone: () => flushEverything,
        onSome: (extension) =>
          Effect.flatMap(
            extension.isAlive,
            (isAlive) => isAlive ? extension.afterResponse(context.awsRequestId, flushEverything) : flushEverything
          )
      })
    )
    : flushEverything

  return {
    // In an uninterruptible program too, the fiber has to end with the scope.
    whileOpen: Effect.asVoid(Effect.forkScoped(Effect.interruptible(whileOpen))),
    last
  }
}
