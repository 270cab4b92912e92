/** Tests of a function in an environment, which hold under every runtime client. They compare events, not durations. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import { assert, describe, it } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { createServer, type Server } from "node:http"
import type { Socket } from "node:net"
import { beforeAll } from "vitest"
import { bundle } from "../support/childProcess.js"
import { apiKey, assertHidden } from "../support/keySweep.js"
import { eventuallyEffect } from "../support/wait.js"
import * as Emulator from "./client.js"
import type { Around } from "./function.js"
import type { Entry, Outcome, Plan } from "./protocol.js"
import type { Result } from "./work.js"

/** Paths of the bundles, by name. */
export const built: Record<string, string> = {}

/** Bundles files, named by their path from this folder. */
export const buildAll = (...names: ReadonlyArray<string>) =>
  beforeAll(async () => {
    for (const name of names) built[name] = await bundle(`test/emulator/${name}.ts`)
  })

const layerServer = (server: () => Server) =>
  NodeHttpServer.layer(server, { port: 0, host: "127.0.0.1" }).pipe(Layer.orDie)

/** An HTTP server that runs an effect before each request. */
const layerBefore = (before: Effect.Effect<void, never, HttpServerRequest.HttpServerRequest>) =>
  Layer.effect(
    HttpServer.HttpServer,
    Effect.map(
      HttpServer.HttpServer,
      ({ address, serve }) =>
        HttpServer.make({
          address,
          serve: (app, middleware) =>
            serve(Effect.zipRight(before, app), middleware as never) as Effect.Effect<void, never, never>
        })
    )
  )

const layerLocalIntake = LocalIntake.layer({ apiKey: Redacted.make(apiKey) })

/** An intake that delays every answer. */
export const layerIntake = (delay: Duration.DurationInput, server: () => Server = createServer) =>
  layerLocalIntake.pipe(
    Layer.provide(layerBefore(Effect.sleep(delay))),
    Layer.provide(layerServer(server)),
    Layer.orDie
  )

/** Holds the posts to an intake. */
export class Gate extends Context.Tag("test/Gate")<Gate, {
  /** Waits until a post has arrived and is held. */
  readonly held: Effect.Effect<void>
  /** Lets the held post pass, or the next one. */
  readonly release: Effect.Effect<void>
}>() {}

/** An intake that holds each post until the test releases it. */
export const layerGatedIntake: Layer.Layer<LocalIntake.LocalIntake | Gate> = Layer.unwrapEffect(
  Effect.gen(function*() {
    const arrivals = yield* Queue.unbounded<void>()
    const permits = yield* Queue.unbounded<void>()
    const hold = Effect.flatMap(
      HttpServerRequest.HttpServerRequest,
      ({ method }) =>
        method === "POST" ? Effect.zipRight(Queue.offer(arrivals, undefined), Queue.take(permits)) : Effect.void
    )
    return layerLocalIntake.pipe(
      Layer.provide(layerBefore(hold)),
      Layer.provide(layerServer(createServer)),
      Layer.orDie,
      Layer.merge(Layer.succeed(Gate, {
        held: Queue.take(arrivals),
        release: Effect.asVoid(Queue.offer(permits, undefined))
      }))
    )
  })
)

/** Names of the distributions that arrived. */
export const arrived = Effect.flatMap(LocalIntake.LocalIntake, (intake) => intake.distributions).pipe(
  Effect.map((batch) => batch.map(({ metric }) => metric))
)

const requests = Effect.flatMap(LocalIntake.LocalIntake, (intake) => intake.requests)

export const posts = Effect.map(requests, (all) => all.filter(({ method }) => method === "POST"))

export type Mode = "before-response" | "after-response"

/** Returns the command line of a function under a runtime client. */
export type Client = () => ReadonlyArray<string>

/** Kills only processes that hang: a busy machine may stretch every wait. */
const patience = { killDelay: 60_000, initTimeout: 120_000 } satisfies Partial<Plan>

/** Starts an environment with a function, and checks at the end that the function did not print the key. */
export const start = (client: Client, flush: Mode, plan: Partial<Plan> = {}) =>
  Effect.gen(function*() {
    const { url } = yield* LocalIntake.LocalIntake
    const emulator = yield* Emulator.start(built["emulator"]!, {
      command: client(),
      timeout: 120_000,
      ...patience,
      ...plan,
      variables: {
        FLUSH: flush,
        DATADOG_HOST: url,
        DD_API_KEY: apiKey,
        // A request that takes longer on a busy machine must not be sent twice.
        DD_THREADSTATS_REQUEST_TIMEOUT: "60",
        DD_THREADSTATS_FLUSH_TIMEOUT: "100",
        ...plan.variables
      }
    })
    yield* Effect.addFinalizer(() => Effect.sync(() => assertHidden([emulator.output()], [apiKey])))
    return emulator
  })

export const kindsOf = (log: ReadonlyArray<Entry>) => log.map(({ kind }) => kind)

const hasEntry = (emulator: Emulator.Emulator, kind: Entry["kind"], requestId: string): boolean =>
  emulator.log.some((entry) => entry.kind === kind && entry.detail?.startsWith(requestId) === true)

/** Lines that the function printed, without the greeting of AWS's client. */
const printed = (emulator: Emulator.Emulator) =>
  emulator.output().split("\n").filter((line) => line !== "" && !line.startsWith("Executing '"))

export const warnings = (emulator: Emulator.Emulator) =>
  emulator.output().split("\n").filter((line) => line.includes("WARN"))

/** Registers a test with an intake; the function ends before the intake, which waits for its connections. */
export const testScenario = <R = LocalIntake.LocalIntake>(
  title: string,
  test: () => Effect.Effect<void, unknown, R | Scope.Scope>,
  intake: Layer.Layer<R> = layerIntake(0) as Layer.Layer<never> as Layer.Layer<R>,
  timeout?: Duration.DurationInput
) =>
  it.live(
    title,
    () => test().pipe(Effect.scoped, Effect.provide(intake)) as Effect.Effect<void, unknown>,
    timeout === undefined ? undefined : { timeout: Duration.toMillis(timeout) }
  )

export const names = ["one", "two", "three", "four", "five"]

/** Invokes once for each name, and asserts that its point has arrived when the environment freezes. */
const invokeOneByOne = (emulator: Emulator.Emulator) =>
  Effect.forEach(names, (record) =>
    Effect.gen(function*() {
      const { status } = yield* emulator.finish({ record })
      assert.strictEqual(status, "response")
      assert.include(yield* arrived, record)
    }), { discard: true })

/**
 * Asserts that the response leaves while the flush is held at the intake, and that the invocation is over only after the flush.
 * The flush is held until the response is there: a flush before the response would hang.
 */
export const assertFlushAfterResponse = (emulator: Emulator.Emulator, event: { readonly record: string }) =>
  Effect.gen(function*() {
    const gate = yield* Gate
    const { outcome, report } = yield* emulator.send(event)
    const { payload, requestId, status } = yield* outcome
    assert.strictEqual(status, "response")
    yield* gate.held
    yield* emulator.synchronize
    assert.isFalse(hasEntry(emulator, "done", requestId))
    yield* gate.release
    yield* report
    assert.include(yield* arrived, event.record)
    return payload
  })

/**
 * Tests a freeze of some length. During the freeze the intake closes or resets the connections that the function holds, as a
 * gateway would, and a point is pending that the periodic flush would send.
 */
export const testFreeze = (
  subject: string,
  client: Client,
  modes: ReadonlyArray<Mode>,
  closings: ReadonlyArray<"destroy" | "resetAndDestroy">,
  length: Duration.DurationInput
) =>
  describe.concurrent(`${subject} across a freeze of ${Duration.format(length)}`, () => {
    for (const mode of modes) {
      for (const closing of closings) {
        const sockets = new Set<Socket>()
        let connections = 0
        const server = () =>
          createServer().on("connection", (socket) => {
            connections++
            sockets.add(socket)
            socket.on("close", () => sockets.delete(socket))
          })

        testScenario(
          `sends one request over one new connection, and prints nothing, when connections are ${
            closing === "destroy" ? "closed" : "reset"
          } and flush is ${mode}`,
          () =>
            Effect.gen(function*() {
              const emulator = yield* start(client, mode, {
                variables: { DD_THREADSTATS_ROLL_UP_INTERVAL: "1", DD_THREADSTATS_FLUSH_INTERVAL: "2" }
              })
              yield* invokeOneByOne(emulator)
              const last = yield* emulator.finish({ record: "last", afterwards: "afterwards" })
              const freeze = yield* emulator.until(
                "freeze",
                emulator.log.findIndex(({ detail }) => detail === last.requestId)
              )
              const requestsBefore = (yield* requests).length
              const connectionsBefore = connections
              assert.isAbove(sockets.size, 0)
              for (const socket of sockets) socket[closing]()
              assert.includeMembers(yield* arrived, [...names, "last"])

              const thawed = yield* emulator.finish({ record: "thawed" }, { frozenFor: Duration.toMillis(length) })
              assert.strictEqual(thawed.status, "response")
              const thaw = yield* emulator.until("thaw", emulator.log.indexOf(freeze))
              assert.isAtLeast(thaw.at - freeze.at, Duration.toMillis(length) - 1)
              const requestsSince = (yield* requests).slice(requestsBefore)
              assert.deepStrictEqual(requestsSince.map(({ method }) => method), ["POST"])
              assert.include(yield* arrived, "thawed")
              assert.strictEqual(connections, connectionsBefore + 1)
              yield* emulator.finish({ record: "next" })
              assert.sameMembers(yield* arrived, [...names, "last", "afterwards", "thawed", "next"])
              assert.deepStrictEqual((yield* posts).map(({ status }) => status), Array(names.length + 3).fill(202))
              assert.deepStrictEqual(printed(emulator), [])
            }),
          layerIntake("100 millis", server),
          Duration.sum(length, "180 seconds")
        )
      }
    }
  })

/** Tests the deadline of an invocation. */
export const testDeadline = (subject: string, client: Client, modes: ReadonlyArray<Mode>) =>
  describe.concurrent(`${subject} deadline`, () => {
    for (const mode of modes) {
      testScenario(
        `delivers the points of an invocation that hangs before it is killed, and serves the next invocation, when flush is ${mode}`,
        () =>
          Effect.gen(function*() {
            const emulator = yield* start(client, mode, {
              timeout: 8000,
              killDelay: 0,
              // Six seconds for the first flush of a process: a busy machine takes longer than Lambda's half a second.
              variables: { DEADLINE_MARGIN: "6000" }
            })
            const { status, timedOut } = yield* emulator.finish({ record: "hung", until: "never" })
            assert.strictEqual(status, "timeout")
            assert.isTrue(timedOut)
            const [post] = yield* posts
            assert.include(yield* arrived, "hung")
            const kill = yield* emulator.until("SIGKILL")
            assert.isBelow(post!.receivedAt, kill.at)
            const next = yield* emulator.finish({ record: "next" })
            assert.strictEqual(next.status, "response")
            assert.sameMembers([...new Set(yield* arrived)], ["hung", "next"])
            assert.lengthOf(kindsOf(emulator.log).filter((kind) => kind === "spawn"), 2)
          })
      )
    }

    for (const mode of modes) {
      testScenario(
        `delivers the points of an invocation that never ends and leaves the event loop empty when flush is ${mode}`,
        () =>
          Effect.gen(function*() {
            const emulator = yield* start(client, mode, {
              timeout: 20_000,
              killDelay: 0,
              // Ten seconds for the first flush of a process on a busy machine.
              variables: { DEADLINE_MARGIN: "10000" }
            })
            // A runtime client ends without an answer, or answers null, once nothing is left to wait for.
            yield* emulator.finish({ record: "hung", until: "nothing" })
            assert.include(yield* arrived, "hung")
            const next = yield* emulator.finish({ record: "next" })
            assert.strictEqual(next.status, "response")
            assert.sameMembers([...new Set(yield* arrived)], ["hung", "next"])
          })
      )
    }

    testScenario(
      "gives up a flush after the response before the deadline, and delivers its points with the next invocation",
      () =>
        Effect.gen(function*() {
          // Long enough for the flush of the second invocation on a busy machine.
          const timeout = 8000
          const intake = yield* LocalIntake.LocalIntake
          yield* intake.script([Effect.never], "/api/v1/distribution_points")
          // Nothing but the deadline ends the flush: the limit of a request is a minute.
          const emulator = yield* start(client, "after-response", { timeout })
          const first = yield* emulator.finish({ record: "first" })
          assert.strictEqual(first.status, "response")
          assert.isFalse(first.timedOut)
          assert.isAtLeast(first.duration, timeout - 500)
          assert.deepStrictEqual(yield* arrived, [])
          yield* emulator.finish({ record: "second" })
          assert.sameMembers(yield* arrived, ["first", "second"])
          assert.notInclude(kindsOf(emulator.log), "SIGKILL")
        })
    )
  })

/** The code around a handler, the status of its outcome, and whether the handler records a point. */
const arounds: ReadonlyArray<readonly [around: Around, status: Outcome["status"], records: boolean]> = [
  ["answers by itself", "response", false],
  ["throws by itself", "error", false],
  ["passes no context", "response", true],
  ["passes a context without a request id", "response", true],
  ["passes another request id", "response", true],
  ["answers that a durable function is pending", "response", false],
  ["calls another handler", "response", true]
]

/** Tests `function.ts` under a runtime client for handlers. */
export const testHandler = (subject: string, client: Client): void => {
  const environment = (flush: Mode, plan?: Partial<Plan>) => start(client, flush, plan)

  testDeadline(subject, client, ["before-response", "after-response"])

  describe.concurrent(`${subject} flush`, () => {
    testScenario(
      "holds the response until the intake answers when flush is before-response",
      () =>
        Effect.gen(function*() {
          const gate = yield* Gate
          const emulator = yield* environment("before-response")
          for (const record of names) {
            const { outcome, report } = yield* emulator.send({ record })
            yield* gate.held
            yield* emulator.synchronize
            const invocation = emulator.log.findLast(({ kind }) => kind === "invoke")!
            assert.isFalse(hasEntry(emulator, "answered", invocation.detail!))
            yield* gate.release
            assert.strictEqual((yield* outcome).status, "response")
            yield* report
            assert.include(yield* arrived, record)
          }
          assert.notInclude(kindsOf(emulator.log), "register")
          assert.lengthOf(yield* posts, names.length)
        }),
      layerGatedIntake
    )

    testScenario(
      "responds before the intake answers, and freezes after it, when flush is after-response",
      () =>
        Effect.gen(function*() {
          const emulator = yield* environment("after-response")
          for (const record of names) yield* assertFlushAfterResponse(emulator, { record })
          assert.include(kindsOf(emulator.log), "register")
          assert.lengthOf(yield* posts, names.length)
          yield* emulator.until("freeze", emulator.log.findLastIndex(({ kind }) => kind === "done"))
          assert.deepStrictEqual(warnings(emulator), [])
        }),
      layerGatedIntake
    )

    for (const [around, status, records] of arounds) {
      testScenario(
        `does not hold an invocation until its deadline when code around the handler ${around}`,
        () =>
          Effect.gen(function*() {
            const emulator = yield* environment("after-response")
            const outcome = yield* emulator.finish({ record: "around", around })
            assert.strictEqual(outcome.status, status)
            // The function has two minutes.
            assert.isBelow(outcome.duration, 60_000)
            assert.isFalse(outcome.timedOut)
            // The extension stays alive. A flush without a deadline ends after a second, so on a busy machine its point comes with this one.
            yield* emulator.finish({ record: "next" })
            assert.includeMembers([...yield* arrived], records ? ["around", "next"] : ["next"])
            const kinds = kindsOf(emulator.log)
            const count = (kind: Entry["kind"]) => kinds.filter((other) => other === kind).length
            assert.strictEqual(count("register"), count("spawn"))
            assert.notInclude(kinds, "register refused")
          })
      )
    }

    testScenario(
      "delivers before the response, with one warning, when the registration of the extension is refused",
      () =>
        Effect.gen(function*() {
          const emulator = yield* environment("after-response", { refuseRegistration: true })
          for (const record of names.slice(0, 3)) {
            assert.strictEqual((yield* emulator.invoke({ record })).status, "response")
            assert.include(yield* arrived, record)
          }
          const [warning, ...others] = warnings(emulator)
          assert.include(warning, "RegistrationClosed")
          assert.lengthOf(others, 0)
        })
    )

    testScenario(
      "sends a pending point during the next invocation when the periodic flush is on and a freeze passed",
      () =>
        Effect.gen(function*() {
          const emulator = yield* environment("before-response", {
            variables: {
              DD_THREADSTATS_ROLL_UP_INTERVAL: "1",
              DD_THREADSTATS_FLUSH_INTERVAL: "1",
              DD_THREADSTATS_PERIODIC_FLUSH: "true"
            }
          })
          yield* emulator.finish({ record: "first", afterwards: "afterwards" })
          const { outcome } = yield* emulator.send({ record: "second", until: "SIGUSR2" }, { frozenFor: 2500 })
          yield* eventuallyEffect(Effect.map(arrived, (all) => all.includes("afterwards")))
          yield* emulator.synchronize
          assert.lengthOf(kindsOf(emulator.log).filter((kind) => kind === "answered"), 1)
          yield* emulator.signal("SIGUSR2")
          const { status } = yield* outcome
          assert.strictEqual(status, "response")
          assert.sameMembers([...new Set(yield* arrived)], ["first", "afterwards", "second"])
        })
    )

    testScenario(
      "fails each invocation, and does not hold it until its deadline, when the layer fails to build",
      () =>
        Effect.gen(function*() {
          const emulator = yield* environment("after-response", { variables: { DD_THREADSTATS_FLUSH_TIMEOUT: "soon" } })
          for (const record of ["first", "second"]) {
            const { payload, status, timedOut } = yield* emulator.finish({ record })
            assert.strictEqual(status, "error")
            assert.isFalse(timedOut)
            assert.include(JSON.stringify(payload), "DD_THREADSTATS_FLUSH_TIMEOUT")
          }
          assert.include(kindsOf(emulator.log), "register")
        })
    )
  })

  describe.concurrent(`${subject} at the end of the environment`, () => {
    testScenario(
      "delivers the remaining points and ends by itself on SIGTERM when flush is after-response",
      () =>
        Effect.gen(function*() {
          const emulator = yield* environment("after-response")
          yield* emulator.finish({ record: "first", atTheEnd: "left" })
          yield* emulator.until("freeze")
          assert.deepStrictEqual(yield* arrived, ["first"])
          const { killed, signal } = yield* emulator.shutdown
          assert.sameMembers([...new Set(yield* arrived)], ["first", "left"])
          assert.deepStrictEqual({ killed, signal }, { killed: false, signal: "SIGTERM" })
        })
    )

    testScenario(
      "ends by itself on SIGTERM, after its flush timeout, when the intake does not answer",
      () =>
        Effect.gen(function*() {
          // The last flush of the layer ends at this limit: the one of a request is a minute.
          const emulator = yield* environment("after-response", { variables: { DD_THREADSTATS_FLUSH_TIMEOUT: "1" } })
          yield* emulator.finish({ record: "first", atTheEnd: "left" })
          const intake = yield* LocalIntake.LocalIntake
          yield* intake.script([Effect.never, Effect.never, Effect.never], "/api/v1/distribution_points")
          const { killed, signal } = yield* emulator.shutdown
          assert.deepStrictEqual({ killed, signal }, { killed: false, signal: "SIGTERM" })
        })
    )

    testScenario(
      "has delivered all points when it is killed without SIGTERM and flush is before-response",
      () =>
        Effect.gen(function*() {
          const emulator = yield* environment("before-response")
          yield* emulator.finish({ record: "first", atTheEnd: "left" })
          const { killed, signal } = yield* emulator.shutdown
          assert.deepStrictEqual({ killed, signal }, { killed: true, signal: "SIGKILL" })
          assert.notInclude(kindsOf(emulator.log), "SIGTERM")
          assert.deepStrictEqual(yield* arrived, ["first"])
        })
    )

    testScenario(
      "ends on the SIGTERM of an external extension when flush is before-response",
      () =>
        Effect.gen(function*() {
          const emulator = yield* environment("before-response", { externalExtension: true })
          yield* emulator.finish({ record: "first" })
          const { killed, signal } = yield* emulator.shutdown
          assert.deepStrictEqual({ killed, signal }, { killed: false, signal: "SIGTERM" })
          assert.deepStrictEqual(yield* arrived, ["first"])
        })
    )
  })
}

/** Tests a function that streams its response, `../ric/stream.ts`, under a runtime client for handlers. */
export const testStream = (subject: string, client: Client) =>
  describe.concurrent(`${subject} streamed response`, () => {
    for (const mode of ["before-response", "after-response"] satisfies ReadonlyArray<Mode>) {
      testScenario(
        `ends the response before the flush, and freezes after the flush, when flush is ${mode}`,
        () =>
          Effect.gen(function*() {
            const emulator = yield* start(client, mode)
            const records = ["one", "two", "three"]
            for (const record of records) {
              const event = { record, pieces: ["a", "b"] }
              assert.strictEqual(yield* assertFlushAfterResponse(emulator, event), "ab")
            }
            assert.lengthOf(yield* posts, records.length)
            assert.strictEqual(kindsOf(emulator.log).includes("register"), mode === "after-response")
          }),
        layerGatedIntake
      )
    }
  })

/**
 * Tests a function on a Managed Instance whose invocations share a thread. `flushesFirst` is true if the points of an invocation
 * arrive before its response.
 */
export const testManagedInstance = (
  subject: string,
  client: Client,
  flushesFirst: boolean,
  plan: Partial<Plan> = {}
): void => {
  const environment = (concurrency: number) => start(client, "after-response", { ...plan, concurrency })

  const assertOneThread = (results: ReadonlyArray<Result>) =>
    assert.strictEqual(new Set(results.map(({ process, thread }) => `${process} ${thread}`)).size, 1)

  /** Asserts the condition, or waits for it if points arrive after the response. */
  const awaitArrival = (holds: (all: ReadonlyArray<string>) => boolean) =>
    flushesFirst
      ? Effect.map(arrived, (all) => assert.isTrue(holds(all)))
      : eventuallyEffect(Effect.map(arrived, holds))

  describe.concurrent(`${subject} on a Managed Instance`, () => {
    for (const concurrency of [8, 64]) {
      testScenario(
        `delivers the counts of ${concurrency} concurrent invocations with the tags of each`,
        () =>
          Effect.gen(function*() {
            const emulator = yield* environment(concurrency)
            const records = Array.from({ length: concurrency }, (_, index) => `record.${index}`)
            const turns = 5
            const results = yield* Effect.forEach(records, (record) =>
              Effect.gen(function*() {
                const { payload, requestId, status } = yield* emulator.invoke({ record, together: concurrency, turns })
                assert.strictEqual(status, "response")
                if (flushesFirst) assert.include(yield* arrived, record)
                const result = payload as Result
                assert.deepInclude(result, { recorded: record, request: requestId })
                return result
              }), { concurrency })
            assertOneThread(results)
            // Each record has two series of its own.
            yield* awaitArrival((all) => all.length >= 2 * concurrency)
            const all = yield* Effect.flatMap(LocalIntake.LocalIntake, (intake) => intake.distributions)
            const sums: Record<string, number> = {}
            for (const { metric, points, tags } of all) {
              const key = [metric, ...tags ?? []].toSorted().join(" ")
              for (const [, values] of points) sums[key] = values.reduce((sum, value) => sum + value, sums[key] ?? 0)
            }
            const expected = results.flatMap(({ recorded, request }) => [
              [recorded, 1],
              [[`record:${recorded}`, `request:${request}`, "turns"].join(" "), turns]
            ])
            assert.deepStrictEqual(sums, Object.fromEntries(expected))
            assert.isAtMost((yield* posts).length, concurrency)
            assert.notIncludeMembers(kindsOf(emulator.log), ["register", "register refused", "freeze"])
            assert.lengthOf(warnings(emulator), flushesFirst ? 1 : 0)
          })
      )
    }

    testScenario(
      "flushes at the end of each invocation although one is always under way",
      () =>
        Effect.gen(function*() {
          const concurrency = 8
          const count = 64
          const emulator = yield* environment(concurrency)
          const results = yield* Effect.forEach(
            Array.from({ length: count }, (_, index) => index),
            (index) =>
              Effect.gen(function*() {
                const record = `record.${index}`
                // An invocation has no result before another one has begun: one is always under way.
                const event = { record, outlived: index < count - concurrency ? 1 : 0 }
                const { payload, status } = yield* emulator.invoke(event)
                assert.strictEqual(status, "response")
                yield* awaitArrival((all) => all.includes(record))
                return payload as Result
              }),
            { concurrency: "unbounded" }
          )
          assertOneThread(results)
          assert.sameMembers([...new Set(yield* arrived)], results.map(({ recorded }) => recorded))
          const last = emulator.log.filter(({ kind }) => kind === "invoke")[count - concurrency]!
          let underWay = 0
          for (const { kind } of emulator.log.slice(0, emulator.log.indexOf(last))) {
            if (kind === "invoke") underWay++
            if (kind === "answered") assert.isAbove(--underWay, 0)
          }
          const early = (yield* posts).filter(({ receivedAt }) => receivedAt < last.at)
          const bodies = early.map(({ body }) => body as { readonly series: ReadonlyArray<unknown> })
          assert.isAbove(bodies.flatMap(({ series }) => series).length, count / 2)
        }),
      layerIntake("30 millis")
    )
  })
}

/** Tests a function that a client for handlers runs in several threads. */
export const testWorkerThreads = (subject: string, client: Client) =>
  describe.concurrent(`${subject} on a Managed Instance with worker threads`, () => {
    const threads = 4

    testScenario(
      "builds a layer in each thread, which warns once that it flushes before the response",
      () =>
        Effect.gen(function*() {
          const emulator = yield* start(client, "after-response", {
            concurrency: 16,
            variables: { AWS_LAMBDA_NODEJS_WORKER_COUNT: String(threads) }
          })
          const results = yield* Effect.forEach(
            Array.from({ length: 64 }, (_, index) => `record.${index}`),
            (record) =>
              Effect.gen(function*() {
                const { payload, status } = yield* emulator.invoke({ record })
                assert.strictEqual(status, "response")
                assert.include(yield* arrived, record)
                return payload as Result
              }),
            { concurrency: "unbounded" }
          )
          assert.strictEqual(new Set(results.map(({ process }) => process)).size, 1)
          assert.strictEqual(new Set(results.map(({ thread }) => thread)).size, threads)
          assert.sameMembers([...new Set(yield* arrived)], results.map(({ recorded }) => recorded))
          assert.lengthOf(warnings(emulator), threads)
          assert.notInclude(kindsOf(emulator.log), "register")
        })
    )
  })
