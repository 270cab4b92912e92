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

type Client = ThreadStats["Type"]

export interface Invocation {
  readonly client: Client
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
export const open = (settings: InvocationSettings): Effect.Effect<OpenedInvocation, never, ThreadStats> =>
  Effect.contextWith((services: Context.Context<ThreadStats>) => {
    const client = Context.get(services, ThreadStats)
    const context = Option.getOrUndefined(Context.getOption(services, LambdaContext))
    const parent = nearestOpen(Option.getOrUndefined(Context.getOption(services, Invocation)))
    const owner = findFlushOwner(parent, client)
    const invocation: Invocation = { client, parent, isOpen: true }
    return {
      invocation,
      flushWhileOpen: owner === undefined ? flushWhileOpen(client, context, settings) : Effect.void,
      close: Effect.suspend(() => {
        invocation.isOpen = false
        return owner?.isOpen === true ? Effect.void : flushAtEnd(client, context, settings)
      })
    }
  })

/** Skips the ended invocations in front: a chain of fibers, each started by an earlier one, must not retain them all. */
const nearestOpen = (self: Invocation | undefined): Invocation | undefined =>
  self === undefined || self.isOpen ? self : nearestOpen(self.parent)

/** Returns the open invocation that flushes the client at its end. */
const findFlushOwner = (self: Invocation | undefined, client: Client): Invocation | undefined =>
  self === undefined || (self.isOpen && self.client === client) ? self : findFlushOwner(self.parent, client)

/** Flushes without a failure, also if the client's flush dies: the outcome of the program is its own. */
const flush = (client: Client, options: () => FlushOptions): Effect.Effect<void> =>
  Effect.catchAllCause(Effect.suspend(() => client.flush(options())), () => Effect.void)

/** Time that a flush leaves for the response to reach Lambda, in milliseconds. */
const responseMarginMillis = 100

const flushEverything = (client: Client, context: LambdaContext | undefined): Effect.Effect<void> =>
  flush(client, () => {
    const left = remainingMillis(context)
    return { timeout: Math.max(left - responseMarginMillis, left / 2) }
  })

/** Flushes closed buckets on the interval, and everything once, shortly before the deadline, until the scope closes. */
const flushWhileOpen = (
  client: Client,
  context: LambdaContext | undefined,
  { deadlineMargin, flushInterval }: InvocationSettings
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.clockWith((clock) => {
    const interval = flushInterval ?? Duration.toMillis(client.config.flushInterval)
    const left = remainingMillis(context)
    const margin = Math.min(deadlineMargin, left / 2)

    // A flush has a fiber of its own: it goes on when the invocation ends, because an interrupted one would be sent twice. Its
    // clock is the program's own, so that its pauses keep the process alive.
    const toItsEnd = (self: Effect.Effect<void>) =>
      Effect.flatMap(Effect.forkDaemon(Effect.withClock(self, clock)), Fiber.await)

    const onInterval = flush(client, () => ({
      upTo: clock.unsafeCurrentTimeMillis(),
      timeout: Math.max(remainingMillis(context) - margin, 1)
    })).pipe(
      toItsEnd,
      // Waits before the first flush, and does not catch up after a freeze.
      Effect.schedule(Schedule.spaced(interval))
    )
    const beforeDeadline = flushEverything(client, context).pipe(toItsEnd, Effect.delay(left - margin))

    return Effect.all([
      interval > 0 && interval < Infinity ? onInterval : Effect.void,
      left < Infinity ? beforeDeadline : Effect.void
    ], { concurrency: "unbounded", discard: true }).pipe(Effect.withClock(unrefClock.make(clock)))
  }).pipe(
    // In an uninterruptible program too, the fiber ends with the scope.
    Effect.interruptible,
    // One fiber for both. It starts when the body first yields, so an invocation that ends at once pays for no other.
    Effect.forkScoped,
    Effect.asVoid
  )

/** Flushes everything: after the response if the settings select that and an extension is alive, else now. */
const flushAtEnd = (
  client: Client,
  context: LambdaContext | undefined,
  { afterResponse }: InvocationSettings
): Effect.Effect<void> => {
  const now = flushEverything(client, context)
  if (!afterResponse || context === undefined) return now
  return Effect.flatMap(
    Effect.serviceOption(LambdaExtension),
    Option.match({
      onNone: () => now,
      onSome: (extension) =>
        Effect.flatMap(
          extension.isAlive,
          (isAlive) => isAlive ? extension.afterResponse(context.awsRequestId, now) : now
        )
    })
  )
}
