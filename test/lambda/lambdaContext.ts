/** Contexts of invocations, as Lambda passes them to handlers. */
import * as Lambda from "effect-threadstats/Lambda"
import * as Effect from "effect/Effect"

/** The context of an invocation that Lambda ends `timeout` milliseconds from now, on the clock of the fiber. */
export const makeLambdaContext = (
  timeout: number,
  overrides: Partial<Lambda.LambdaContext> = {}
): Effect.Effect<Lambda.LambdaContext> =>
  Effect.clockWith((clock) =>
    Effect.sync((): Lambda.LambdaContext => {
      const deadline = clock.unsafeCurrentTimeMillis() + timeout
      return {
        functionName: "orders",
        functionVersion: "$LATEST",
        invokedFunctionArn: "arn:aws:lambda:eu-west-1:123456789012:function:orders",
        memoryLimitInMB: "128",
        awsRequestId: "request",
        getRemainingTimeInMillis: () => deadline - clock.unsafeCurrentTimeMillis(),
        ...overrides
      }
    })
  )

/** Provides an effect with the context of an invocation that Lambda ends `timeout` milliseconds from now. */
export const withLambdaContext = (timeout: number, overrides?: Partial<Lambda.LambdaContext>) =>
  Effect.provideServiceEffect(Lambda.LambdaContext, makeLambdaContext(timeout, overrides))

/** A context without properties, for handlers that read none. */
export const emptyLambdaContext = {} as Lambda.LambdaContext

/** Returns the reason of a promise that rejects. */
export const rejectionOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(() => {
    throw new Error("the promise did not reject")
  }, (error: unknown) => error)
