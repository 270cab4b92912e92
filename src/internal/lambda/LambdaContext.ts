/** Lambda's context object: the facts of one invocation. */
import * as Context from "effect/Context"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"

/** The context object of AWS Lambda: the part that every Node.js runtime provides. */
export interface LambdaContext {
  /** Name of the function. */
  readonly functionName: string
  /** Version of the function: a number, or `$LATEST`. */
  readonly functionVersion: string
  /** ARN by which the function was invoked, with its alias or version. */
  readonly invokedFunctionArn: string
  /** Memory of the function, in megabytes. */
  readonly memoryLimitInMB: string
  /** Id of the invocation. */
  readonly awsRequestId: string
  /** Returns the time until Lambda ends the invocation, in milliseconds. */
  readonly getRemainingTimeInMillis: () => number
}

/** The invocation that a program belongs to. */
export const LambdaContext: Context.Tag<LambdaContext, LambdaContext> = /*#__PURE__*/ Context.GenericTag<LambdaContext>(
  "effect-threadstats/Lambda/LambdaContext"
)

/**
 * The context that `LambdaHandler.fromHttpApi` of `@effect-aws/lambda` provides to its program. Source: `@effect-aws/lambda` 1.5.1,
 * `src/internal/lambdaHandler.ts`.
 */
const EffectAwsContext = /*#__PURE__*/ Context.GenericTag<unknown>("@effect-aws/lambda/LambdaHandler/Context")

const readProperty = (value: unknown, name: string): unknown => {
  try {
    return Predicate.isObject(value) ? Reflect.get(value, name) : undefined
  } catch {
    return undefined
  }
}

/** Finds the context that the runtime has passed to a handler: in this library's service, or in that of `@effect-aws/lambda`. */
export const findContext = (services: Context.Context<never>): unknown =>
  Option.getOrElse(
    Context.getOption(services, LambdaContext),
    () => Option.getOrUndefined(Context.getOption(services, EffectAwsContext))
  )

/**
 * Returns the id of the invocation, or undefined if the context has none. The context of a durable function has none: Lambda may
 * answer an invocation of it while its program is suspended for good.
 */
export const requestIdOf = (context: unknown): string | undefined => {
  const id = readProperty(context, "awsRequestId")
  return typeof id === "string" && id !== "" ? id : undefined
}

/**
 * Returns the time until Lambda ends the invocation, in milliseconds. Infinite beyond the deadline, because Managed Instances let
 * an invocation run on. Undefined if it is unknown. A durable function's context has Lambda's own as `lambdaContext`. Source:
 * `@aws/durable-execution-sdk-js`, `DurableContext`.
 */
export const remainingMillis = (context: unknown): number | undefined => {
  for (const candidate of [context, readProperty(context, "lambdaContext")]) {
    try {
      if (!Predicate.isObject(candidate)) continue
      const left: unknown = (candidate as LambdaContext).getRemainingTimeInMillis()
      if (typeof left === "number" && !Number.isNaN(left)) return left > 0 ? left : Infinity
    } catch {
      // The value is not a context of Lambda.
    }
  }
  return undefined
}
