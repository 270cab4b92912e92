/** The service that runs work after the response. It stands alone so that a handler can use it without its implementation. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** Runs work after the response. */
export class LambdaExtension extends /*#__PURE__*/ Context.Tag("effect-threadstats/LambdaExtension")<LambdaExtension, {
  /**
   * Begins an invocation: the execution environment stays awake until the scope has closed and the work of the invocation has
   * ended. `Lambda.makeHandler` and `Lambda.lambdaProgram` call it.
   *
   * The extension waits for a begin for 20 milliseconds after Lambda has announced an invocation, and then releases it: a
   * handler of another library serves it, or code around the handler has answered it.
   */
  readonly begin: (requestId: string) => Effect.Effect<void, never, Scope.Scope>
  /** Begins an invocation as `begin` does, at once. Returns the function that ends it. */
  readonly unsafeBegin: (requestId: string) => () => void
  /**
   * Starts `work` on a fiber of its own after the response has had time to leave, and keeps the execution environment awake
   * until the work has ended. Returns at once and never fails. Call it last, just before the invocation has its result.
   *
   * - The extension interrupts work that still runs 100 milliseconds before the invocation's deadline, because Lambda would
   *   end the environment.
   * - `work` runs before this effect returns if the environment cannot be kept awake: the extension is not alive, or has
   *   already released the invocation. The caller then waits, and no work is lost.
   */
  readonly afterResponse: (requestId: string, work: Effect.Effect<void>) => Effect.Effect<void>
  /**
   * True while the extension can keep the environment awake. False once its scope is closed, and, after one warning, if
   * Lambda rejects its identifier or cannot be reached.
   */
  readonly isAlive: Effect.Effect<boolean>
}>() {}
