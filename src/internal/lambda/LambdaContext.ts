/** Lambda's context object: the facts of one invocation. */
import * as Context from "effect/Context"

/** The context object of AWS Lambda: the part that every Node.js runtime provides. */
export interface LambdaContext {
  readonly functionName: string
  readonly functionVersion: string
  readonly invokedFunctionArn: string
  /** Memory of the function, in megabytes. */
  readonly memoryLimitInMB: string
  readonly awsRequestId: string
  /** Returns the time until Lambda ends the invocation, in milliseconds. */
  readonly getRemainingTimeInMillis: () => number
}

/** The invocation that a program belongs to. */
export const LambdaContext: Context.Tag<LambdaContext, LambdaContext> = /*#__PURE__*/ Context.GenericTag<LambdaContext>(
  "effect-threadstats/Lambda/LambdaContext"
)

/** Returns the time until Lambda ends the invocation, in milliseconds. Infinite if that is unknown. */
export const remainingMillis = (context: LambdaContext | undefined): number => {
  try {
    const left: unknown = context?.getRemainingTimeInMillis()
    // Managed Instances let an invocation run beyond its deadline.
    return typeof left === "number" && left > 0 ? left : Infinity
  } catch {
    return Infinity
  }
}
