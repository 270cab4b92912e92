import { assert, describe } from "@effect/vitest"
import { Effect, Redacted, TestClock } from "effect"
import { LocalIntake, ThreadStats } from "effect-threadstats"
import type { ThreadStatsConfig } from "effect-threadstats"
import { inflateSync } from "node:zlib"
import packageJson from "../../package.json" with { type: "json" }
import { compressionThreshold } from "../../src/internal/http/compression.js"
import wire from "../fixtures/wire.json" with { type: "json" }
import { layerInProcess } from "../support/intake.js"
import { sweepKeys } from "../support/keySweep.js"
import { connectAgentsTo } from "../support/memoryNetwork.js"

const it = sweepKeys(wire.plain[0]!.headers["dd-api-key"], wire.compressed[0]!.headers["dd-api-key"])

const at = { timestamp: 1_700_000_003_000 }

/** The calls of the fixture, which has the requests that the reference sent for them. */
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

/** Removes null fields and empty lists, which the reference sends and this client omits. */
const withoutEmpty = (item: { readonly [field: string]: unknown }) =>
  Object.fromEntries(
    Object.entries(item).filter(([, value]) => value !== null && !(Array.isArray(value) && value.length === 0))
  )

/** The time of the recording, which an event without a date gets: a deliberate difference (docs/parity.md). */
const now = 1_700_000_020
const normalize = (body: Body) =>
  body.series === undefined
    ? withoutEmpty({ date_happened: now, ...body })
    : body.series.map((item) => withoutEmpty(item))

const variants: ReadonlyArray<readonly ["plain" | "compressed", ThreadStatsConfig.ThreadStatsOptions]> = [
  ["plain", { namespace: "myapp", constantTags: ["team:x"], compress: false }],
  ["compressed", { compress: true }]
]

interface SentRequest {
  readonly method: string
  readonly path: string
  readonly headers: { readonly [name: string]: string | ReadonlyArray<string> | undefined }
  readonly body: unknown
}

const assertEqual = (actual: ReadonlyArray<SentRequest>, expected: typeof wire.plain | typeof wire.compressed) => {
  assert.strictEqual(actual.length, expected.length)
  for (const path of new Set(expected.map((request) => request.path))) {
    const requests = actual.filter((request) => request.path === path)
    const ofReference = expected.filter((request) => request.path === path)
    assert.strictEqual(requests.length, ofReference.length, path)
    for (const [i, request] of ofReference.entries()) {
      const { body, headers, method } = requests[i]!
      assert.deepStrictEqual(normalize(body as Body), normalize(request.body as Body))
      assert.strictEqual(method, request.method)
      assert.strictEqual(headers["content-type"], request.headers["content-type"])
      // The reference compresses small bodies too: a deliberate difference (docs/parity.md).
      const isSmall = JSON.stringify(body).length < compressionThreshold
      assert.strictEqual(
        headers["content-encoding"],
        isSmall ? undefined : (request.headers as { readonly [header: string]: string })["content-encoding"]
      )
      assert.strictEqual(headers["user-agent"], `effect-threadstats/${packageJson.version}`)
    }
  }
}

/** Records the calls of the fixture, and flushes. */
const flushCalls = Effect.gen(function*() {
  yield* calls
  const receipt = yield* ThreadStats.flush()
  assert.deepStrictEqual(receipt.errors, [])
  assert.deepInclude(yield* ThreadStats.stats, { series: 0, payloads: 4 })
})

describe("HTTP requests of a client", () => {
  for (const [name, options] of variants) {
    const key = wire[name][0]!.headers["dd-api-key"]
    const optionsFor = (apiUrl: string): ThreadStatsConfig.ThreadStatsOptions => ({
      ...options,
      hostname: "web-1",
      apiUrl,
      apiKey: Redacted.make(key),
      periodicFlush: false
    })

    it.effect(`equal the ${name} requests of the reference, and the local intake accepts them`, () =>
      Effect.gen(function*() {
        const intake = yield* LocalIntake.LocalIntake
        yield* TestClock.setTime(now * 1000)
        yield* Effect.provide(flushCalls, ThreadStats.layerHttpClientWith(optionsFor(intake.url)))
        const requests = yield* intake.requests
        assertEqual(requests, wire[name])
        // The intake accepts no other key.
        assert.isTrue(requests.every(({ status }) => status === 202))
      }).pipe(Effect.provide(layerInProcess({ apiKey: Redacted.make(key) }))))

    it.scoped(`equal the ${name} requests of the reference over node:http`, () =>
      Effect.gen(function*() {
        const requests: Array<SentRequest> = []
        yield* connectAgentsTo((request, response) => {
          const parts: Array<Uint8Array> = []
          request.on("data", (part: Uint8Array) => parts.push(part)).on("end", () => {
            const bytes = Buffer.concat(parts)
            const { headers, method, url } = request
            const text = headers["content-encoding"] === "deflate" ? inflateSync(bytes) : bytes
            requests.push({ method: method!, path: url!, headers, body: JSON.parse(text.toString()) })
            response.writeHead(202).end("{}")
          })
        })
        yield* TestClock.setTime(now * 1000)
        yield* Effect.provide(flushCalls, ThreadStats.layerWith(optionsFor("http://intake.memory")))
        assertEqual(requests, wire[name])
        for (const { headers } of requests) assert.strictEqual(headers["dd-api-key"], key)
      }))
  }
})
