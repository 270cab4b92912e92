import { assert, describe, it } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Board from "../examples/orders/board.js"
import { node } from "./lambda/child.js"
import { layerIntake } from "./support/intake.js"
import "../examples/example.test.js"

const tsx = (args: ReadonlyArray<string>, env: Record<string, string> = {}) => node(["--import", "tsx", ...args], env)

describe("the demo", () => {
  const demo = (args: ReadonlyArray<string>, env?: Record<string, string>) =>
    Effect.scoped(Effect.flatMap(tsx(["examples/demo.ts", ...args], env), (child) => child.ended))

  it.live("prints what Datadog would show, and ends by itself", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* demo([])
      assert.strictEqual(code, 0, stderr)
      assert.strictEqual(stderr, "")
      const lines = stdout.trimEnd().split("\n")
      assert.isTrue(lines.every((line) => line === line.trimEnd()))
      const line = (pattern: RegExp) => assert.isTrue(lines.some((line) => pattern.test(line)), `${pattern}\n${stdout}`)
      line(/^metric +kind +tags +value$/)
      line(/^orders\.received +count +source:queue env:demo service:orders +4$/)
      line(/^orders\.value +distribution +currency:eur .* +count 4 {2}min 19\.9 {2}avg 74\.7 {2}max 129\.5$/)
      line(/^stock\.level +gauge +warehouse:leipzig sku:lamp .* +38$/)
      line(/^stock-unreadable +failed: UnreadableStockCount: event \S+ holds no stock count$/)
      line(/^Payment declined +the payment of order o-1002 was declined +order:o-1002 /)
      line(/^POST \/api\/v1\/series +202 +\d+ +deflate$/)
      line(/^Everything that was recorded arrived\.$/)
    }), 60_000)

  it.live("prints the same as one JSON document, and nothing else", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* demo(["--json"])
      assert.strictEqual(code, 0)
      const board: Board.Board = JSON.parse(stdout)
      assert.deepStrictEqual(board.missing, [])
      assert.lengthOf(board.invocations, 6)
      assert.deepInclude(board.metrics, {
        metric: "orders.units",
        kind: "count",
        tags: ["sku:bulb", "env:demo", "service:orders"],
        value: 20
      })
      assert.lengthOf(board.events, 2)
      assert.deepInclude(board.requests, {
        method: "GET",
        endpoint: "/api/v1/validate",
        status: 200,
        bytes: 0,
        encoding: "identity"
      })

      // every number that is compared would be missed
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
    }), 60_000)

  it.live("ends with 1 and says what is missing when the intake takes nothing", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* demo(["--json"], { DEMO_API_KEY: "wrong" })
      assert.strictEqual(code, 1)
      const board: Board.Board = JSON.parse(stdout)
      assert.deepStrictEqual(board.metrics, [])
      assert.includeMembers([...board.missing], ["stock.counts: 2 recorded, 0 arrived"])
      assert.isTrue(board.requests.every(({ status }) => status === 403))
      assert.include(stderr, "did not arrive: ")
    }), 60_000)
})

describe("the examples of the README", () => {
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

  it.live("program.ts delivers, and ends by itself", () =>
    withIntake((intake, env) =>
      Effect.gen(function*() {
        const { code, stderr } = yield* Effect.flatMap(tsx(["examples/program.ts"], env), (child) => child.ended)
        assert.strictEqual(code, 0, stderr)
        const series = yield* intake.series
        assert.includeMembers(series.map(({ metric }) => metric), ["jobs.started", "jobs.duration.max", "jobs.waiting"])
      })
    ), 60_000)

  it.live("handler.ts delivers before it answers", () =>
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
    ), 60_000)
})
