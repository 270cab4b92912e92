/** The documented outcome of a flush for every hostile behaviour, and the checks that hold for all of them. */
import { assert } from "@effect/vitest"
import type * as Reporter from "effect-threadstats/Reporter"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HashMap from "effect/HashMap"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import { behaviours, good, type HostileServer, type Name } from "../support/hostileServer.js"
import { assertHidden } from "../support/keySweep.js"
import { renderings } from "../support/secrets.js"
import { apiKey } from "./sockets/client.js"

export type Outcome = Reporter.Reason | "Delivered"

/** An answer with status 2xx is a delivery, also if its body breaks off. */
export const outcomes: { readonly [N in Name]: Outcome } = {
  "reads nothing": "Timeout",
  "reads the request and does not answer": "Timeout",
  "answers 100 Continue and nothing else": "Timeout",
  "stops within the headers": "Timeout",
  "stops within the body of an error": "ServerError",
  "stops within the body of an acceptance": "Delivered",
  "sends a header byte by byte": "Timeout",
  "sends the body of an acceptance byte by byte": "Delivered",
  "sends an endless header": "Transport",
  "sends an endless body": "Delivered",
  "resets the connection at once": "Transport",
  "resets after the first bytes": "Transport",
  "resets after the request": "Transport",
  "resets within the headers": "Transport",
  "resets within the body of an error": "ServerError",
  "resets within the body of an acceptance": "Delivered",
  "closes the connection before the answer": "Transport",
  "closes the connection within the headers": "Transport",
  "closes the connection within the body of an acceptance": "Delivered",
  "speaks another protocol": "Transport",
  "sends noise": "Transport",
  "sends a chunk with an invalid length": "Delivered",
  "sends a body that is not in its declared encoding": "Delivered",
  "switches protocols": "Transport",
  "answers before it has read the request": "Delivered",
  "answers twice": "Delivered",
  "has an untrusted certificate": "Transport",
  "does not finish the TLS handshake": "Timeout",
  "resets within the TLS handshake": "Transport",
  "speaks plain HTTP when the client expects TLS": "Transport",
  "speaks TLS when the client expects plain HTTP": "Transport"
}

export const names = Object.keys(behaviours) as ReadonlyArray<Name>

export const usesTls = (name: Name): boolean => {
  const { scheme, speaks }: (typeof behaviours)[Name] & { readonly scheme?: string; readonly speaks?: string } =
    behaviours[name]
  return scheme === "https" || speaks === "tls"
}

/** Returns true if a request to this server ends by its time limit alone. */
export const endsByLimit = (name: Name, expected: Outcome): boolean =>
  expected === "Timeout" || name === "stops within the body of an error" ||
  name === "stops within the body of an acceptance" || name === "sends the body of an acceptance byte by byte"

/** Series, distributions and events have a request each. */
const requestsPerFlush = 3

/** Forks a flush. When `waiting` is over, advances the clock to the end of the flush. */
const flushOnTestClock = (waiting: Effect.Effect<void>) =>
  Effect.gen(function*() {
    const client = yield* ThreadStats.ThreadStats
    const fiber: Fiber.RuntimeFiber<ThreadStats.FlushReceipt> = yield* Effect.fork(client.flush())
    yield* Effect.raceFirst(waiting, Fiber.await(fiber))
    if (fiber.unsafePoll() === null) yield* TestClock.adjust(client.config.flushTimeout)
    return yield* Fiber.join(fiber)
  })

/** Flushes, and checks duration, outcome, accounts and secrecy. The test's clock moves only if a request ends by its limit. */
export const checkedFlush = (server: HostileServer, expected: Outcome, byLimit: boolean) =>
  Effect.gen(function*() {
    const client = yield* ThreadStats.ThreadStats
    const before = yield* Clock.currentTimeMillis
    const lines: Array<unknown> = []
    const logger = Logger.make((options) => {
      if (Option.isSome(HashMap.get(options.annotations, "package"))) lines.push([options.message, options.cause])
    })
    const served = byLimit ? server.served(requestsPerFlush) : Effect.never
    const receipt = yield* Effect.provide(flushOnTestClock(served), Logger.replace(Logger.defaultLogger, logger))

    const elapsed = (yield* Clock.currentTimeMillis) - before
    assert.strictEqual(elapsed, byLimit ? Duration.toMillis(client.config.flushTimeout) : 0)

    const isDelivered = expected === "Delivered"
    const described = receipt.errors.map(({ description, reason }) => `${reason}: ${description}`).join("\n")
    assert.deepStrictEqual(
      receipt.errors.map(({ reason }) => reason),
      isDelivered ? [] : Array(requestsPerFlush).fill(expected),
      described
    )

    const { events, metrics } = yield* client.stats
    const counts = (received: number) => ({
      received,
      delivered: isDelivered ? received : 0,
      pending: isDelivered ? 0 : received,
      dropped: {}
    })
    assert.deepStrictEqual({ metrics, events }, { metrics: counts(2), events: counts(1) })
    assert.deepStrictEqual([receipt.metrics.delivered, receipt.events.delivered], isDelivered ? [2, 1] : [0, 0])

    assert.strictEqual(lines.length > 0, !isDelivered)
    assertHidden(renderings({ receipt, lines }), [apiKey])
    for (const error of receipt.errors) assertHidden(renderings(error), [apiKey])
    return receipt
  })

/** Waits for the requests of the point, the distribution and the event, and compares their number with the receipt's. */
export const assertArrived = (
  server: HostileServer,
  receipt: { readonly payloads: number; readonly retries: number }
) =>
  Effect.gen(function*() {
    yield* server.arrivedAt(requestsPerFlush)
    const { distributions, events, series } = yield* server.arrived
    assert.deepStrictEqual(new Set(series), new Set([0.5]))
    for (const values of distributions) assert.deepStrictEqual(values, [7])
    assert.deepStrictEqual(new Set(events), new Set(["e"]))
    // A body arrives again only if the client sent it again.
    assert.isAtMost(series.length + distributions.length + events.length, receipt.payloads + receipt.retries)
  })

/** Flushes until nothing is pending. A connection that broke meanwhile costs a flush. */
const flushAll = Effect.flatMap(ThreadStats.ThreadStats, (client) =>
  Effect.zipRight(client.flush(), client.stats).pipe(
    Effect.repeat({ until: ({ events, metrics }) => events.pending + metrics.pending === 0 })
  ))

/** Checks the documented outcome of one behaviour, and that the same client delivers when the server behaves well. */
export const checkBehaviour = (server: HostileServer, name: Name, expected: Outcome) =>
  Effect.gen(function*() {
    yield* ThreadStats.increment("c", 5)
    yield* ThreadStats.distribution("d", 7)
    yield* ThreadStats.event("e", "")
    const receipt = yield* checkedFlush(server, expected, endsByLimit(name, expected))
    assert.isAbove(yield* server.connections, 0)
    if (expected === "Delivered") return yield* assertArrived(server, receipt)
    assert.deepStrictEqual(yield* server.arrived, { series: [], distributions: [], events: [] })
    // The last flush of the layer must fail at once, because the test's clock stands still.
    if (usesTls(name)) return yield* server.behave(behaviours["resets the connection at once"])
    yield* server.behave(good)
    const stats = yield* flushAll
    assert.deepStrictEqual([stats.metrics.delivered, stats.events.delivered], [2, 1])
    yield* assertArrived(server, stats)
  })
