/** The function that `emulator.test.ts` runs, under a runtime client. */
import * as Lambda from "effect-threadstats/Lambda"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"

interface Event {
  /** Recorded as a distribution. */
  readonly record: string
  /** Milliseconds between recording and the result. */
  readonly wait?: number
  /** How many invocations must be under way before there is a result. */
  readonly together?: number
  /** Whether there is never a result. */
  readonly hang?: boolean
  /** Recorded when the invocation has its result. */
  readonly afterwards?: string
  /** Recorded when SIGTERM arrives. */
  readonly atTheEnd?: string
}

let underWay = 0
let most = 0
let client: ThreadStats.ThreadStats["Type"]

const invocation = Lambda.makeHandler({
  flush: process.env["FLUSH"] as Lambda.FlushMode,
  handler: (event: Event) =>
    Effect.gen(function*() {
      client = yield* ThreadStats.ThreadStats
      const { atTheEnd, hang, record, together, wait } = event
      if (atTheEnd !== undefined) process.prependOnceListener("SIGTERM", () => client.unsafeDistribution(atTheEnd, 1))
      yield* client.distribution(record, 1)
      underWay++
      if (hang === true) yield* Effect.uninterruptible(Effect.never)
      most = Math.max(most, underWay)
      yield* Effect.sleep(5).pipe(Effect.repeat({ while: () => most < (together ?? 1) }))
      yield* Effect.sleep(wait ?? 0)
      underWay--
      return { recorded: record, process: process.pid }
    }),
  layer: ThreadStats.layerFetch
})

export const handler: Lambda.Handler<Event, unknown> = async (event, context) => {
  const result = await invocation(event, context)
  if (event.afterwards !== undefined) client.unsafeDistribution(event.afterwards, 1)
  return result
}
