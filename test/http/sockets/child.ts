/**
 * Records for every address it is given, has it flushed when the layer closes, and says when it is over. Nothing here ends
 * the process: `node child.mjs <http client> <address>…`
 */
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { client, type ClientName, record, transports } from "./client.js"

for (const event of ["uncaughtException", "unhandledRejection"]) {
  process.on(event, (fault: unknown) => {
    process.exitCode = 70
    console.error(event, fault)
  })
}

const [name, ...addresses] = process.argv.slice(2)

const program = Effect.forEach(
  addresses,
  (address) => Effect.provide(record, client(address, transports[name as ClientName])),
  { concurrency: 8, discard: true }
)

void Effect.runPromise(Effect.provide(program, Logger.remove(Logger.defaultLogger))).then(() => {
  console.log("over")
})
