/** Messages between the emulator's process and its parent, over IPC. */

export interface Plan {
  /** Command line of the function's process. */
  readonly command: ReadonlyArray<string>
  /** Environment variables besides those that Lambda sets. */
  readonly variables?: Readonly<Record<string, string>> | undefined
  /** Time limit of an invocation, in milliseconds. Default: 3,000. */
  readonly timeout?: number | undefined
  /** Time limit of the initialization, in milliseconds. Default: 10,000. */
  readonly initTimeout?: number | undefined
  /** Milliseconds between a limit and the SIGKILL that it causes, if a busy machine must not decide a test. Default: 0. */
  readonly killDelay?: number | undefined
  /** Memory of the function, in MB. Default: 128. */
  readonly memory?: number | undefined
  /** Number of concurrent invocations of a Managed Instance. */
  readonly concurrency?: number | undefined
  /** True if an external extension exists: the process then gets a SIGTERM. */
  readonly externalExtension?: boolean | undefined
  /** True if every registration is refused. */
  readonly refuseRegistration?: boolean | undefined
}

export type Command =
  | { readonly type: "start"; readonly plan: Plan }
  /** `frozenFor`: milliseconds that the environment is frozen before it gets the invocation. */
  | { readonly type: "invoke"; readonly key: number; readonly event: unknown; readonly frozenFor: number }
  /** Sends a signal to the function's process. */
  | { readonly type: "signal"; readonly signal: NodeJS.Signals }
  /** Answered with `synchronized`, after all messages of the emulator so far. */
  | { readonly type: "synchronize"; readonly key: number }
  | { readonly type: "shutdown" }

/** Outcome of an invocation for its caller. */
export interface Outcome {
  readonly requestId: string
  /** `exit`: the process ended before it answered. */
  readonly status: "response" | "error" | "timeout" | "exit"
  /** The posted body, parsed if it is JSON. */
  readonly payload: unknown
}

/** Report of an invocation that is over: the environment may freeze, or has ended. */
export interface Report {
  readonly requestId: string
  /** Billed milliseconds: from the handing out of the event to the end of the work after the response. */
  readonly duration: number
  readonly timedOut: boolean
}

/** End of the function's process. */
export interface Ended {
  readonly code: number | null
  readonly signal: string | null
  /** True if the emulator sent SIGKILL. */
  readonly killed: boolean
}

/** One event of the environment; `at` is in milliseconds since the epoch, by the emulator's clock. */
export interface Entry {
  readonly at: number
  readonly kind:
    | "spawn"
    | "register"
    | "register refused"
    | "runtime next"
    | "extension next"
    | "initialized"
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
  | { readonly type: "synchronized"; readonly key: number }
  | { readonly type: "ended"; readonly ended: Ended }
