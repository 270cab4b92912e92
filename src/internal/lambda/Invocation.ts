/** One invocation of a Lambda function, from the start of its program to its last flush. */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { type FlushOptions, ThreadStats } from "../../ThreadStats.js"
import { functionName } from "../config/environment.js"
import { withoutFiberMetrics } from "../runtime/fiberMetrics.js"
import { logFrom } from "../runtime/log.js"
import * as unrefClock from "../runtime/unrefClock.js"
import { findContext, remainingMillis, requestIdOf } from "./LambdaContext.js"
import { LambdaExtension } from "./LambdaExtension.js"
import { sharedBy } from "./shared.js"

type Client = ThreadStats["Type"]

export interface Invocation {
  readonly client: Client
  /** The context that Lambda has passed to the handler, if it was found. */
  readonly context: unknown
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

/**
 * Opens an invocation of the client. Inside an open invocation of the same client it leaves every flush to that one. With an
 * extension it keeps the environment awake until the scope has closed.
 */
export const open = (
  settings: InvocationSettings
): Effect.Effect<OpenedInvocation, never, ThreadStats | Scope.Scope> =>
  Effect.contextWithEffect((services: Context.Context<ThreadStats | Scope.Scope>) => {
    const client = Context.get(services, ThreadStats)
    const parent = nearestOpen(Option.getOrUndefined(Context.getOption(services, Invocation)))
    const context = findContext(services) ?? parent?.context
    const owner = findFlushOwner(parent, client)
    const invocation: Invocation = { client, context, parent, isOpen: true }
    const held = settings.afterResponse
      ? Option.all({
        extension: Context.getOption(services, LambdaExtension),
        requestId: Option.fromNullable(requestIdOf(context))
      })
      : Option.none()
    const flushLast = flushEverything(client, context)
    const opened: OpenedInvocation = {
      invocation,
      flushWhileOpen: owner === undefined ? flushWhileOpen(client, context, settings) : Effect.void,
      close: Effect.suspend(() => {
        invocation.isOpen = false
        if (owner?.isOpen === true) return Effect.void
        return Option.match(held, {
          onNone: () => flushLast,
          onSome: ({ extension, requestId }) => extension.afterResponse(requestId, flushLast)
        })
      })
    }
    return Option.match(held, {
      onNone: () => Effect.succeed(opened),
      onSome: ({ extension, requestId }) => Effect.as(extension.begin(requestId), opened)
    })
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

/** Maximum time of the last flush on Lambda if the deadline is unknown, in milliseconds. Functions have three seconds by default. */
const unknownDeadlineMillis = 1000

const flushEverything = (client: Client, context: unknown): Effect.Effect<void> =>
  Effect.suspend(() => {
    const left = remainingMillis(context)
    return left === undefined
      ? Effect.flatMap(budgetWithoutDeadline(client), (timeout) => flush(client, () => ({ timeout })))
      : flush(client, () => ({ timeout: Math.max(left - responseMarginMillis, left / 2) }))
  })

const hasWarnedOf = /*#__PURE__*/ sharedBy("warnings", (_: Client) => ({ ofDeadline: false }))

/** Returns the time of a flush whose deadline is unknown, in milliseconds, and warns once per client. Infinite outside Lambda. */
const budgetWithoutDeadline = (client: Client): Effect.Effect<number> =>
  Effect.flatMap(Effect.orElseSucceed(functionName, Option.none<string>), (name) => {
    if (Option.isNone(name)) return Effect.succeed(Infinity)
    const hasWarned = hasWarnedOf(client)
    if (hasWarned.ofDeadline) return Effect.succeed(unknownDeadlineMillis)
    hasWarned.ofDeadline = true
    return Effect.as(
      logFrom("Lambda")(Effect.logWarning(
        `The last flush of every invocation ends after ${unknownDeadlineMillis} milliseconds: lambdaProgram found no deadline. `
          + "Pass it the handler, lambdaProgram((event, context) => …), or provide the context as the service Lambda.LambdaContext"
      )),
      unknownDeadlineMillis
    )
  })

/**
 * Flushes until the scope closes: closed buckets on the interval, and everything once, shortly before the deadline. The wait for
 * the deadline keeps the process alive, because a process that ends loses the points of the invocation.
 */
const flushWhileOpen = (
  client: Client,
  context: unknown,
  { deadlineMargin, flushInterval }: InvocationSettings
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.clockWith((clock) => {
    const interval = flushInterval ?? Duration.toMillis(client.config.flushInterval)
    const left = remainingMillis(context) ?? Infinity
    const margin = Math.min(deadlineMargin, left / 2)

    // A flush goes on when the invocation ends, because an interrupted one would be sent twice. Nothing waits for it.
    const toItsEnd = (self: Effect.Effect<void>) => Effect.disconnect(Effect.uninterruptible(self))

    const flushClosed = flush(client, () => ({
      upTo: clock.unsafeCurrentTimeMillis(),
      timeout: Math.max((remainingMillis(context) ?? Infinity) - margin, 1)
    }))
    // Waits before the first flush, and does not catch up after a freeze.
    const onInterval = unrefClock.schedule(toItsEnd(flushClosed), Schedule.spaced(interval))
    const beforeDeadline = Effect.delay(toItsEnd(flushEverything(client, context)), left - margin)
    const hasInterval = interval < left
    if (left === Infinity) return hasInterval ? onInterval : Effect.void
    return hasInterval ? Effect.zipRight(Effect.fork(beforeDeadline), onInterval) : beforeDeadline
  }).pipe(
    // In an uninterruptible program too, the fiber ends with the scope.
    Effect.interruptible,
    // It starts when the body first yields, so an invocation that ends at once pays for one fiber only.
    Effect.forkScoped,
    withoutFiberMetrics,
    Effect.asVoid
  )
