import { type PlatformError, SystemError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { currentMoment, millisSince, type Moment } from "../model/time.js"
import { withoutFiberMetrics } from "../runtime/fiberMetrics.js"
import * as unrefClock from "../runtime/unrefClock.js"
import {
  currentHolder,
  decodeHolder,
  describeHolder,
  encodeHolder,
  hasEnded,
  type Holder,
  isNeighbor
} from "./holder.js"

/** Interval in which a holder touches its lock, in milliseconds. */
const touchInterval = 15_000

/** Time after which an untouched lock of another machine or container is stale, in milliseconds. */
const staleAfter = 60_000

/** Number of attempts to take a stale lock over, which several processes may do at once. */
const maxAttempts = 3

const isSystemError = (reason: SystemError["reason"]) => (error: PlatformError): boolean =>
  error._tag === "SystemError" && error.reason === reason

/** A file that one client at a time creates in a directory. */
class DirectoryLock {
  private readonly semaphore = Effect.unsafeMakeSemaphore(1)
  private readonly text: string
  private isHeld = false
  /** True if another process has taken the lock from this one, whose writes would destroy the other's data. */
  private isLost = false
  /** Lock of another machine, with its time, as it was first seen. */
  private seen: { readonly lock: string; readonly since: Moment } | undefined
  private readonly fileSystem: FileSystem.FileSystem
  private readonly clock: Clock.Clock
  private readonly path: string
  private readonly self: Holder

  constructor(fileSystem: FileSystem.FileSystem, clock: Clock.Clock, path: string, self: Holder) {
    this.fileSystem = fileSystem
    this.clock = clock
    this.path = path
    this.self = self
    this.text = encodeHolder(self)
  }

  /** Takes the lock, or checks that it is still held. Fails with the holder's description if another client has it. */
  get hold(): Effect.Effect<void, PlatformError> {
    return this.semaphore.withPermits(1)(Effect.uninterruptible(Effect.gen(this, function*() {
      if (!this.isHeld) yield* this.acquire(1)
      const lock = yield* this.read
      if (this.isLost || !Option.contains(lock, this.text)) {
        this.isLost = true
        return yield* this.failBusy(lock)
      }
    })))
  }

  get release(): Effect.Effect<void> {
    const isOwn = Effect.map(this.read, (lock) => this.isHeld && Option.contains(lock, this.text))
    return Effect.ignore(Effect.whenEffect(this.fileSystem.remove(this.path), isOwn))
  }

  /** Sets the time of the lock, for processes that cannot look this one up. */
  get touch(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const now = new Date(this.clock.unsafeCurrentTimeMillis())
      return this.isHeld && !this.isLost ? Effect.ignore(this.fileSystem.utimes(this.path, now, now)) : Effect.void
    })
  }

  private acquire(attempt: number): Effect.Effect<void, PlatformError> {
    return Effect.gen(this, function*() {
      this.isHeld = yield* this.create
      if (this.isHeld) return
      const lock = yield* this.read
      if (Option.isSome(lock)) {
        if (attempt >= maxAttempts || !(yield* this.isStale(lock.value))) return yield* this.failBusy(lock)
        yield* Effect.catchIf(this.fileSystem.remove(this.path), isSystemError("NotFound"), () => Effect.void)
      }
      yield* this.acquire(attempt + 1)
    })
  }

  /** Returns false if the lock exists. */
  private get create(): Effect.Effect<boolean, PlatformError> {
    return Effect.catchIf(
      Effect.as(this.fileSystem.writeFileString(this.path, this.text, { flag: "wx", mode: 0o600 }), true),
      isSystemError("AlreadyExists"),
      () => Effect.succeed(false)
    )
  }

  private get read(): Effect.Effect<Option.Option<string>, PlatformError> {
    return Effect.catchIf(
      Effect.asSome(this.fileSystem.readFileString(this.path)),
      isSystemError("NotFound"),
      () => Effect.succeedNone
    )
  }

  private isStale(lock: string): Effect.Effect<boolean> {
    const holder = decodeHolder(lock)
    return Option.isSome(holder) && isNeighbor(this.self, holder.value)
      ? hasEnded(this.fileSystem, holder.value)
      : Effect.map(Effect.option(this.fileSystem.stat(this.path)), (info) => this.isUntouched(lock, info))
  }

  /** Returns true if nobody has touched the lock since this process saw it first, some time ago. */
  private isUntouched(lock: string, info: Option.Option<FileSystem.File.Info>): boolean {
    const touchedAt = Option.getOrUndefined(Option.flatMap(info, ({ mtime }) => mtime))?.getTime()
    const seen = `${touchedAt} ${lock}`
    if (this.seen?.lock !== seen) this.seen = { lock: seen, since: currentMoment(this.clock) }
    return millisSince(this.clock, this.seen.since) >= staleAfter
  }

  private failBusy(lock: Option.Option<string>): Effect.Effect<never, PlatformError> {
    const holder = describeHolder(this.self, Option.flatMap(lock, decodeHolder))
    return Effect.fail(
      new SystemError({
        reason: "Busy",
        module: "FileSystem",
        method: "lock",
        pathOrDescriptor: this.path,
        description: `${holder} uses this directory. Give each client a directory of its own`
      })
    )
  }
}

/**
 * Makes the lock of a directory. It is taken when it is first needed, released with the scope, and taken over from processes that
 * have died.
 */
export const make = (
  directory: string
): Effect.Effect<Pick<DirectoryLock, "hold">, never, FileSystem.FileSystem | Path.Path | Scope.Scope> =>
  Effect.gen(function*() {
    const fileSystem = yield* FileSystem.FileSystem
    const clock = yield* Effect.clock
    const path = (yield* Path.Path).join(directory, "threadstats.lock")
    const lock = new DirectoryLock(fileSystem, clock, path, yield* currentHolder(fileSystem))
    yield* Effect.addFinalizer(() => lock.release)
    yield* unrefClock.schedule(lock.touch, Schedule.spaced(touchInterval)).pipe(
      Effect.interruptible,
      Effect.forkScoped,
      withoutFiberMetrics
    )
    return lock
  })
