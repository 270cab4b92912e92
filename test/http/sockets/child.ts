/**
 * Records for every address, and flushes when the layer closes. Then it prints the number of timers that still hold the process.
 * Nothing here ends the process: `node child.mjs <transport> <address>…`
 */
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { makeClient, record, type TransportName, transports } from "./client.js"

for (const event of ["uncaughtException", "unhandledRejection"]) {
  process.on(event, (fault: unknown) => {
    process.exitCode = 70
    console.error(event, fault)
  })
}

const [name, ...addresses] = process.argv.slice(2)

const program = Effect.forEach(
  addresses,
  (address) => Effect.provide(record, makeClient(address, transports[name as TransportName], "1 second")),
  { concurrency: 8, discard: true }
)

void Effect.runPromise(Effect.provide(program, Logger.remove(Logger.defaultLogger))).then(() => {
  const timers = process.getActiveResourcesInfo().filter((resource) => resource === "Timeout")
  console.log(`finished, ${timers.length} timers`)
})
