/** The handler that the functions of this folder share. */
import * as Lambda from "effect-threadstats/Lambda"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import { threadId } from "node:worker_threads"
import { nextTurn } from "../support/wait.js"

export interface Event {
  /** Name of the distribution that is recorded. */
  readonly record: string
  /** Number of times that the counter `turns` is incremented, with record and request as tags, between those of other invocations. */
  readonly turns?: number
  /** Number of invocations of this thread that must be under way before the result. */
  readonly together?: number
  /** Number of invocations of this thread that must have begun after this one before the result. */
  readonly outlived?: number
  /**
   * `SIGUSR2`: the result comes after that signal. `never`: the handler never ends and cannot be interrupted. `nothing`: it never
   * ends, and leaves nothing in the event loop.
   */
  readonly until?: "SIGUSR2" | "never" | "nothing"
  /** Name of a distribution that is recorded when SIGTERM arrives. */
  readonly atTheEnd?: string
}

export interface Result {
  readonly recorded: string
  readonly request: string
  readonly process: number
  readonly thread: number
}

/** Milliseconds after the result: a flush to an intake that takes longer is then under way. */
export const duringTheFlush = 50

/** Margin before the deadline, in milliseconds; undefined for the default. */
export const deadlineMargin = process.env["DEADLINE_MARGIN"] === undefined
  ? undefined
  : Number(process.env["DEADLINE_MARGIN"])

const signaled = new Promise<void>((resolve) => {
  process.once("SIGUSR2", () => resolve())
})

/** Waits for SIGUSR2. The listener does not keep the process alive while nothing else is pending; the interval does. */
const awaitSignal = Effect.acquireUseRelease(
  Effect.sync(() => setInterval(() => {}, 60_000)),
  () => Effect.promise(() => signaled),
  (interval) => Effect.sync(() => clearInterval(interval))
)

let begun = 0
let underWay = 0
let most = 0
const watchers = new Set<() => void>()

/** Waits until the condition holds. The begin of each invocation evaluates it again. */
const until = (holds: () => boolean): Effect.Effect<void> =>
  Effect.async((resume) => {
    const watch = () => {
      if (!holds()) return
      watchers.delete(watch)
      resume(Effect.void)
    }
    watchers.add(watch)
    watch()
  })

const begin = (): number => {
  begun++
  underWay++
  most = Math.max(most, underWay)
  const number = begun
  for (const watch of watchers) watch()
  return number
}

export const work = (event: Event) =>
  Effect.gen(function*() {
    const client = yield* ThreadStats.ThreadStats
    const context: Lambda.LambdaContext | null = yield* Lambda.LambdaContext
    const request = context?.awsRequestId ?? "none"
    const { atTheEnd, outlived = 0, record, together = 1, turns = 0 } = event
    if (atTheEnd !== undefined) process.prependOnceListener("SIGTERM", () => client.unsafeDistribution(atTheEnd, 1))
    yield* client.distribution(record, 1)
    const number = begin()
    if (event.until === "never") yield* Effect.uninterruptible(Effect.never)
    if (event.until === "nothing") yield* Effect.promise(() => new Promise(() => {}))
    if (event.until === "SIGUSR2") yield* awaitSignal
    yield* until(() => most >= together)
    for (let turn = 0; turn < turns; turn++) {
      const { awsRequestId } = yield* Lambda.LambdaContext
      yield* ThreadStats.increment("turns", 1, { tags: { record, request: awsRequestId } })
      yield* nextTurn
    }
    yield* until(() => begun >= number + outlived)
    underWay--
    return { recorded: record, request, process: process.pid, thread: threadId } satisfies Result
  })
