import { NodeHttpClient } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, TestClock } from "effect"
import { LocalIntake, ThreadStats } from "effect-threadstats"
import type { ThreadStatsConfig } from "effect-threadstats"
import wire from "../fixtures/wire.json" with { type: "json" }
import { layerIntake } from "../support/intake.js"

const at = { timestamp: 1_700_000_003_000 }

/** The calls whose requests by the reference are in the fixture. */
const calls = Effect.gen(function*() {
  yield* ThreadStats.increment("page.views", 2, { ...at, tags: ["page:home"] })
  yield* ThreadStats.increment("page.views", 1, { ...at, tags: ["page:home"] })
  yield* ThreadStats.gauge("fuel.level", 0.5, { ...at, host: "truck-7" })
  yield* ThreadStats.gauge("fuel.level", 0.25, { ...at, host: "" })
  yield* ThreadStats.set("users.uniques", "alice", at)
  yield* ThreadStats.set("users.uniques", "bob", at)
  for (const value of [20, 30, 40, 50]) yield* ThreadStats.histogram("song.length", value, at)
  yield* ThreadStats.timing("query.time", 12.5, at)
  yield* ThreadStats.distribution("order.value", 10, { ...at, tags: ["cur:eur"] })
  yield* ThreadStats.distribution("order.value", 12.5, { ...at, tags: { cur: "eur" } })
  yield* ThreadStats.distribution("order.value", 99, { timestamp: 1_700_000_013_000, tags: ["cur:eur"] })
  yield* ThreadStats.event("Deploy", "v42 is out", {
    alertType: "success",
    aggregationKey: "deploys",
    sourceTypeName: "my apps",
    dateHappened: new Date(1_700_000_000_000),
    priority: "low",
    tags: ["v:42"],
    host: "web-9"
  })
  yield* ThreadStats.event("Plain", "no extras")
})

interface Body {
  readonly series?: ReadonlyArray<Record<string, unknown>>
  readonly [field: string]: unknown
}

/** Absent equals null, null tags equal none, and tags are a set. */
const plain = (item: { readonly [field: string]: unknown }) =>
  Object.fromEntries(
    Object.entries(item).filter(([, value]) => value !== null && !(Array.isArray(value) && value.length === 0))
  )

/** An event without a date is dated when it is recorded: a deliberate difference (docs/parity.md). */
const now = 1_700_000_020
const normal = (body: Body) =>
  body.series === undefined ? plain({ date_happened: now, ...body }) : body.series.map((item) => plain(item))

const variants: ReadonlyArray<readonly ["plain" | "compressed", ThreadStatsConfig.Options]> = [
  ["plain", { namespace: "myapp", constantTags: ["team:x"], compress: false }],
  ["compressed", { compress: true }]
]

describe("the requests of a client", () => {
  for (const [name, options] of variants) {
    const key = wire[name][0]!.headers["dd-api-key"]
    it.scoped(`equal those of the reference (${name})`, () =>
      Effect.gen(function*() {
        const intake = yield* LocalIntake.LocalIntake
        yield* TestClock.setTime(now * 1000)
        yield* Effect.gen(function*() {
          yield* calls
          const receipt = yield* ThreadStats.flush()
          assert.deepStrictEqual(receipt.errors, [])
          assert.deepInclude(yield* ThreadStats.stats, { contexts: 0, payloads: 4 })
        }).pipe(
          Effect.provide(
            ThreadStats.layerHttpWith({
              ...options,
              host: "web-1",
              apiUrl: intake.url,
              apiKey: Redacted.make(key),
              periodicFlush: false
            }).pipe(Layer.provide(NodeHttpClient.layer))
          )
        )
        const requests = yield* intake.requests
        const byPath = (path: string) => requests.filter((request) => request.path === path)
        assert.strictEqual(requests.length, wire[name].length)
        for (const path of new Set(wire[name].map((request) => request.path))) {
          const expected = wire[name].filter((request) => request.path === path)
          const got = byPath(path)
          assert.strictEqual(got.length, expected.length, path)
          for (const [i, request] of expected.entries()) {
            assert.deepStrictEqual(normal(got[i]!.body as Body), normal(request.body as Body))
            assert.strictEqual(got[i]!.method, request.method)
            assert.strictEqual(got[i]!.headers["content-type"], request.headers["content-type"])
            assert.strictEqual(
              got[i]!.headers["content-encoding"],
              (request.headers as { readonly [header: string]: string })["content-encoding"]
            )
          }
        }
        assert.isTrue(requests.every(({ status }) => status === 202))
      }).pipe(Effect.provide(layerIntake({ apiKey: Redacted.make(key) }))))
  }
})
