/** What the emulator and who started it say to each other over IPC. */

export interface Plan {
  /** The command line of the function's process. */
  readonly command: ReadonlyArray<string>
  /** Beside the environment variables that Lambda sets. */
  readonly variables?: Readonly<Record<string, string>> | undefined
  /** What an invocation may take, in milliseconds. Default: 3,000. */
  readonly timeout?: number | undefined
  /** What initialising may take, in milliseconds. Default: 10,000. */
  readonly initTimeout?: number | undefined
  /** In MB. Default: 128. */
  readonly memory?: number | undefined
  /** Of a Managed Instance: how many invocations run at a time. */
  readonly concurrency?: number | undefined
  /** Whether there is an external extension, which gets the process a SIGTERM. */
  readonly externalExtension?: boolean | undefined
  /** Whether registration is refused from the start. */
  readonly refuseRegistration?: boolean | undefined
}

export type Command =
  | { readonly type: "start"; readonly plan: Plan }
  | { readonly type: "invoke"; readonly key: number; readonly event: unknown }
  | { readonly type: "shutdown" }

/** What became of an invocation, as its caller sees it. */
export interface Outcome {
  readonly requestId: string
  /** `exit`: the process ended first. */
  readonly status: "response" | "error" | "timeout" | "exit"
  /** What was posted, parsed if it is JSON. */
  readonly payload: unknown
  /** Milliseconds from when the event was handed out until the answer was there in full. */
  readonly responseTime: number
}

/** An invocation that is over: the environment may freeze, or is gone. */
export interface Report {
  readonly requestId: string
  /** Milliseconds from when the event was handed out: what is billed, the time after the response included. */
  readonly duration: number
  readonly timedOut: boolean
}

/** How the function's process ended. */
export interface Ended {
  readonly code: number | null
  readonly signal: string | null
  /** Whether the emulator sent SIGKILL. */
  readonly killed: boolean
  /** Milliseconds from the start of the shutdown; undefined where there was none. */
  readonly shutdownTime: number | undefined
}

/** One thing that happened; `at` is in milliseconds since the epoch. */
export interface Entry {
  readonly at: number
  readonly what:
    | "spawn"
    | "register"
    | "register refused"
    | "runtime next"
    | "extension next"
    | "initialised"
    | "init error"
    | "invoke"
    | "INVOKE"
    | "answered"
    | "done"
    | "timeout"
    | "freeze"
    | "thaw"
    | "SIGTERM"
    | "SIGKILL"
    | "ended"
    | "stdout"
    | "stderr"
    | "refused"
  readonly detail?: string | undefined
}

export type Message =
  | { readonly type: "log"; readonly entry: Entry }
  | { readonly type: "outcome"; readonly key: number; readonly outcome: Outcome }
  | { readonly type: "report"; readonly key: number; readonly report: Report }
  | { readonly type: "ended"; readonly ended: Ended }
