/**
 * What Datadog's own Lambda libraries tell of invocations. Source: datadog-lambda-js and datadog-lambda-python; the facts
 * are collected in docs/lambda.md.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Exit from "effect/Exit"
import type { LambdaContext } from "../../Lambda.js"
import type { ThreadStats } from "../../ThreadStats.js"

/** An environment, as far as its invocations have to know. */
export interface Environment {
  /** When it began to initialise, in milliseconds since the epoch. */
  readonly started: number
  /** Whether there has been an invocation. */
  used: boolean
}

export const makeEnvironment = (): Environment => ({ started: Clock.make().unsafeCurrentTimeMillis(), used: false })

/** How an invocation found its environment. */
export interface Start {
  readonly cold: boolean
  /** The environment was there long before it was needed. */
  readonly proactive: boolean
}

export const Start = Context.GenericTag<Start>("effect-threadstats/Lambda/Start")

/** From here on an environment counts as initialised ahead of need, in milliseconds. */
const proactiveAfter = 10_000

/** How the next invocation finds it. */
export const startOf = (environment: Environment, clock: () => Clock.Clock): Start => {
  if (environment.used) return warmStart
  environment.used = true
  const proactive = clock().unsafeCurrentTimeMillis() - environment.started > proactiveAfter
  return { cold: !proactive, proactive }
}

const warmStart: Start = { cold: false, proactive: false }

const runtimes: ReadonlySet<string> = /*#__PURE__*/ new Set(["18", "20", "22", "24"])

/** `arn:aws:lambda:<region>:<account>:function:<name>`, and for an alias or version `:<alias>`. */
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

export const tagsOf = (
  context: LambdaContext,
  start: Start | undefined,
  nodeVersion: string
): ReadonlyArray<string> => {
  const major = nodeVersion.split(".", 1)[0]!
  return [
    ...tagsOfArn(String(context.invokedFunctionArn ?? ""), context.functionVersion),
    ...(context.memoryLimitInMB ? [`memorysize:${context.memoryLimitInMB}`] : []),
    ...(start === undefined ? [] : [`cold_start:${start.cold}`]),
    ...(start?.proactive === true ? ["proactive_initialization:true"] : []),
    ...(runtimes.has(major) ? [`runtime:nodejs${major}.x`] : [])
  ]
}

/** Everything of an answer may be the user's own, getters included. */
const read = <A>(look: () => A): A | undefined => {
  try {
    return look()
  } catch {
    return undefined
  }
}

const isServerError = (result: unknown): boolean =>
  read(() => /^5\d\d$/.test(String((result as { statusCode?: unknown } | null)?.statusCode))) === true

const batchItemFailures = (result: unknown): number =>
  read(() => {
    const failures = (result as { batchItemFailures?: unknown } | null)?.batchItemFailures
    return Array.isArray(failures) ? failures.length : 0
  }) ?? 0

/** Records how an invocation began and ended; changes neither. */
export const record = (
  client: ThreadStats["Type"],
  tags: ReadonlyArray<string>
): {
  readonly begin: () => void
  readonly end: (exit: Exit.Exit<unknown, unknown>) => void
} => {
  const count = (name: string, value: number) => client.unsafeDistribution(`${prefix}${name}`, value, { tags })
  return {
    begin: () => count("invocations", 1),
    end: (exit) => {
      if (Exit.isFailure(exit) || isServerError(exit.value)) count("errors", 1)
      const failures = Exit.isSuccess(exit) ? batchItemFailures(exit.value) : 0
      if (failures > 0) count("batch_item_failures", failures)
    }
  }
}

const prefix = "aws.lambda.enhanced."
