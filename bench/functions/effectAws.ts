import * as LambdaHandler from "@effect-aws/lambda/LambdaHandler"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

export const handler = LambdaHandler.make({ handler: () => Effect.succeed("done"), layer: Layer.empty })
