import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import type * as Reporter from "effect-threadstats/Reporter"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { build } from "esbuild"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { inspect } from "node:util"
import { beforeAll, vi } from "vitest"
import { selfSigned } from "../support/certificate.js"
import { node } from "../support/childProcess.js"
import * as HostileServer from "../support/hostileServer.js"
import { behaviours, good } from "../support/hostileServer.js"
import { type Line, logsTo } from "../support/scripted.js"
import {
  apiKey,
  client,
  type ClientName,
  clientNames,
  flushTimeout,
  record,
  requestTimeout,
  transports
} from "./sockets/client.js"

// What takes the time here is waiting.
vi.setConfig({ maxConcurrency: 8 })

type Expected = Reporter.Reason | "Delivered"

/** What a flush makes of it. With a status line that says 2xx it is delivered, whatever becomes of the rest of the answer. */
const outcomes: { readonly [Name in HostileServer.Name]: Expected } = {
  "reads nothing": "Timeout",
  "reads the request and says nothing": "Timeout",
  "goes on with 100 Continue, and no further": "Timeout",
  "stops within the headers": "Timeout",
  "stops within the body of an error": "ServerError",
  "stops within the body of an acceptance": "Delivered",
  "drips headers": "Timeout",
  "drips the body of an acceptance": "Delivered",
  "sends a header without end": "Transport",
  "sends a body without end": "Delivered",
  "resets the connection at once": "Transport",
  "resets after the first bytes": "Transport",
  "resets after the request": "Transport",
  "resets within the headers": "Transport",
  "resets within the body of an error": "ServerError",
  "resets within the body of an acceptance": "Delivered",
  "ends before an answer": "Transport",
  "ends within the headers": "Transport",
  "ends before the body is as long as it said": "Delivered",
  "speaks another protocol": "Transport",
  "sends noise": "Transport",
  "sends a chunk whose length is none": "Delivered",
  "sends a body that is not packed as it said": "Delivered",
  "switches protocols": "Transport",
  "answers before it has read the request": "Delivered",
  "answers twice": "Delivered",
  "has a certificate that nobody knows": "Transport",
  "never ends the TLS handshake": "Timeout",
  "resets within the TLS handshake": "Transport",
  "speaks plain HTTP where TLS is expected": "Transport",
  "speaks TLS where plain HTTP is expected": "Transport"
}

/** undici takes a 100 that it did not ask for as a broken answer. */
const exceptions: {
  readonly [Client in ClientName]: { readonly [Name in HostileServer.Name]?: Expected }
} = {
  fetch: { "goes on with 100 Continue, and no further": "Transport" },
  node: {},
  "node:http": {},
  undici: { "goes on with 100 Continue, and no further": "Transport" }
}

/**
 * Connections that an HTTP client keeps though it was told to give them up: undici those on which it is still connecting, for
 * ten seconds; the platform's over `node:http` those that were upgraded, until the server ends them.
 */
const keeps = (http: ClientName, name: HostileServer.Name): boolean =>
  http !== "node" && name === (http === "node:http" ? "switches protocols" : "never ends the TLS handshake")

const names = Object.keys(behaviours) as ReadonlyArray<HostileServer.Name>

/** On top of what is promised, in milliseconds, for a machine with other things to do. */
const slack = 1_000

/** Flushes, and checks what holds whatever the network does: time, accounts, and secrets. */
const checkedFlush = (...expected: readonly [Expected, ...ReadonlyArray<Expected>]) =>
  Effect.gen(function*() {
    const client = yield* ThreadStats.ThreadStats
    const lines: Array<Line> = []
    const [elapsed, receipt] = yield* client.flush().pipe(Effect.timed, Effect.provide(logsTo(lines)))
    const limit = Duration.toMillis(client.config.flushTimeout)
    assert.isBelow(Duration.toMillis(elapsed), limit + slack)

    const [first] = expected
    // on a machine that is slow enough, the end of the flush can cut the last try short
    const reasons = Duration.toMillis(elapsed) < limit * 0.9 ? expected : [...expected, "Timeout"]
    const seen = receipt.errors.map(({ description, reason }) => `${reason}: ${description}`).join("\n")
    assert.lengthOf(receipt.errors, first === "Delivered" ? 0 : 3, seen)
    for (const { reason } of receipt.errors) assert.include(reasons, reason, seen)

    const { events, metrics } = yield* client.stats
    const counts = (n: number) => ({
      received: n,
      delivered: first === "Delivered" ? n : 0,
      held: first === "Delivered" || first === "Rejected" ? 0 : n,
      dropped: first === "Rejected" ? { Refused: n } : {}
    })
    assert.deepStrictEqual({ metrics, events }, { metrics: counts(2), events: counts(1) })

    assert.strictEqual(lines.length > 0, first !== "Delivered")
    assert.notInclude(inspect({ receipt, lines }, { depth: Infinity, showHidden: true }), apiKey)
    return Duration.toMillis(elapsed)
  })

const everything: HostileServer.Arrived = { series: [0.5], distributions: [[7]], events: ["e"] }
const nothing: HostileServer.Arrived = { series: [], distributions: [], events: [] }

/** What a server sees comes a moment after its client is done. */
const soon = <A>(actual: Effect.Effect<A>, expected: A) =>
  Effect.repeat(actual, {
    schedule: Schedule.intersect(Schedule.spaced("10 millis"), Schedule.recurs(50)),
    until: (now) => inspect(now) === inspect(expected)
  }).pipe(Effect.zipRight(actual), Effect.map((last) => assert.deepStrictEqual(last, expected)))

/**
 * What arrived, where the flush took that many milliseconds. On a machine so slow that even a good answer comes after
 * `requestTimeout`, bodies are sent again, and that is not what is tested here.
 */
const arrivedAt = (
  server: HostileServer.HostileServer,
  flushTook: number,
  limit = requestTimeout
): Effect.Effect<HostileServer.Arrived> =>
  flushTook < limit + 150 ? server.arrived : Effect.map(server.arrived, (arrived) => ({
    series: Array.from(new Set(arrived.series)),
    distributions: arrived.distributions.slice(0, 1),
    events: Array.from(new Set(arrived.events))
  }))

/** For these a request has to be given up soon; the others have the whole flush, so that a slow machine is none of them. */
const hangs = (name: HostileServer.Name): boolean =>
  outcomes[name] === "Timeout" || /^(stops|drips|sends .* without end)/.test(name)

/**
 * How long a request and a flush may take. Where a request is given up within the answer, its head has to be read before, which takes a
 * busy machine a while.
 */
const limitsOf = (name: HostileServer.Name) =>
  !hangs(name)
    ? { requestTimeout: 5_000, flushTimeout }
    : outcomes[name] === "Delivered"
    ? { requestTimeout: 1_000, flushTimeout: 3_000 }
    : { requestTimeout, flushTimeout }

/** Until everything is delivered: on a machine that is slow enough, one flush may not do. */
const flushAll = ThreadStats.flush().pipe(
  Effect.zipRight(ThreadStats.stats),
  Effect.repeat({ times: 5, until: ({ events, metrics }) => events.held + metrics.held === 0 })
)

const isTls = (name: HostileServer.Name) => {
  const { scheme, speaks }: HostileServer.Behaviour = behaviours[name]
  return scheme === "https" || speaks === "tls"
}

const root = fileURLToPath(new URL("../..", import.meta.url))

const child = join(root, "build/test-bundles/sockets/child.mjs")

beforeAll(() =>
  build({
    entryPoints: [join(root, "test/http/sockets/child.ts")],
    outfile: child,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    logLevel: "error",
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" }
  }).then(() => {}), 30_000)

/** The first request of a process takes far longer than any other. */
beforeAll(() =>
  Effect.gen(function*() {
    const server = yield* HostileServer.make(good)
    for (const http of clientNames) {
      yield* Effect.provide(
        record,
        client(server.url, transports[http], { requestTimeout: 5_000, flushTimeout: 5_000 })
      )
    }
  }).pipe(Effect.scoped, Effect.runPromise), 30_000)

/** Runs a process that says when its program is over. It has to end by itself after that, and without a complaint. */
const endsByItself = (http: ClientName, addresses: ReadonlyArray<string>, withinMillis: number) =>
  Effect.gen(function*() {
    const process = yield* node([child, http, ...addresses], {})
    assert.strictEqual(yield* process.line, "over")
    const ended = yield* Effect.timeoutFail(process.ended, {
      duration: withinMillis,
      onTimeout: () => `it still runs ${withinMillis} ms after its program was over`
    })
    assert.deepStrictEqual(ended, { code: 0, signal: null, stdout: "over\n", stderr: "" })
  }).pipe(Effect.scoped)

const addressOf = (name: HostileServer.Name) => Effect.map(HostileServer.make(behaviours[name]), ({ url }) => url)

// They come first because they take the longest.
describe.concurrent("a process that recorded ends by itself", () => {
  for (const http of ["node", "fetch", "node:http"] as const) {
    for (const name of names) {
      if (outcomes[name] !== "Timeout" && name !== "sends a body without end") continue
      it.live(`over ${http}, after a server that ${name}`, () =>
        Effect.gen(function*() {
          // undici does not give up a connection that it is still opening before ten seconds are over
          yield* endsByItself(http, [yield* addressOf(name)], keeps(http, name) ? 15_000 : 5_000)
        }).pipe(Effect.scoped), 30_000)
    }
  }

  for (const http of clientNames) {
    it.live(`over ${http}, after all of these servers, none, and one without an address`, () =>
      Effect.gen(function*() {
        const addresses = yield* Effect.forEach(names.filter((name) => !keeps(http, name)), addressOf)
        const { url } = yield* Effect.scoped(HostileServer.make(good))
        yield* endsByItself(http, [...addresses, url, "http://intake.invalid"], 5_000)
      }).pipe(Effect.scoped), 30_000)
  }
})

describe.concurrent.each(clientNames)("over %s, a server that", (http) => {
  for (const name of names) {
    const expected = exceptions[http][name] ?? outcomes[name]
    const limits = limitsOf(name)
    const given = hangs(name) ? limits.requestTimeout : requestTimeout

    it.live(name, () =>
      Effect.gen(function*() {
        const server = yield* HostileServer.make(behaviours[name])
        yield* Effect.gen(function*() {
          yield* record
          const first = yield* name === "sends a header without end"
            // which takes the client's parser its time
            ? checkedFlush(expected, "Timeout")
            : checkedFlush(expected)
          yield* soon(arrivedAt(server, first, given), expected === "Delivered" ? everything : nothing)
          assert.isAbove(yield* server.connections, 0)
          if (isTls(name) || expected === "Rejected") return
          yield* server.behave(good)
          const [second] = yield* Effect.timed(flushAll)
          yield* checkedFlush("Delivered")
          yield* soon(
            arrivedAt(server, first < limits.flushTimeout * 0.95 ? Duration.toMillis(second) : first),
            everything
          )
        }).pipe(
          Effect.provide(client(server.url, transports[http], limits))
        )
        if (keeps(http, name)) assert.isAbove(yield* server.held, 0)
        else yield* soon(server.held, 0)
      }).pipe(Effect.scoped), 15_000)
  }

  it.live("has a certificate that nobody knows gets no byte of a request", () =>
    Effect.gen(function*() {
      const server = yield* HostileServer.make(behaviours["has a certificate that nobody knows"])
      yield* Effect.provide(record, client(server.url, transports[http]))
      assert.isAbove(yield* server.connections, 0)
      assert.strictEqual(yield* server.bytesRead, 0)
    }).pipe(Effect.scoped))

  it.live("is slower than the flush, costs it no more than its own time", () =>
    Effect.gen(function*() {
      const server = yield* HostileServer.make(behaviours["reads nothing"])
      yield* Effect.zipRight(record, checkedFlush("Timeout")).pipe(
        Effect.provide(client(server.url, transports[http], { requestTimeout: "1 minute", flushTimeout: 300 }))
      )
      yield* soon(server.held, 0)
    }).pipe(Effect.scoped))

  it.live("is gone", () =>
    Effect.gen(function*() {
      const { url } = yield* Effect.scoped(HostileServer.make(good))
      yield* Effect.provide(Effect.zipRight(record, checkedFlush("Transport")), client(url, transports[http]))
    }))

  it.live("is not found by its name", () =>
    Effect.provide(
      // a resolver may take longer to say so than a request may take
      Effect.zipRight(record, checkedFlush("Transport", "Timeout")),
      client("http://intake.invalid", transports[http])
    ))
})

describe.concurrent("a client that knows the certificate", () => {
  it.live("gets through once the handshake does", () =>
    Effect.gen(function*() {
      const certificate = selfSigned()
      const secure = { ...good, speaks: "tls" } as const
      const server = yield* HostileServer.make(secure, certificate)
      const http: typeof transports["node:http"] = (options) =>
        ThreadStats.layerHttpWith(options).pipe(
          Layer.provide(NodeHttpClient.layerWithoutAgent),
          Layer.provide(NodeHttpClient.makeAgentLayer({ ca: certificate.cert }))
        )
      yield* Effect.gen(function*() {
        yield* server.behave(behaviours["never ends the TLS handshake"])
        yield* record
        yield* checkedFlush("Timeout")
        yield* server.behave(secure)
        yield* soon(arrivedAt(server, yield* checkedFlush("Delivered")), everything)
      }).pipe(Effect.provide(client(server.url, http, { requestTimeout: "1 second", flushTimeout: "3 seconds" })))
      yield* soon(server.held, 0)
    }).pipe(Effect.scoped), 15_000)
})
