import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import { beforeAll } from "vitest"
import { selfSigned } from "../support/certificate.js"
import { bundle, node } from "../support/childProcess.js"
import * as HostileServer from "../support/hostileServer.js"
import { behaviours, good, type Name } from "../support/hostileServer.js"
import {
  assertArrived,
  checkBehaviour,
  checkedFlush,
  names,
  type Outcome,
  outcomes,
  usesTls
} from "./hostileOutcomes.js"
import { makeClient, record, type Transport, type TransportName, transportNames, transports } from "./sockets/client.js"

/** undici takes a 100 that it did not ask for as a broken answer. */
const exceptions: { readonly [T in TransportName]: { readonly [N in Name]?: Outcome } } = {
  fetch: { "answers 100 Continue and nothing else": "Transport" },
  node: {},
  "node:http": {},
  undici: { "answers 100 Continue and nothing else": "Transport" }
}

/**
 * Connections that an HTTP client does not close although it was told to. undici keeps those that it is still opening, for ten
 * seconds. The platform's client over `node:http` keeps upgraded ones until the server closes them.
 */
const keepsConnection = (transport: TransportName, name: Name): boolean =>
  transport !== "node" &&
  name === (transport === "node:http" ? "switches protocols" : "does not finish the TLS handshake")

describe.each(transportNames)("transport %s over real sockets", (transport) => {
  for (const name of names) {
    const expected = exceptions[transport][name] ?? outcomes[name]
    const title = expected === "Delivered" ? "delivers" : `fails with ${expected}, and delivers later,`

    it.effect(`${usesTls(name) ? title.replace(", and delivers later,", "") : title} when the server ${name}`, () =>
      Effect.gen(function*() {
        const server = yield* HostileServer.make(behaviours[name])
        yield* checkBehaviour(server, name, expected).pipe(
          // Otherwise the last flush of the layer would wait for the test's clock.
          Effect.onError(() => server.behave(good)),
          Effect.provide(makeClient(server.url, transports[transport]))
        )
        if (!keepsConnection(transport, name)) yield* server.released
      }).pipe(Effect.scoped))
  }

  it.effect("sends no byte of a request to a server with an untrusted certificate", () =>
    Effect.gen(function*() {
      const server = yield* HostileServer.make(behaviours["has an untrusted certificate"])
      yield* Effect.provide(record, makeClient(server.url, transports[transport]))
      assert.isAbove(yield* server.connections, 0)
      assert.strictEqual(yield* server.bytesRead, 0)
    }).pipe(Effect.scoped))

  it.effect("ends with the flush, and gives the connections back, when the server does not read", () =>
    Effect.gen(function*() {
      const server = yield* HostileServer.make(behaviours["reads nothing"])
      yield* Effect.gen(function*() {
        yield* record
        const fiber = yield* Effect.fork(ThreadStats.flush())
        yield* server.served(3)
        // A flush leaves its reporter 95 % of its time.
        yield* TestClock.adjust("56 seconds")
        assert.isNull(fiber.unsafePoll())
        yield* TestClock.adjust("4 seconds")
        const { errors } = yield* Fiber.join(fiber)
        assert.deepStrictEqual(errors.map(({ reason }) => reason), ["Timeout", "Timeout", "Timeout"])
        yield* server.released
        yield* server.behave(good)
      }).pipe(
        Effect.onError(() => server.behave(good)),
        Effect.provide(makeClient(server.url, transports[transport], "1 minute"))
      )
    }).pipe(Effect.scoped))

  it.effect("fails with Transport when no server listens", () =>
    Effect.gen(function*() {
      const server = yield* Effect.scoped(HostileServer.make(good))
      yield* Effect.zipRight(record, checkedFlush(server, "Transport", false)).pipe(
        Effect.provide(makeClient(server.url, transports[transport]))
      )
    }))

  it.effect("fails with Transport when the name of the server does not resolve", () =>
    Effect.gen(function*() {
      const server = yield* HostileServer.make(good)
      yield* Effect.zipRight(record, checkedFlush(server, "Transport", false)).pipe(
        Effect.provide(makeClient("http://intake.invalid", transports[transport]))
      )
    }).pipe(Effect.scoped))
})

describe("client that trusts the certificate", () => {
  it.effect("delivers when the TLS handshake succeeds after one that did not finish", () =>
    Effect.gen(function*() {
      const certificate = selfSigned()
      const secure = { ...good, speaks: "tls" } as const
      const server = yield* HostileServer.make(secure, { certificate })
      const transport: Transport = (options) =>
        ThreadStats.layerHttpClientWith(options).pipe(
          Layer.provide(NodeHttpClient.layerWithoutAgent),
          Layer.provide(NodeHttpClient.makeAgentLayer({ ca: certificate.cert }))
        )
      yield* Effect.gen(function*() {
        yield* server.behave(behaviours["does not finish the TLS handshake"])
        yield* record
        yield* checkedFlush(server, "Timeout", true)
        yield* server.behave(secure)
        yield* assertArrived(server, yield* checkedFlush(server, "Delivered", false))
      }).pipe(Effect.provide(makeClient(server.url, transport)))
      yield* server.released
    }).pipe(Effect.scoped))
})

describe.concurrent("process that recorded", () => {
  let child: string

  beforeAll(async () => {
    child = await bundle("test/http/sockets/child.ts")
  })

  /** Checks that the process ends by itself after its program, without complaint. The test's own limit ends it otherwise. */
  const endsByItself = (transport: TransportName, addresses: ReadonlyArray<string>, holdsTimers: boolean) =>
    Effect.gen(function*() {
      const process = yield* node([child, transport, ...addresses], {})
      const ended = yield* process.ended
      assert.deepInclude(ended, { code: 0, signal: null, stderr: "" })
      assert.match(ended.stdout, holdsTimers ? /^finished, \d+ timers\n$/ : /^finished, 0 timers\n$/)
    }).pipe(Effect.scoped)

  const addressOf = (name: Name) =>
    Effect.map(HostileServer.make(behaviours[name], { clients: "other processes" }), ({ url }) => url)

  for (const transport of ["node", "fetch", "node:http"] as const) {
    for (const name of names) {
      if (outcomes[name] !== "Timeout" && name !== "sends an endless body") continue
      it.live(`ends by itself over ${transport} when the server ${name}`, () =>
        Effect.gen(function*() {
          yield* endsByItself(transport, [yield* addressOf(name)], keepsConnection(transport, name))
        }).pipe(Effect.scoped))
    }
  }

  for (const transport of transportNames) {
    it.live(`ends by itself over ${transport} after all hostile servers, none, and an unknown name`, () =>
      Effect.gen(function*() {
        const addresses = yield* Effect.forEach(names.filter((name) => !keepsConnection(transport, name)), addressOf)
        const { url } = yield* Effect.scoped(HostileServer.make(good))
        yield* endsByItself(transport, [...addresses, url, "http://intake.invalid"], false)
      }).pipe(Effect.scoped))
  }
})
