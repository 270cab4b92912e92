/**
 * A client with a store in a directory. It records and flushes, and says so, until it is killed; or it delivers what others left.
 * `node survivor.mjs record|deliver <directory> <address> <key> <name of this run>`
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

const client = ThreadStats.layerHttpWith({
  apiUrl,
  apiKey: Redacted.make(key),
  periodicFlush: false,
  flushTimeout: mode === "record" ? "1 second" : "20 seconds",
  requestTimeout: "20 seconds"
}).pipe(
  Layer.provide(FetchHttpClient.layer),
  Layer.provide(RetainedStore.layerFileSystem(directory)),
  Layer.provide(NodeContext.layer)
)

const print = (line: unknown) => Effect.sync(() => process.stdout.write(`${JSON.stringify(line)}\n`))

const record = Effect.iterate(1, {
  while: () => true,
  body: Effect.fnUntraced(function*(n) {
    yield* ThreadStats.increment("c", 1)
    yield* ThreadStats.distribution("d", Number(run) * 100_000 + n)
    if (n === 1) yield* ThreadStats.event(`${run}/${n}`, "left behind")
    yield* ThreadStats.flush()
    yield* print(n)
    return n + 1
  })
})

const deliver = Effect.zipRight(ThreadStats.flush(), Effect.flatMap(ThreadStats.stats, print))

void Effect.runPromise(
  Effect.asVoid<unknown, never, ThreadStats.ThreadStats>(mode === "record" ? record : deliver).pipe(
    Effect.provide(client),
    Effect.provide(Logger.remove(Logger.defaultLogger))
  )
)
