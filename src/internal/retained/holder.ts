import type * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { builtin } from "../runtime/nodeBuiltin.js"

/** Contents of a lock file. */
const Holder = Schema.parseJson(Schema.Struct({
  /** Text that no other holder has. */
  token: Schema.String,
  pid: Schema.Int,
  host: Schema.String,
  /** PID namespace. The processes of another container are numbered on their own. */
  namespace: Schema.NullOr(Schema.String),
  /** Start of the process, in clock ticks since the boot. It tells a process from a later one with the same number. */
  startTicks: Schema.NullOr(Schema.String)
}))

export type Holder = typeof Holder.Type

export const decodeHolder: (text: string) => Option.Option<Holder> = Schema.decodeOption(Holder)
export const encodeHolder: (holder: Holder) => string = Schema.encodeSync(Holder)

/** Returns field 22 of `/proc/<pid>/stat`. Field 2, a name in parentheses, may contain spaces. Source: proc(5). */
const parseStartTicks = (stat: string): string | null => stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null

const readStartTicks = (fileSystem: FileSystem.FileSystem, pid: number | "self"): Effect.Effect<string | null> =>
  Effect.orElseSucceed(Effect.map(fileSystem.readFileString(`/proc/${pid}/stat`), parseStartTicks), () => null)

/** Returns true if a process with this number exists. One that may not be signalled exists, too. */
const hasProcess = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH"
  }
}

/** Describes this process. */
export const currentHolder = (fileSystem: FileSystem.FileSystem): Effect.Effect<Holder> =>
  Effect.zipWith(
    Effect.orElseSucceed(fileSystem.readLink("/proc/self/ns/pid"), () => null),
    readStartTicks(fileSystem, "self"),
    (namespace, startTicks) => ({
      token: globalThis.crypto.randomUUID(),
      pid: process.pid,
      host: builtin<typeof import("node:os")>("node:os").hostname(),
      namespace,
      startTicks
    })
  )

/** Returns true if this process can look the other one up: both run on one machine, in one container. */
export const isNeighbor = (self: Holder, that: Holder): boolean =>
  self.host === that.host && self.namespace === that.namespace

/** Returns true if a process of this machine has ended. */
export const hasEnded = (
  fileSystem: FileSystem.FileSystem,
  { pid, startTicks }: Holder
): Effect.Effect<boolean> =>
  Effect.map(
    startTicks === null ? Effect.succeed(null) : readStartTicks(fileSystem, pid),
    (ticks) => ticks === null ? !hasProcess(pid) : ticks !== startTicks
  )

export const describeHolder = (self: Holder, holder: Option.Option<Holder>): string =>
  Option.match(holder, {
    onNone: () => "an unknown process",
    onSome: (that) =>
      isNeighbor(self, that) && self.pid === that.pid && self.startTicks === that.startTicks
        ? `another client of this process (${that.pid} on ${that.host})`
        : `process ${that.pid} on ${that.host}`
  })
