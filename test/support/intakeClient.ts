/** Requests to a local intake in process, and the payloads that its tests send. */
import { assert } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FiberId from "effect/FiberId"
import { Handler } from "./intake.js"
import { distributions, events, metrics } from "./reporterContract.js"

/** The address of the intake in process. */
export const url = "http://127.0.0.1:8080"

export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
}

export interface RequestOptions {
  readonly headers?: Readonly<Record<string, string>>
  /** The body, as a value to be written as JSON. */
  readonly body?: unknown
  /** The body, as it is on the wire. */
  readonly bytes?: Uint8Array
  readonly encoding?: string
  /** Default: `k`. Null for a request without a key. */
  readonly key?: string | null
}

/** Builds a request as it reaches the intake. */
export const requestOf = (
  method: string,
  path: string,
  { body, bytes, encoding, headers, key = "k" }: RequestOptions = {},
  signal?: AbortSignal
): Request =>
  new Request(url + path, {
    method,
    headers: {
      host: "127.0.0.1:8080",
      ...(key === null ? {} : { "dd-api-key": key }),
      ...(encoding === undefined ? {} : { "content-encoding": encoding }),
      ...headers
    },
    body: bytes ?? (body === undefined ? null : JSON.stringify(body)),
    signal: signal ?? null
  })

/** Sends a request to the intake in process. Interruption aborts it, as a client that closes its connection does. */
export const send = (method: string, path: string, options?: RequestOptions): Effect.Effect<Reply, never, Handler> =>
  Effect.flatMap(Handler, (handler) =>
    Effect.promise(async (signal) => {
      const response = await handler(requestOf(method, path, options, signal))
      return {
        status: response.status,
        headers: Object.fromEntries(response.headers),
        text: await response.text()
      }
    }))

export const postSeries = (...series: ReadonlyArray<object>): Effect.Effect<Reply, never, Handler> =>
  send("POST", "/api/v1/series", { body: { series } })

export const postDistributions = (...series: ReadonlyArray<object>): Effect.Effect<Reply, never, Handler> =>
  send("POST", "/api/v1/distribution_points", { body: { series } })

export const postEvent = (event: object): Effect.Effect<Reply, never, Handler> =>
  send("POST", "/api/v1/events", { body: event })

/** A gauge with one point. */
export const gauge = (metric: string, timestamp: number, value: number, more: object = {}): object => ({
  metric,
  type: "gauge",
  points: [[timestamp, value]],
  ...more
})

/** One valid payload for each endpoint of version 1. */
export const payloads: ReadonlyArray<readonly [path: string, body: unknown]> = [
  ["/api/v1/series", { series: metrics }],
  ["/api/v1/distribution_points", { series: distributions }],
  ["/api/v1/events", events[0]]
]

/** Outcome and code of each verdict. */
export const codesOf = (verdicts: ReadonlyArray<LocalIntake.Verdict>): ReadonlyArray<string> =>
  verdicts.map(({ code, outcome }) => `${outcome} ${code}`)

/** Fails unless the reply has this status and exactly one error, whose text matches. */
export const assertRefused = (reply: Pick<Reply, "status" | "text">, status: number, reason: RegExp): void => {
  assert.strictEqual(reply.status, status, reply.text)
  const { errors } = JSON.parse(reply.text) as { readonly errors: ReadonlyArray<string> }
  assert.strictEqual(errors.length, 1)
  assert.match(errors[0] ?? "", reason)
}

/** Fails if the intake accepted a series, a distribution or an event. */
export const assertNothingAccepted = (intake: typeof LocalIntake.LocalIntake.Service): Effect.Effect<void> =>
  Effect.map(
    Effect.all([intake.series, intake.distributions, intake.events]),
    (accepted) => assert.deepStrictEqual(accepted, [[], [], []])
  )

/** Parses a fault, or fails with the reason. */
export const fault = (words: string): LocalIntake.InjectedFault =>
  Either.getOrThrowWith(LocalIntake.parseFault(words), (reason) => new Error(reason))

/** A fault, and an effect that waits until an intake applies it for the first time. */
export const observedFault = (
  words: string
): { readonly fault: LocalIntake.InjectedFault; readonly applied: Effect.Effect<void> } => {
  const parsed = fault(words)
  const applied = Deferred.unsafeMake<void>(FiberId.none)
  return {
    applied: Deferred.await(applied),
    fault: {
      ...parsed,
      get action() {
        Deferred.unsafeDone(applied, Effect.void)
        return parsed.action
      }
    }
  }
}
