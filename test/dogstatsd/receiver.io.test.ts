import { describe } from "@effect/vitest"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { udpServer } from "../support/dogstatsd.js"
import { eventually, nextTurn } from "../support/wait.js"
import { linesIn } from "./encoding.js"
import { connectInProcess, type Connection, simulations } from "./simulation.js"

describe.concurrent("totals at a receiver of DogStatsD over UDP", () => {
  simulations(
    4,
    Effect.map(udpServer(), (server): Connection => {
      let read = 0
      return {
        layerClient: (delivery, options) =>
          ThreadStats.layerDogStatsDWith({
            periodicFlush: false,
            ...options,
            dogstatsd: { url: server.url, originDetection: false, ...delivery }
          }).pipe(Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map())))),
        receive: (bytes) =>
          Effect.map(eventually(() => server.bytes() >= bytes), () => {
            const lines = linesIn(server.packets.slice(read))
            read = server.packets.length
            return lines
          })
      }
    })
  )
})

describe("totals at a receiver of encoded DogStatsD lines", () => {
  // a simulation runs without a turn of the event loop; Vitest needs one to receive answers from its main process
  simulations(10, Effect.zipRight(nextTurn, connectInProcess))
})
