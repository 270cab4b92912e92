/** A handler of `@effect-aws/lambda` around `lambdaProgram`. */
import { LambdaHandler } from "@effect-aws/lambda"
import * as Lambda from "effect-threadstats/Lambda"
import * as Effect from "effect/Effect"
import { layer } from "./layer.js"

export const handler = LambdaHandler.make({
  handler: Lambda.lambdaProgram((event: { readonly record: string }) =>
    Effect.as(Lambda.lambdaMetric(event.record, 1), { recorded: event.record })
  ),
  layer
})
