import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { fork } from "node:child_process"
import type { Command, Ended, Entry, Message, Outcome, Plan, Report } from "./protocol.js"

/** An invocation that was sent. */
export interface Sent {
  /** What its caller gets. */
  readonly outcome: Effect.Effect<Outcome>
  /** Waits until it is over, the time after the response included. */
  readonly report: Effect.Effect<Report>
}

export interface Emulator {
  /** Queues an invocation. */
  readonly send: (event: unknown) => Effect.Effect<Sent>
  /** An invocation, and its outcome. */
  readonly invoke: (event: unknown) => Effect.Effect<Outcome>
  /** An invocation, waited for until the environment may freeze. */
  readonly finish: (event: unknown) => Effect.Effect<Outcome & Report>
  /** Ends the environment as Lambda does when it has been idle for long. */
  readonly shutdown: Effect.Effect<Ended>
  /** Waits for the function's process to end. */
  readonly ended: Effect.Effect<Ended>
  /** Waits for the first entry of this kind, from the start or from where the log has come to. */
  readonly until: (what: Entry["what"], from?: number) => Effect.Effect<Entry>
  /** What happened, in order. */
  readonly log: Array<Entry>
  /** What the function wrote. */
  readonly output: () => string
}

/** Starts the emulator from its bundle, and in it the function; both end with the scope. */
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
        case "ended":
          return void Queue.unsafeOffer(ends, message.ended)
      }
    })
    const command = (command: Command) =>
      Effect.sync(() => {
        child.send(command)
      })

    const send = (event: unknown): Effect.Effect<Sent> =>
      Effect.gen(function*() {
        const key = keys++
        const outcome = yield* Deferred.make<Outcome>()
        const report = yield* Deferred.make<Report>()
        outcomes.set(key, outcome)
        reports.set(key, report)
        yield* command({ type: "invoke", key, event })
        return { outcome: Deferred.await(outcome), report: Deferred.await(report) }
      })

    yield* command({ type: "start", plan })
    return {
      send,
      invoke: (event) => Effect.flatMap(send(event), ({ outcome }) => outcome),
      finish: (event) =>
        Effect.flatMap(
          send(event),
          ({ outcome, report }) => Effect.zipWith(outcome, report, (outcome, report) => ({ ...outcome, ...report }))
        ),
      shutdown: Effect.zipRight(command({ type: "shutdown" }), Queue.take(ends)),
      ended: Queue.take(ends),
      until: (what, from = 0) =>
        Effect.async<Entry>((resume) => {
          const watch = () => {
            const entry = log.slice(from).find((entry) => entry.what === what)
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
        log.filter(({ what }) => what === "stdout" || what === "stderr").map(({ detail }) => detail).join("\n")
    }
  })
