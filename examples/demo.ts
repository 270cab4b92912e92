/**
 * `npm run demo`: an orders service on Lambda, from its function to what Datadog would show.
 *
 * Starts an intake on a free port, bundles `orders/handler.ts`, invokes it with the documents of `orders/events`, and
 * prints what arrived. `--json` prints it as one JSON document. Ends with 1 if anything recorded did not arrive; to see
 * that, give the function a key that the intake refuses: `DEMO_API_KEY=wrong npm run demo`.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Config from "effect/Config"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
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

/** Loads the bundle as Lambda would: with its settings in the environment. */
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
      try: () => handler(documents[name], { functionName: "orders", awsRequestId: name }),
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
  if (board.missing.length > 0) return yield* new Missing({ names: board.missing })
})

// what the function and this program log is no part of the output
console.log = console.error

program.pipe(
  Effect.provide(
    LocalIntake.layer({ apiKey: Redacted.make(key) }).pipe(
      Layer.provide(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" }))
    )
  ),
  NodeRuntime.runMain
)
