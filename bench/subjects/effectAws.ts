import * as LambdaHandler from "@effect-aws/lambda/LambdaHandler"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Handler } from "../children/warm.js"

export const make = async (): Promise<Handler> =>
  LambdaHandler.make({ handler: () => Effect.succeed("done"), layer: Layer.empty }) as unknown as Handler
