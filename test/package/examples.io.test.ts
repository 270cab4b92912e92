import { assert, describe, it } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { build } from "esbuild"
import { execFile } from "node:child_process"
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { afterAll, beforeAll } from "vitest"
import * as Board from "../../examples/orders/board.js"
import * as Emulator from "../emulator/client.js"
import type { Entry } from "../emulator/protocol.js"
import { node, run } from "../support/childProcess.js"
import * as Feed from "../support/feed.js"
import { layerIntake } from "../support/intake.js"

/** Time limits that a busy machine does not reach. */
const limits = { DD_THREADSTATS_FLUSH_TIMEOUT: "60 seconds", DD_THREADSTATS_REQUEST_TIMEOUT: "60 seconds" }

const tsx = (args: ReadonlyArray<string>, env: Record<string, string> = {}) =>
  node(["--import", "tsx", ...args], { ...limits, ...env })

describe("examples/demo", () => {
  const demo = (args: ReadonlyArray<string>, env?: Record<string, string>) =>
    Effect.scoped(Effect.flatMap(tsx(["examples/demo.ts", ...args], env), (child) => child.ended))

  it.live("prints the metrics, events and requests that arrived, and exits with 0", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* demo([])
      assert.strictEqual(code, 0, stderr)
      assert.strictEqual(stderr, "")
      const lines = stdout.trimEnd().split("\n")
      assert.isTrue(lines.every((line) => line === line.trimEnd()))
      const line = (pattern: RegExp) => assert.isTrue(lines.some((line) => pattern.test(line)), `${pattern}\n${stdout}`)
      line(/^metric +kind +tags +value$/)
      line(/^orders\.received +distribution +source:queue env:demo service:orders +count \d {2}sum 4 /)
      line(
        /^orders\.value +distribution +currency:eur .* +count 4 {2}sum 298\.8 {2}min 19\.9 {2}avg 74\.7 {2}max 129\.5$/
      )
      line(/^stock\.level +gauge +warehouse:leipzig sku:lamp .* +38$/)
      line(/^stock-unreadable +failed: UnreadableStockCount: event \S+ holds no stock count$/)
      line(/^Payment declined +the payment of order o-1002 was declined +order:o-1002 /)
      line(/^POST \/api\/v1\/series +202 +\d+/)
      line(/^Everything that was recorded arrived\.$/)
    }))

  it.live("prints one JSON document when `--json` is given", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* demo(["--json"])
      assert.strictEqual(code, 0)
      const board: Board.Board = JSON.parse(stdout)
      assert.deepStrictEqual(board.missing, [])
      assert.lengthOf(board.invocations, 6)
      const bulbs = board.metrics.find(({ metric, tags }) => metric === "orders.units" && tags.includes("sku:bulb"))
      assert.deepInclude(bulbs, { kind: "distribution", tags: ["sku:bulb", "env:demo", "service:orders"] })
      assert.deepInclude(bulbs?.value, { sum: 20 })
      assert.lengthOf(board.events, 2)
      assert.deepInclude(board.requests, {
        method: "GET",
        endpoint: "/api/v1/validate",
        status: 200,
        bytes: 0,
        encoding: "identity"
      })

      // The comparison of the demo notices the absence of every row.
      const names = board.invocations.map(({ name }) => name)
      const expected = Board.expected(names)
      assert.isAbove(expected.size, 15)
      const compared = new Set([...expected.keys()].map((key) => key.split(" ")[0]))
      for (const row of board.metrics.filter(({ metric }) => compared.has(metric))) {
        const metrics = board.metrics.filter((other) => other !== row)
        assert.isNotEmpty(Board.compare(expected, { ...board, metrics }), row.metric)
      }
      assert.isNotEmpty(Board.compare(expected, { ...board, events: board.events.slice(1) }))
      assert.isNotEmpty(Board.compare(Board.expected([...names, "stock"]), board))
    }))

  it.live("exits with 1 and names the missing metrics when the intake refuses the key", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* demo(["--json"], { DEMO_API_KEY: "wrong" })
      assert.strictEqual(code, 1)
      const board: Board.Board = JSON.parse(stdout)
      assert.deepStrictEqual(board.metrics, [])
      assert.includeMembers([...board.missing], ["stock.counts sum: 2 recorded, 0 arrived"])
      assert.isTrue(board.requests.every(({ status }) => status === 403))
      assert.include(stderr, "did not arrive: ")
    }))

  it.scopedLive("invokes the function until SIGTERM when `--serve` is given, also while a reader follows the feed", () =>
    Effect.gen(function*() {
      const child = yield* tsx(["examples/demo.ts", "--serve"])
      const isUrl = (line: string) => /^The page is at (http:\S+), until/.exec(line)?.[1]
      const line = yield* Effect.repeat(child.line, { until: (line) => isUrl(line) !== undefined })
      const reader = yield* Feed.open(isUrl(line)!)
      const { requests } = yield* reader.next("snapshot")
      yield* reader.next("update", (update) => update.requests.length > 0)
      assert.isAbove(requests.length, 5)
      yield* child.kill("SIGTERM")
      assert.strictEqual((yield* child.ended).signal, null)
      yield* reader.ended
    }))

  it.scopedLive("serves the page, and ends when the npm that started it ends", () =>
    Effect.gen(function*() {
      const npm = yield* run(["npm", "run", "demo", "--", "--serve"], {})
      const isUrl = (line: string) => /^The page is at (http:\S+), until/.exec(line)?.[1]
      const line = yield* Effect.repeat(npm.line, { until: (line) => isUrl(line) !== undefined })
      const response = yield* Effect.promise(() => fetch(isUrl(line)!, { headers: { accept: "text/html" } }))
      assert.include(yield* Effect.promise(() => response.text()), "<title>Local intake</title>")
      yield* npm.kill("SIGTERM")
      // The output of npm closes when the demo, which inherited it, has ended as well.
      yield* npm.ended
    }))
})

describe("examples of the README", () => {
  const key = "0123456789abcdef"
  const withIntake = <A, E>(
    test: (
      intake: LocalIntake.LocalIntake["Type"],
      env: Record<string, string>
    ) => Effect.Effect<A, E, import("effect/Scope").Scope>
  ) =>
    LocalIntake.LocalIntake.pipe(
      Effect.flatMap((intake) => test(intake, { DATADOG_HOST: intake.url, DD_API_KEY: key })),
      Effect.scoped,
      Effect.provide(layerIntake({ apiKey: Redacted.make(key) }))
    )

  it.live("program.ts delivers its metrics and exits with 0", () =>
    withIntake((intake, env) =>
      Effect.gen(function*() {
        const { code, stderr } = yield* Effect.flatMap(tsx(["examples/program.ts"], env), (child) => child.ended)
        assert.strictEqual(code, 0, stderr)
        const series = yield* intake.series
        assert.includeMembers(series.map(({ metric }) => metric), ["jobs.started", "jobs.duration.max", "jobs.waiting"])
      })
    ))

  it.live("handler.ts delivers its metrics before it answers", () =>
    withIntake((intake, env) =>
      Effect.gen(function*() {
        const child = yield* tsx(["test/lambda/environment.ts", "../../examples/handler.ts"], {
          ...env,
          AWS_LAMBDA_FUNCTION_NAME: "orders"
        })
        yield* child.write({ orderId: "o-1", total: 12.5 })
        assert.strictEqual(yield* child.line, "> {\"value\":{\"accepted\":\"o-1\"}}")
        const [distribution] = yield* intake.distributions
        assert.deepInclude(distribution, { metric: "orders.value", tags: ["shop:eu"] })
      })
    ))
})

describe.concurrent("examples/lambda", () => {
  const key = "0123456789abcdef0123456789abcdef"
  const root = fileURLToPath(new URL("../..", import.meta.url))
  const builds = join(root, "build/test-examples")
  /** A folder that contains the deployed files only. */
  let machine: string

  const textOf = (folder: string) =>
    readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => readFileSync(join(folder, name), "utf8"))
      .join("\n")
  const find = (pattern: RegExp, text: string): ReadonlyArray<string> => {
    const found = pattern.exec(text)
    assert.isNotNull(found, `${pattern}`)
    return found!
  }

  /** Runs the build command that an example documents, in a copy of its folder. */
  const buildExample = async (name: string) => {
    const folder = join(builds, name)
    cpSync(join(root, "examples/lambda", name), folder, { recursive: true })
    const [, args] = find(/npx esbuild (.+)/, textOf(folder))
    await promisify(execFile)(join(root, "node_modules/.bin/esbuild"), [...args!.split(" "), "--log-level=warning"], {
      cwd: folder
    })
    return folder
  }

  /** Deploys the zip of an example, and returns the command that starts AWS's runtime with its handler. */
  const deployZip = async (name: string): Promise<ReadonlyArray<string>> => {
    const folder = await buildExample(name)
    const text = readFileSync(join(folder, "handler.ts"), "utf8")
    const [, directory, archived] = find(/cd (\S+) && zip \S+ (\S+)/, text)
    const [, file, exported] = find(/handler is `(\w+)\.(\w+)`/, text)
    const task = join(machine, name)
    cpSync(join(folder, directory!, archived!), join(task, archived!))
    return [process.execPath, join(builds, "emulator/ric.mjs"), join(task, `${file}.mjs`), exported!]
  }

  interface Image {
    readonly command: ReadonlyArray<string>
    readonly variables: Readonly<Record<string, string>>
  }

  /** Deploys the image of an example. It follows the instructions that the Dockerfile uses, and fails for any other. */
  const deployImage = async (name: string): Promise<Image> => {
    const context = await buildExample(name)
    const files = join(machine, name)
    const variables: Record<string, string> = {}
    let command: ReadonlyArray<string> = []
    let directory = "/"
    for (const line of readFileSync(join(context, "Dockerfile"), "utf8").split("\n")) {
      if (line === "" || line.startsWith("#")) continue
      const [, instruction, rest] = find(/^([A-Z]+) (.+)$/, line)
      switch (instruction) {
        case "FROM": {
          const [, major] = find(/^node:(\d+)-slim$/, rest!)
          const [, target] = find(/--target=node(\d+) /, textOf(context))
          assert.isAtLeast(Number(major), Number(target))
          break
        }
        case "ENV": {
          const [, variable, value] = find(/^(\w+)=(\S+)$/, rest!)
          variables[variable!] = value!
          break
        }
        case "WORKDIR": {
          directory = resolve(directory, rest!)
          mkdirSync(join(files, directory), { recursive: true })
          break
        }
        case "COPY": {
          const [, source, target] = find(/^(\S+) (\.\/)$/, rest!)
          cpSync(join(context, source!), join(files, directory, target!, source!.split("/").at(-1)!))
          break
        }
        case "ENTRYPOINT": {
          command = ["sh", "-c", "cd \"$0\" && exec \"$@\"", join(files, directory), ...JSON.parse(rest!)]
          break
        }
        default:
          assert.fail(line)
      }
    }
    return { command, variables }
  }

  /** Deploys an example with its compile cache, which the documented commands create. */
  const deployCached = async (name: string): Promise<ReadonlyArray<string>> => {
    const folder = await buildExample(name)
    const text = readFileSync(join(folder, "handler.ts"), "utf8")
    const [, source, target, program] = find(/cp (\S+) (\S+) && node (\S+)/, text)
    cpSync(join(folder, source!), join(folder, target!, source!))
    await promisify(execFile)(process.execPath, [program!], { cwd: folder })
    const [, directory, archived] = find(/cd (\S+) && zip \S+ (.+)/, text)
    const [, file, exported] = find(/handler is `(\w+)\.(\w+)`/, text)
    const task = join(machine, name)
    for (const each of archived!.split(" ")) cpSync(join(folder, directory!, each), join(task, each))
    return [process.execPath, join(builds, "emulator/ric.mjs"), join(task, `${file}.mjs`), exported!]
  }

  const images: Record<string, Image> = {}

  beforeAll(async () => {
    rmSync(builds, { recursive: true, force: true })
    machine = mkdtempSync(join(tmpdir(), "effect-threadstats-examples-"))
    const [emulator, zip, streaming, container, effectAws, fromCache] = await Promise.all([
      build({
        entryPoints: ["emulator", "ric"].map((name) => join(root, `test/emulator/${name}.ts`)),
        outdir: join(builds, "emulator"),
        outExtension: { ".js": ".mjs" },
        bundle: true,
        platform: "node",
        format: "esm",
        logLevel: "error"
      }),
      deployZip("zip"),
      deployZip("streaming"),
      deployImage("container"),
      deployZip("effect-aws"),
      deployCached("cached")
    ])
    assert.isEmpty(emulator.errors)
    Object.assign(images, {
      zip: { command: zip, variables: { STOCK: "{\"lamp\":40}" } },
      streaming: { command: streaming, variables: { PRICES: "{\"lamp\":12.5,\"desk\":80}" } },
      torn: { command: streaming, variables: { PRICES: "{\"lamp\":12.5,\"rug\":null}" } },
      cached: { command: fromCache, variables: {} },
      container: { command: container.command, variables: { ...container.variables, RATES: "{\"DE\":4.5}" } },
      "effect-aws": { command: effectAws, variables: { LINKS: "{\"docs\":\"https://example.com/docs\"}" } }
    })
  })

  afterAll(() => rmSync(machine, { recursive: true, force: true }))

  const inEnvironment = (
    title: string,
    name: string,
    test: (
      emulator: Emulator.Emulator,
      intake: LocalIntake.LocalIntake["Type"]
    ) => Effect.Effect<void, unknown, Scope.Scope>
  ) =>
    it.scopedLive(title, () =>
      Effect.gen(function*() {
        const intake = yield* LocalIntake.LocalIntake
        const { command, variables } = images[name]!
        const emulator = yield* Emulator.start(join(builds, "emulator/emulator.mjs"), {
          command,
          timeout: 120_000,
          initTimeout: 120_000,
          killDelay: 60_000,
          variables: { ...limits, ...variables, DATADOG_HOST: intake.url, DD_API_KEY: key }
        })
        yield* Effect.raceFirst(
          emulator.until("initialized"),
          Effect.map(emulator.until("ended"), () => assert.fail(JSON.stringify(emulator.log)))
        )
        yield* test(emulator, intake)
        assert.notInclude(emulator.output(), "WARN")
      }).pipe(Effect.provide(layerIntake({ apiKey: Redacted.make(key) }))))

  /** The values of each distribution that arrived, by name and tags. Durations are counted. */
  const arrived = (intake: LocalIntake.LocalIntake["Type"]) =>
    Effect.map(intake.distributions, (all) => {
      const values: Record<string, Array<number> | number> = {}
      for (const { metric, points, tags } of all) {
        const name = [metric, ...(tags ?? [])].join(" ")
        const before = values[name]
        const more = points.flatMap(([, values]) => values)
        values[name] = metric.endsWith(".duration")
          ? ((before ?? 0) as number) + more.length
          : [...(before ?? []) as Array<number>, ...more]
      }
      return values
    })

  const kindsOf = (log: ReadonlyArray<Entry>) => log.map(({ kind }) => kind)

  it("is linked from docs/lambda.md, example by example", () => {
    const links = readFileSync(join(root, "docs/lambda.md"), "utf8").matchAll(/\]\(\.\.\/examples\/lambda\/([^)]+)\)/g)
    const linked = Array.from(links, ([, path]) => path!)
    assert.sameMembers(linked.map((path) => path.split("/")[0]!), readdirSync(join(root, "examples/lambda")))
    for (const path of linked) assert.isTrue(existsSync(join(root, "examples/lambda", path)), path)
  })

  const arn = [
    "region:eu-west-1",
    "account_id:123456789012",
    "functionname:emulated",
    "resource:emulated",
    "memorysize:128"
  ]
  const runtime = `runtime:nodejs${process.versions.node.split(".")[0]}.x`

  inEnvironment(
    "zip answers for each record of a batch, and delivers after the response",
    "zip",
    (emulator, intake) =>
      Effect.gen(function*() {
        const order = (messageId: string, quantity?: number) => ({
          messageId,
          body: JSON.stringify({ orderId: messageId, sku: "lamp", quantity })
        })
        const { payload, status } = yield* emulator.finish({
          Records: [order("m-1", 3), order("m-2", 38), order("m-3")]
        })
        assert.strictEqual(status, "response")
        assert.deepStrictEqual(payload, {
          batchItemFailures: [{ itemIdentifier: "m-2" }, { itemIdentifier: "m-3" }]
        })
        const enhanced = [...arn, "cold_start:true", runtime, "service:orders"].join(" ")
        assert.deepStrictEqual(yield* arrived(intake), {
          "orders.reserved sku:lamp service:orders": [3],
          "orders.failed reason:OutOfStock service:orders": [1],
          "orders.failed reason:ParseError service:orders": [1],
          "orders.stock.duration outcome:taken service:orders": 1,
          "orders.stock.duration outcome:refused service:orders": 1,
          [`aws.lambda.enhanced.invocations ${enhanced}`]: [1],
          [`aws.lambda.enhanced.batch_item_failures ${enhanced}`]: [2]
        })
        const [gauge] = yield* intake.series
        assert.strictEqual(gauge?.metric, "orders.stock.level")
        assert.deepStrictEqual(gauge?.points.map(([, value]) => value), [37])
        const [event] = yield* intake.events
        assert.deepInclude(event, { text: "there is not enough of lamp for order m-2", alert_type: "warning" })

        // The function registers its extension before the first invocation.
        yield* emulator.until("freeze")
        const before = kindsOf(emulator.log).slice(0, kindsOf(emulator.log).indexOf("initialized"))
        assert.include(before, "register")
        const { killed, signal } = yield* emulator.shutdown
        assert.isFalse(killed)
        assert.strictEqual(signal, "SIGTERM")
      })
  )

  inEnvironment(
    "container serves invocations through the entry point of its image",
    "container",
    (emulator, intake) =>
      Effect.gen(function*() {
        const quoted = yield* emulator.finish({ country: "DE", kilograms: 2.5 })
        assert.strictEqual(quoted.status, "response")
        assert.deepStrictEqual(quoted.payload, { price: 11.25 })
        const made = {
          "quotes.made service:quotes": [1],
          "quotes.price country:DE service:quotes": [11.25],
          "quotes.duration service:quotes": 1
        }
        assert.deepStrictEqual(yield* arrived(intake), made)

        const refused = yield* emulator.finish({ country: "FR", kilograms: 1 })
        assert.strictEqual(refused.status, "error")
        assert.deepInclude(refused.payload, { errorType: "NoRate", errorMessage: "there is no rate for FR" })
        assert.deepStrictEqual(yield* arrived(intake), {
          ...made,
          "quotes.duration service:quotes": 2,
          [["quotes.refused reason:NoRate", ...arn, runtime, "service:quotes"].join(" ")]: [1]
        })
      })
  )

  inEnvironment(
    "cached delivers its metrics before it answers",
    "cached",
    (emulator, intake) =>
      Effect.gen(function*() {
        const { payload, status } = yield* emulator.finish({ orderId: "o-1", total: 12.5 })
        assert.strictEqual(status, "response")
        assert.deepStrictEqual(payload, { accepted: "o-1" })
        assert.deepStrictEqual(yield* arrived(intake), { "orders.value": [12.5] })
      })
  )

  /** Runs the cached function once, and returns its answer and whether V8 rejected the compile cache. */
  const runCached = async (prepare: (folder: string) => void) => {
    const folder = mkdtempSync(join(machine, "loaded-"))
    cpSync(join(machine, "cached"), folder, { recursive: true })
    prepare(folder)
    const program = `
      const { handler, script } = await import("./index.mjs")
      const { accepted } = await handler({ orderId: "o-1", total: 1 }, { getRemainingTimeInMillis: () => 10_000 })
      console.log(JSON.stringify({ accepted, rejected: script.cachedDataRejected }))
      process.exit(0)`
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", program], {
      cwd: folder,
      env: { DD_THREADSTATS_DISABLED: "true" }
    })
    return JSON.parse(stdout)
  }

  it(
    "cached runs from its compile cache, and compiles the function when the cache is absent or of another V8",
    async () => {
      assert.deepStrictEqual(await runCached(() => {}), { accepted: "o-1", rejected: false })
      const file = "function.cache"
      assert.deepStrictEqual(await runCached((folder) => rmSync(join(folder, file))), { accepted: "o-1" })
      const afterChange = await runCached((folder) => {
        const data = readFileSync(join(folder, file))
        // Changes the hash of V8's version. The result of `^` is signed, and `writeUInt32LE` refuses negative numbers.
        data.writeUInt32LE((data.readUInt32LE(4) ^ 1) >>> 0, 4)
        writeFileSync(join(folder, file), data)
      })
      assert.deepStrictEqual(afterChange, { accepted: "o-1", rejected: true })
    }
  )

  const listed = (emulator: Emulator.Emulator) =>
    Effect.map(emulator.finish({ rawPath: "/prices.csv" }), (finished) => {
      const [prelude, csv] = String(finished.payload).split("\0".repeat(8))
      assert.deepStrictEqual(JSON.parse(prelude!), { statusCode: 200, headers: { "content-type": "text/csv" } })
      return { ...finished, csv }
    })

  inEnvironment(
    "streaming sends rows one by one, and delivers its metrics after the last",
    "streaming",
    (emulator, intake) =>
      Effect.gen(function*() {
        const list = yield* listed(emulator)
        assert.strictEqual(list.status, "response")
        assert.strictEqual(list.csv, "lamp,12.50\ndesk,80.00\n")
        assert.deepStrictEqual(yield* arrived(intake), { "prices.rows": [2] })
        assert.include(kindsOf(emulator.log), "register")

        const { payload } = yield* emulator.finish({ rawPath: "/" })
        assert.strictEqual(payload, `{"statusCode":404}${"\0".repeat(8)}`)
        assert.deepStrictEqual(yield* arrived(intake), { "prices.rows": [2] })
      })
  )

  inEnvironment(
    "streaming reports a failure within the response to Lambda, and delivers its metrics",
    "torn",
    (emulator, intake) =>
      Effect.gen(function*() {
        const list = yield* listed(emulator)
        assert.strictEqual(list.status, "error")
        assert.strictEqual(list.csv, "lamp,12.50\n")
        assert.deepStrictEqual(yield* arrived(intake), { "prices.rows": [1], "prices.failed reason:NoPrice": [1] })
      })
  )

  inEnvironment(
    "effect-aws delivers its metrics before it answers",
    "effect-aws",
    (emulator, intake) =>
      Effect.gen(function*() {
        const found = yield* emulator.invoke({ rawPath: "/docs" })
        assert.deepStrictEqual(found.payload, { statusCode: 302, headers: { location: "https://example.com/docs" } })
        assert.deepStrictEqual(yield* arrived(intake), { "links.answers status:302": [1], "links.duration": 1 })

        const missing = yield* emulator.invoke({ rawPath: "/none" })
        assert.deepStrictEqual(missing.payload, { statusCode: 404 })
        assert.deepStrictEqual(yield* arrived(intake), {
          "links.answers status:302": [1],
          "links.answers status:404": [1],
          "links.duration": 2
        })
        const [event] = yield* intake.events
        assert.deepInclude(event, { title: "Unknown link", text: "somebody asked for none", tags: [...arn, runtime] })
      })
  )
})
