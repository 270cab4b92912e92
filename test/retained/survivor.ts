/**
 * A client with a store in a directory. In mode `record` it records and flushes until it is killed, and prints the number of
 * each flush whose pending data is in the store. Mode `visit` does the same for twenty flushes. In mode `deliver` it delivers
 * the stored data of earlier processes. `node survivor.mjs record|visit|deliver <directory> <address> <key> <number of this run>`
 */
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as RetainedStore from "effect-threadstats/RetainedStore"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"

const [mode, directory, apiUrl, key, run] = process.argv.slice(2) as [string, string, string, string, string]

const client = ThreadStats.layerHttpClientWith({
  apiUrl,
  apiKey: Redacted.make(key),
  periodicFlush: false,
  // Limits that a busy machine does not reach: a flush that runs out of time does not wait for its store.
  flushTimeout: "5 minutes",
  requestTimeout: "5 minutes"
}).pipe(
  Layer.provide(FetchHttpClient.layer),
  Layer.provide(RetainedStore.layerFileSystem(directory)),
  Layer.provide(NodeContext.layer)
)

const print = (line: unknown) => Effect.sync(() => process.stdout.write(`${JSON.stringify(line)}\n`))

/** False from the moment a flush warns that the store failed or is late. */
let isStored = true

/** Prints warnings about the store to standard error, where the test expects nothing. */
const logger = Logger.make(({ message }) => {
  const text = String(message)
  if (!text.startsWith("The retained store")) return
  isStored = false
  process.stderr.write(`${text}\n`)
})

const record = Effect.iterate(1, {
  while: (n) => mode === "record" || n <= 20,
  body: Effect.fnUntraced(function*(n) {
    yield* ThreadStats.increment("c", 1)
    yield* ThreadStats.distribution("d", Number(run) * 100_000 + n)
    if (n === 1) yield* ThreadStats.event(`${run}/${n}`, "left behind")
    yield* ThreadStats.flush()
    if (isStored) yield* print(n)
    return n + 1
  })
})

const deliver = Effect.zipRight(ThreadStats.flush(), Effect.flatMap(ThreadStats.stats, print))

void Effect.runPromise(
  Effect.asVoid<unknown, never, ThreadStats.ThreadStats>(mode === "deliver" ? deliver : record).pipe(
    Effect.provide(client),
    Effect.provide(Logger.replace(Logger.defaultLogger, logger))
  )
)
