/** A handler of `@effect-aws/lambda` around `lambdaProgram`. */
import { LambdaHandler } from "@effect-aws/lambda"
import * as Lambda from "effect-threadstats/Lambda"
import * as Effect from "effect/Effect"
import { layer } from "./layer.js"

export const handler = LambdaHandler.make({
  handler: (event: { readonly record: string }) =>
    Lambda.lambdaMetric(event.record, 1).pipe(
      Effect.as({ recorded: event.record }),
      Lambda.lambdaProgram()
    ),
  layer
})
