import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { fork } from "node:child_process"
import type { Command, Ended, Entry, Message, Outcome, Plan, Report } from "./protocol.js"

/** An invocation that was sent. */
export interface Sent {
  /** Waits for the caller's outcome. */
  readonly outcome: Effect.Effect<Outcome>
  /** Waits until the invocation is over, including the work after the response. */
  readonly report: Effect.Effect<Report>
}

export interface SendOptions {
  /** Milliseconds that the environment is frozen before it gets the invocation. Default: 0. */
  readonly frozenFor?: number
}

export interface Emulator {
  /** Queues an invocation. */
  readonly send: (event: unknown, options?: SendOptions) => Effect.Effect<Sent>
  /** Queues an invocation and waits for its outcome. */
  readonly invoke: (event: unknown) => Effect.Effect<Outcome>
  /** Queues an invocation and waits until the environment may freeze. */
  readonly finish: (event: unknown, options?: SendOptions) => Effect.Effect<Outcome & Report>
  /** Sends a signal to the function's process. */
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Waits until the log has every event that the emulator has handled so far. */
  readonly synchronize: Effect.Effect<void>
  /** Ends the environment as Lambda does after a long idle time, and waits for the end of the process. */
  readonly shutdown: Effect.Effect<Ended>
  /** Waits for the first entry of this kind at or after an index of the log. */
  readonly until: (kind: Entry["kind"], from?: number) => Effect.Effect<Entry>
  /** Entries in order. */
  readonly log: Array<Entry>
  /** Lines that the function printed. */
  readonly output: () => string
}

/** Starts the emulator from its bundle, and the function in it. Both end with the scope. */
export const start = (bundle: string, plan: Plan): Effect.Effect<Emulator, never, Scope.Scope> =>
  Effect.gen(function*() {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => fork(bundle, { stdio: ["ignore", "inherit", "inherit", "ipc"], execArgv: [] })),
      (child) =>
        Effect.async<void>((resume) => {
          if (child.exitCode !== null) return resume(Effect.void)
          child.once("exit", () => resume(Effect.void))
          child.disconnect()
        })
    )
    const log: Array<Entry> = []
    const watchers = new Set<() => void>()
    const outcomes = new Map<number, Deferred.Deferred<Outcome>>()
    const reports = new Map<number, Deferred.Deferred<Report>>()
    const synchronizations = new Map<number, Deferred.Deferred<void>>()
    const ends = yield* Queue.unbounded<Ended>()
    let keys = 0

    child.on("message", (message: Message) => {
      switch (message.type) {
        case "log": {
          log.push(message.entry)
          for (const watch of watchers) watch()
          return
        }
        case "outcome":
          return Deferred.unsafeDone(outcomes.get(message.key)!, Effect.succeed(message.outcome))
        case "report":
          return Deferred.unsafeDone(reports.get(message.key)!, Effect.succeed(message.report))
        case "synchronized":
          return Deferred.unsafeDone(synchronizations.get(message.key)!, Effect.void)
        case "ended":
          return void Queue.unsafeOffer(ends, message.ended)
      }
    })
    const command = (command: Command) =>
      Effect.sync(() => {
        child.send(command)
      })

    const send = (event: unknown, { frozenFor = 0 }: SendOptions = {}): Effect.Effect<Sent> =>
      Effect.gen(function*() {
        const key = keys++
        const outcome = yield* Deferred.make<Outcome>()
        const report = yield* Deferred.make<Report>()
        outcomes.set(key, outcome)
        reports.set(key, report)
        yield* command({ type: "invoke", key, event, frozenFor })
        return { outcome: Deferred.await(outcome), report: Deferred.await(report) }
      })

    yield* command({ type: "start", plan })
    return {
      send,
      invoke: (event) => Effect.flatMap(send(event), ({ outcome }) => outcome),
      finish: (event, options) =>
        Effect.flatMap(
          send(event, options),
          ({ outcome, report }) => Effect.zipWith(outcome, report, (outcome, report) => ({ ...outcome, ...report }))
        ),
      signal: (signal) => command({ type: "signal", signal }),
      synchronize: Effect.gen(function*() {
        const key = keys++
        const synchronized = yield* Deferred.make<void>()
        synchronizations.set(key, synchronized)
        yield* command({ type: "synchronize", key })
        yield* Deferred.await(synchronized)
      }),
      shutdown: Effect.zipRight(command({ type: "shutdown" }), Queue.take(ends)),
      until: (kind, from = 0) =>
        Effect.async<Entry>((resume) => {
          const watch = () => {
            const entry = log.slice(from).find((entry) => entry.kind === kind)
            if (entry === undefined) return
            watchers.delete(watch)
            resume(Effect.succeed(entry))
          }
          watchers.add(watch)
          watch()
          return Effect.sync(() => watchers.delete(watch))
        }),
      log,
      output: () =>
        log.filter(({ kind }) => kind === "stdout" || kind === "stderr").map(({ detail }) => detail).join("\n")
    }
  })
