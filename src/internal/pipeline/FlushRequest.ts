import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import type { ThreadStatsSettings } from "../model/settings.js"
import { monotonicMillis } from "../model/time.js"

/** Flush that a caller asks for. */
export interface FlushRequest {
  /** Flushes buckets that ended by this time, in milliseconds since the epoch. Undefined for everything. */
  readonly upTo: number | undefined
  /** Time by which the caller wants its answer, in milliseconds of the monotonic clock. */
  readonly deadline: number
  /** True for the last flush of the client. An open circuit breaker does not skip it. */
  readonly isFinal: boolean
}

/** Makes a request for everything, or for closed buckets, within the settings' time limit for a flush. */
export const make = (
  { flushTimeout }: Pick<ThreadStatsSettings, "flushTimeout">,
  clock: Clock.Clock,
  options: {
    readonly upTo?: number | undefined
    readonly isFinal?: boolean | undefined
    readonly timeout?: Duration.Duration | undefined
  } = {}
): FlushRequest => ({
  upTo: options.upTo,
  deadline: monotonicMillis(clock) +
    Math.min(Duration.toMillis(options.timeout ?? flushTimeout), Duration.toMillis(flushTimeout)),
  isFinal: options.isFinal ?? false
})

/** Merges a request into one that waits. The scope of the waiting one stays, and the later deadline counts. */
export const merge = (self: FlushRequest, that: FlushRequest): FlushRequest => ({
  upTo: self.upTo,
  deadline: Math.max(self.deadline, that.deadline),
  isFinal: self.isFinal || that.isFinal
})
