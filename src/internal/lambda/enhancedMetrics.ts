/** The metrics and tags of Datadog's own Lambda libraries. Source: datadog-lambda-js and datadog-lambda-python; see docs/lambda.md. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import { ThreadStats } from "../../ThreadStats.js"
import { findContext, type LambdaContext } from "./LambdaContext.js"

/** The state of the execution environment when an invocation started. */
export interface InitState {
  readonly isColdStart: boolean
  /** True if Lambda initialized the environment long before its first invocation. */
  readonly isProactive: boolean
}

export const InitState = /*#__PURE__*/ Context.GenericTag<InitState>("effect-threadstats/Lambda/InitState")

/** Time from the initialization of an environment to its first invocation that makes it a proactive one, in milliseconds. */
const proactiveAfterMillis = 10_000

/** The state for every invocation but the first. */
export const warmStart: InitState = { isColdStart: false, isProactive: false }

/** Starts to observe an execution environment. The function provides the program of the first invocation with the state of a first one. */
export const makeProvideInitState = (): <A, E, R>(program: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> => {
  const startedAt = Clock.make().unsafeCurrentTimeMillis()
  let isWarm = false
  return (program) => {
    if (isWarm) return program
    isWarm = true
    return Effect.clockWith((clock) => {
      const isProactive = clock.unsafeCurrentTimeMillis() - startedAt > proactiveAfterMillis
      return Effect.provideService(program, InitState, { isColdStart: !isProactive, isProactive })
    })
  }
}

const knownNodeVersions: ReadonlySet<string> = /*#__PURE__*/ new Set(["18", "20", "22", "24"])

/** Reads `arn:aws:lambda:<region>:<account>:function:<name>`, optionally followed by `:<alias or version>`. */
const tagsOfArn = (arn: string, functionVersion: string): ReadonlyArray<string> => {
  const [, , , region, account, , name, alias] = arn.split(":")
  if (region === undefined || account === undefined || name === undefined) return []
  return [
    `region:${region}`,
    `account_id:${account}`,
    `functionname:${name}`,
    alias === undefined ? `resource:${name}` : `resource:${name}:${alias.replace(/^\$/, "")}`,
    ...(alias !== undefined && /^[^$\d]/.test(alias) ? [`executedversion:${functionVersion}`] : [])
  ]
}

const tagsOfInvocation = (context: LambdaContext, initState: InitState | undefined): ReadonlyArray<string> => {
  const nodeVersion = process.versions.node.split(".", 1)[0]!
  return [
    ...tagsOfArn(String(context.invokedFunctionArn ?? ""), context.functionVersion),
    ...(context.memoryLimitInMB ? [`memorysize:${context.memoryLimitInMB}`] : []),
    ...(initState === undefined ? [] : [`cold_start:${initState.isColdStart}`]),
    ...(initState?.isProactive === true ? ["proactive_initialization:true"] : []),
    ...(knownNodeVersions.has(nodeVersion) ? [`runtime:nodejs${nodeVersion}.x`] : [])
  ]
}

/** Returns the tags of the current invocation, or none outside an invocation. */
export const contextTags: Effect.Effect<ReadonlyArray<string>> = /*#__PURE__*/ Effect.contextWith(
  (services: Context.Context<never>) => {
    const context = findContext(services)
    if (!Predicate.isObject(context)) return []
    const initState = Option.getOrUndefined(Context.getOption(services, InitState))
    return readOrUndefined(() => tagsOfInvocation(context as LambdaContext, initState)) ?? []
  }
)

/** Reads a part of a user's value, whose getters may throw. */
const readOrUndefined = <A>(read: () => A): A | undefined => {
  try {
    return read()
  } catch {
    return undefined
  }
}

const isServerError = (result: unknown): boolean =>
  readOrUndefined(() => /^5\d\d$/.test(String((result as { statusCode?: unknown } | null)?.statusCode))) === true

const countBatchItemFailures = (result: unknown): number =>
  readOrUndefined(() => {
    const failures = (result as { batchItemFailures?: unknown } | null)?.batchItemFailures
    return Array.isArray(failures) ? failures.length : 0
  }) ?? 0

/** Records the start and the end of an invocation. Changes neither. */
export const recordInvocation = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | ThreadStats> =>
  Effect.gen(function*() {
    const client = yield* ThreadStats
    const tags = yield* contextTags
    const count = (name: string, value: number) =>
      client.unsafeDistribution(`aws.lambda.enhanced.${name}`, value, { tags })
    return yield* Effect.sync(() => count("invocations", 1)).pipe(
      Effect.zipRight(effect),
      Effect.onExit((exit) =>
        Effect.sync(() => {
          if (Exit.isFailure(exit) || isServerError(exit.value)) count("errors", 1)
          const failures = Exit.isSuccess(exit) ? countBatchItemFailures(exit.value) : 0
          if (failures > 0) count("batch_item_failures", failures)
        })
      )
    )
  })
