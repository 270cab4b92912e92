/** What the functions of this folder do with an event. */
import * as Lambda from "effect-threadstats/Lambda"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import { threadId } from "node:worker_threads"

export interface Event {
  /** Recorded as a distribution. */
  readonly record: string
  /** How often `turns` is counted, with the record and the request as tags, while other invocations have theirs. */
  readonly turns?: number
  /** Milliseconds between recording and the result. */
  readonly wait?: number
  /** How many invocations must be under way in this thread before there is a result. */
  readonly together?: number
  /** How many invocations must have begun after it in this thread before there is a result. */
  readonly outlived?: number
  /** Whether there is never a result. */
  readonly hang?: boolean
  /** Recorded when SIGTERM arrives. */
  readonly atTheEnd?: string
}

export interface Result {
  readonly recorded: string
  readonly request: string
  readonly process: number
  readonly thread: number
}

/** Milliseconds after the result at which a flush has taken what there was, and waits for the intake's answer. */
export const duringTheFlush = 50

let begun = 0
let underWay = 0
let most = 0

export const work = ({ atTheEnd, hang, outlived, record, together, turns, wait }: Event) =>
  Effect.gen(function*() {
    const client = yield* ThreadStats.ThreadStats
    const { awsRequestId: request } = yield* Lambda.LambdaContext
    if (atTheEnd !== undefined) process.prependOnceListener("SIGTERM", () => client.unsafeDistribution(atTheEnd, 1))
    yield* client.distribution(record, 1)
    const number = ++begun
    underWay++
    if (hang === true) yield* Effect.uninterruptible(Effect.never)
    most = Math.max(most, underWay)
    yield* Effect.sleep(5).pipe(Effect.repeat({ while: () => most < (together ?? 1) }))
    for (let turn = 0; turn < (turns ?? 0); turn++) {
      const { awsRequestId } = yield* Lambda.LambdaContext
      yield* ThreadStats.increment("turns", 1, { tags: { record, request: awsRequestId } })
      yield* Effect.sleep(1 + turn % 3)
    }
    yield* Effect.sleep(wait ?? 0)
    yield* Effect.sleep(5).pipe(Effect.repeat({ while: () => begun < number + (outlived ?? 0) }))
    underWay--
    return { recorded: record, request, process: process.pid, thread: threadId } satisfies Result
  })
