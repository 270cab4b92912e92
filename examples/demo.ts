/**
 * `npm run demo`: an orders service on Lambda, from its function to what Datadog would show.
 *
 * Starts an intake on a free port, bundles `orders/handler.ts`, invokes it with the documents of `orders/events`, and prints the metrics
 * that arrived. `--json` prints one JSON document. The exit code is 1 if a recorded metric did not arrive. `DEMO_API_KEY=wrong npm run
 * demo` uses a key that the intake refuses.
 *
 * `--serve` keeps the page of the intake open and invokes the function again and again, until Ctrl-C.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Config from "effect/Config"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import { build } from "esbuild"
import { createServer } from "node:http"
import { fileURLToPath } from "node:url"
import * as Board from "./orders/board.js"
import { documents, type Name } from "./orders/documents.js"

class Missing extends Data.TaggedError("Missing")<{ readonly names: ReadonlyArray<string> }> {
  override get message() {
    return `did not arrive: ${this.names.join(", ")}`
  }
}

const key = "demo0123456789abcdef"

const bundle = Effect.promise(async () => {
  const outfile = fileURLToPath(new URL("../build/demo/handler.mjs", import.meta.url))
  await build({
    entryPoints: [fileURLToPath(new URL("./orders/handler.ts", import.meta.url))],
    outfile,
    bundle: true,
    minify: true,
    platform: "node",
    format: "esm",
    target: "node20",
    logLevel: "error"
  })
  return outfile
})

/** Loads the bundle like Lambda, with its settings in the environment. */
const load = (intake: string) =>
  Effect.gen(function*() {
    const outfile = yield* bundle
    Object.assign(process.env, {
      AWS_LAMBDA_FUNCTION_NAME: "orders",
      AWS_REGION: "eu-central-1",
      DATADOG_HOST: intake,
      DD_API_KEY: yield* Config.withDefault(Config.string("DEMO_API_KEY"), key),
      DD_ENV: "demo",
      DD_SERVICE: "orders"
    })
    const { handler } = yield* Effect.promise(() => import(outfile))
    return handler as (event: unknown, context: unknown) => Promise<unknown>
  })

const program = Effect.gen(function*() {
  const json = process.argv.includes("--json")
  const intake = yield* LocalIntake.LocalIntake
  const handler = yield* load(intake.url)

  const invoke = (name: Name) =>
    Effect.tryPromise({
      try: () =>
        handler(documents[name], {
          functionName: "orders",
          awsRequestId: name,
          getRemainingTimeInMillis: () => 30_000
        }),
      catch: (error) => error instanceof Error ? `${error.name}: ${error.message}` : String(error)
    }).pipe(
      Effect.either,
      Effect.map((outcome): Board.Invocation => ({
        name,
        outcome: Either.match(outcome, { onLeft: (error) => ({ error }), onRight: (result) => ({ result }) })
      }))
    )
  const invocations = [
    ...yield* Effect.forEach(["queue", "http", "stock", "stock-unreadable"] as const, invoke),
    ...yield* Effect.forEach(["queue", "http"] as const, invoke, { concurrency: "unbounded" })
  ]

  const board = Board.make(invocations, {
    series: yield* intake.series,
    distributions: yield* intake.distributions,
    events: yield* intake.events,
    requests: yield* intake.requests
  })
  process.stdout.write(`${json ? JSON.stringify(board, undefined, 2) : Board.render(board)}\n`)
  if (board.missing.length > 0) yield* new Missing({ names: board.missing })
  if (!process.argv.includes("--serve")) {
    if (!json) process.stdout.write("\nTo look at it in a browser: npm run demo -- --serve\n")
    return
  }
  yield* Effect.promise(() => import("../src/intake/page/build.js"))
  process.stdout.write(`\nThe page is at ${intake.url}, until ctrl-c; the function is invoked every second.\n`)
  const some = Effect.forEach(
    ["queue", "http", "stock", "stock-unreadable"] as const,
    (name) => Effect.flatMap(Random.nextBoolean, (isNext) => isNext ? invoke(name) : Effect.void)
  )
  // The shell of npm does not pass the signal on. A closed input is the only sign that npm has ended.
  const parent = process.ppid
  yield* Effect.repeat(some, { schedule: Schedule.spaced("1 second"), while: () => process.ppid === parent })
})

// Logs of the function and of this program are not part of the output.
console.log = console.error

const server = createServer()

/** A browser keeps connections open, which would keep the server. */
const layerServer = Layer.scopedDiscard(
  Effect.addFinalizer(() => Effect.sync(() => server.closeAllConnections()))
).pipe(Layer.provideMerge(NodeHttpServer.layer(() => server, { port: 0, host: "127.0.0.1" })))

program.pipe(
  Effect.provide(
    LocalIntake.layer({ apiKey: Redacted.make(key), limits: { accepted: 10_000, events: 1000, requests: 1000 } }).pipe(
      Layer.provide(layerServer)
    )
  ),
  NodeRuntime.runMain
)
