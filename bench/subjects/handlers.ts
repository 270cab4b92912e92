/** Handlers that record nothing, or one count. */
import * as Lambda from "effect-threadstats/Lambda"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Handler } from "../children/warm.js"
import { makeLifecycle } from "./lifecycle.js"
import { intake, unlimited } from "./threadstats.js"

export const makeBare = async (): Promise<Handler> => async () => "done"

export const makeEffect = async (): Promise<Handler> => () => Effect.runPromise(Effect.succeed("done"))

/** A floor: the lifecycle alone. */
export const makeFloor = async (): Promise<Handler> => makeLifecycle(Effect.void)

const layer = Layer.provide(
  ThreadStats.layerHttpClientWith({ ...unlimited, flushTimeout: "5 seconds" }),
  intake().layer
)

/** Nothing is recorded, so nothing leaves. */
export const makeThreadStats = async (): Promise<Handler> => {
  const handler = Lambda.makeHandler({ handler: () => Effect.succeed("done"), layer })
  await handler.ready
  return handler
}

/** One count is recorded, and flushed up to the body. */
export const makeRecording = async (): Promise<Handler> => {
  const handler = Lambda.makeHandler({
    handler: () => Effect.as(ThreadStats.increment("orders.received", 1, { tags: ["shop:eu"] }), "done"),
    layer
  })
  await handler.ready
  return handler
}
