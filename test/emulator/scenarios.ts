/** What a function in an environment is held to, whichever runtime client it runs under. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpServer from "@effect/platform/HttpServer"
import { assert, describe, it } from "@effect/vitest"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { createServer, type Server } from "node:http"
import type { Socket } from "node:net"
import { beforeAll } from "vitest"
import { bundle } from "../support/childProcess.js"
import * as Emulator from "./client.js"
import type { Entry, Plan } from "./protocol.js"
import type { Result } from "./work.js"

const key = "0123456789abcdef0123456789abcdef"

/** The paths of the bundles, by name. */
export const built: Record<string, string> = {}

/** Bundles files of this folder, and of others by their path from here. */
export const building = (...names: ReadonlyArray<string>) =>
  beforeAll(async () => {
    for (const name of names) built[name] = await bundle(`test/emulator/${name}.ts`)
  }, 60_000)

/** An intake that takes its time for every answer. */
export const layerIntake = (delay: Duration.DurationInput, server: () => Server = createServer) =>
  LocalIntake.layer({ apiKey: Redacted.make(key) }).pipe(
    Layer.provide(Layer.effect(
      HttpServer.HttpServer,
      Effect.map(
        HttpServer.HttpServer,
        ({ address, serve }) =>
          HttpServer.make({ address, serve: (app, middleware) => serve(Effect.delay(app, delay), middleware!) })
      )
    )),
    Layer.provide(NodeHttpServer.layer(server, { port: 0, host: "127.0.0.1" })),
    Layer.orDie
  )

export const arrived = Effect.flatMap(LocalIntake.LocalIntake, (intake) => intake.distributions).pipe(
  Effect.map((batch) => batch.map(({ metric }) => metric))
)

const requests = Effect.flatMap(LocalIntake.LocalIntake, (intake) => intake.requests)

export const posts = Effect.map(requests, (all) => all.filter(({ method }) => method === "POST"))

export type Mode = "before-response" | "after-response"

/** The command line of a function under a runtime client. */
export type Client = () => ReadonlyArray<string>

/** An environment, and the function in it. */
export const start = (client: Client, flush: Mode, plan: Partial<Plan> = {}) =>
  Effect.flatMap(LocalIntake.LocalIntake, (intake) =>
    Emulator.start(built["emulator"]!, {
      command: client(),
      timeout: 20_000,
      ...plan,
      variables: { FLUSH: flush, DATADOG_HOST: intake.url, DD_API_KEY: key, ...plan.variables }
    }))

export const whats = (log: ReadonlyArray<Entry>) => log.map(({ what }) => what)

/** What was written, but for the greeting of AWS's client. */
const printed = (emulator: Emulator.Emulator) =>
  emulator.output().split("\n").filter((line) => line !== "" && !line.startsWith("Executing '"))

export const warnings = (emulator: Emulator.Emulator) =>
  emulator.output().split("\n").filter((line) => line.includes("WARN"))

export const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!

export const scenario = (
  title: string,
  test: () => Effect.Effect<void, unknown, LocalIntake.LocalIntake | Scope.Scope>,
  intake: Layer.Layer<LocalIntake.LocalIntake> = layerIntake(0),
  timeout: Duration.DurationInput = "30 seconds",
  retry = 0
) =>
  it.live(
    title,
    // The function goes before the intake, which waits for connections to be closed.
    () => test().pipe(Effect.scoped, Effect.provide(intake)),
    { timeout: Duration.toMillis(timeout), retry }
  )

export const names = ["one", "two", "three", "four", "five"]

/** Invokes one after another; what has arrived is looked at when the environment has frozen. */
export const oneByOne = (emulator: Emulator.Emulator) =>
  Effect.forEach(names, (record) =>
    Effect.gen(function*() {
      const { duration, responseTime, status } = yield* emulator.finish({ record })
      assert.strictEqual(status, "response")
      assert.include(yield* arrived, record)
      return { duration, responseTime }
    }))

/**
 * What a function keeps to that is stopped for as long. Meanwhile the intake closes the connections that the function holds, or
 * resets them, as a gateway between them would; and something is recorded that a tick would send.
 */
export const ofFreeze = (
  client: Client,
  modes: ReadonlyArray<Mode>,
  severing: ReadonlyArray<"destroy" | "resetAndDestroy">,
  length: Duration.DurationInput,
  title = ""
) =>
  describe.concurrent(`an environment that is frozen for ${Duration.format(length)}${title}`, () => {
    for (const mode of modes) {
      for (const sever of severing) {
        const sockets = new Set<Socket>()
        let connections = 0
        const server = () =>
          createServer().on("connection", (socket) => {
            connections++
            sockets.add(socket)
            socket.on("close", () => sockets.delete(socket))
          })

        scenario(
          `flushes once for each invocation, with nothing to see of it (${mode}, ${sever})`,
          () =>
            Effect.gen(function*() {
              const emulator = yield* start(client, mode, {
                variables: { DD_THREADSTATS_ROLL_UP_INTERVAL: "1", DD_THREADSTATS_FLUSH_INTERVAL: "2" }
              })
              const warm = yield* oneByOne(emulator)
              const last = yield* emulator.finish({ record: "last", afterwards: "afterwards" })
              const freeze = yield* emulator.until(
                "freeze",
                emulator.log.findIndex(({ detail }) => detail === last.requestId)
              )
              const used = connections
              assert.isAbove(sockets.size, 0)
              for (const socket of sockets) socket[sever]()
              // The wait is what is tested: time in which nothing runs.
              yield* Effect.sleep(length)
              assert.includeMembers(yield* arrived, [...names, "last"])

              const thawed = yield* emulator.finish({ record: "thawed" })
              assert.strictEqual(thawed.status, "response")
              const since = (yield* requests).filter(({ receivedAt }) => receivedAt >= freeze.at)
              assert.deepStrictEqual(since.map(({ method }) => method), ["POST"])
              assert.include(yield* arrived, "thawed")
              assert.isAbove(connections, used)
              for (const time of ["duration", "responseTime"] as const) {
                assert.isBelow(thawed[time], median(warm.map((one) => one[time])) + 1000, time)
              }
              yield* emulator.finish({ record: "next" })
              assert.sameMembers(yield* arrived, [...names, "last", "afterwards", "thawed", "next"])
              assert.deepStrictEqual((yield* posts).map(({ status }) => status), Array(names.length + 3).fill(202))
              assert.includeMembers(whats(emulator.log), ["freeze", "thaw"])
              assert.deepStrictEqual(printed(emulator), [])
            }),
          layerIntake("100 millis", server),
          Duration.sum(length, "30 seconds")
        )
      }
    }
  })

/** What a function keeps to that flushes in one of these modes. `timeout` is what an invocation may take, in milliseconds. */
export const ofEach = (client: Client, modes: ReadonlyArray<Mode>, title: string, timeout = 1500): void => {
  const environment = (flush: Mode, plan?: Partial<Plan>) => start(client, flush, plan)

  describe.concurrent(`the deadline${title}`, () => {
    for (const mode of modes) {
      scenario(
        `of an invocation that hangs does not cost its metrics, nor the next invocation (${mode})`,
        () =>
          Effect.gen(function*() {
            const emulator = yield* environment(mode, { timeout })
            const { status, timedOut } = yield* emulator.finish({ record: "hung", hang: true })
            assert.strictEqual(status, "timeout")
            assert.isTrue(timedOut)
            const [post] = yield* posts
            assert.deepStrictEqual(yield* arrived, ["hung"])
            const kill = yield* emulator.until("SIGKILL")
            assert.isBelow(post!.receivedAt, kill.at)
            const next = yield* emulator.finish({ record: "next" })
            assert.strictEqual(next.status, "response")
            assert.deepStrictEqual(yield* arrived, ["hung", "next"])
            assert.lengthOf(whats(emulator.log).filter((what) => what === "spawn"), 2)
          }),
        layerIntake(0),
        "30 seconds",
        // There are 500 ms for the first flush of a process that has just been loaded.
        2
      )
    }

    scenario(
      "is kept after the response too, by an intake that does not answer; the next invocation delivers both",
      () =>
        Effect.gen(function*() {
          const intake = yield* LocalIntake.LocalIntake
          yield* intake.script([Effect.never], "/api/v1/distribution_points")
          const emulator = yield* environment("after-response", { timeout })
          const first = yield* emulator.finish({ record: "first" })
          assert.isBelow(first.responseTime, timeout - 500)
          assert.isFalse(first.timedOut)
          // The intake's client would give up by itself after three seconds.
          assert.isAtLeast(first.duration, timeout - 500)
          assert.deepStrictEqual(yield* arrived, [])
          yield* emulator.finish({ record: "second" })
          assert.sameMembers(yield* arrived, ["first", "second"])
          assert.notInclude(whats(emulator.log), "SIGKILL")
        }),
      layerIntake(0),
      "30 seconds",
      // There are 100 ms between the end of the flush and the deadline, which a busy machine may well miss.
      2
    )
  })
}

/** What `function.ts` keeps to, where it runs under a client for handlers. */
export const ofHandler = (client: Client, title = "", timeout?: number): void => {
  const environment = (flush: Mode, plan?: Partial<Plan>) => start(client, flush, plan)

  ofEach(client, ["before-response", "after-response"], title, timeout)

  describe.concurrent("a function in an environment, with an intake that takes 200 ms", () => {
    const slow = layerIntake("200 millis")

    scenario("keeps its callers waiting for it before the response", () =>
      Effect.gen(function*() {
        const emulator = yield* environment("before-response")
        const times = yield* oneByOne(emulator)
        assert.isAtLeast(median(times.map(({ responseTime }) => responseTime)), 200)
        assert.notInclude(whats(emulator.log), "register")
        assert.lengthOf(yield* posts, names.length)
      }), slow)

    scenario("does not after the response, and loses nothing to the freeze", () =>
      Effect.gen(function*() {
        const emulator = yield* environment("after-response")
        const times = yield* oneByOne(emulator)
        assert.isBelow(median(times.map(({ responseTime }) => responseTime)), 100)
        assert.isAtLeast(median(times.map(({ duration }) => duration)), 200)
        assert.lengthOf(yield* posts, names.length)
        yield* emulator.until("freeze", emulator.log.length - 2)
        assert.deepStrictEqual(warnings(emulator), [])
      }), slow)
  })

  describe.concurrent("where no extension can be registered", () => {
    scenario("everything leaves before the response, with one warning", () =>
      Effect.gen(function*() {
        const emulator = yield* environment("after-response", { refuseRegistration: true })
        for (const record of names.slice(0, 3)) {
          assert.strictEqual((yield* emulator.invoke({ record })).status, "response")
          assert.include(yield* arrived, record)
        }
        const [warning, ...others] = warnings(emulator)
        assert.include(warning, "RegistrationClosed")
        assert.lengthOf(others, 0)
      }))
  })

  describe.concurrent("an environment that was frozen, and is told to flush periodically", () => {
    scenario("sends on its own", () =>
      Effect.gen(function*() {
        const emulator = yield* environment("before-response", {
          variables: {
            DD_THREADSTATS_ROLL_UP_INTERVAL: "1",
            DD_THREADSTATS_FLUSH_INTERVAL: "1",
            DD_THREADSTATS_PERIODIC_FLUSH: "true"
          }
        })
        yield* emulator.finish({ record: "first", afterwards: "afterwards" })
        yield* Effect.sleep("2500 millis")
        yield* emulator.finish({ record: "second", wait: 200 })
        assert.lengthOf(yield* posts, 3)
      }))
  })

  describe.concurrent("the end of an environment", () => {
    scenario(
      "with the extension is a signal and half a second, in which it flushes what is left",
      () =>
        Effect.gen(function*() {
          const emulator = yield* environment("after-response")
          yield* emulator.finish({ record: "first", atTheEnd: "left" })
          yield* emulator.until("freeze")
          assert.deepStrictEqual(yield* arrived, ["first"])
          const { killed, shutdownTime, signal } = yield* emulator.shutdown
          assert.deepStrictEqual(yield* arrived, ["first", "left"])
          assert.isFalse(killed)
          assert.strictEqual(signal, "SIGTERM")
          assert.isBelow(shutdownTime!, 500)
        })
    )

    scenario("is no longer, where the intake does not answer", () =>
      Effect.gen(function*() {
        const emulator = yield* environment("after-response")
        yield* emulator.finish({ record: "first", atTheEnd: "left" })
        const intake = yield* LocalIntake.LocalIntake
        yield* intake.script([Effect.never, Effect.never, Effect.never], "/api/v1/distribution_points")
        const { shutdownTime } = yield* emulator.shutdown
        assert.isBelow(shutdownTime!, 700)
      }))

    scenario("without one is a kill, after which nothing is missing", () =>
      Effect.gen(function*() {
        const emulator = yield* environment("before-response")
        yield* emulator.finish({ record: "first", atTheEnd: "left" })
        const { killed, signal } = yield* emulator.shutdown
        assert.isTrue(killed)
        assert.strictEqual(signal, "SIGKILL")
        assert.notInclude(whats(emulator.log), "SIGTERM")
        assert.deepStrictEqual(yield* arrived, ["first"])
      }))

    scenario("with an external extension only is a signal and 300 ms", () =>
      Effect.gen(function*() {
        const emulator = yield* environment("before-response", { externalExtension: true })
        yield* emulator.finish({ record: "first" })
        const { killed, shutdownTime, signal } = yield* emulator.shutdown
        assert.isFalse(killed)
        assert.strictEqual(signal, "SIGTERM")
        assert.isBelow(shutdownTime!, 300)
        assert.deepStrictEqual(yield* arrived, ["first"])
      }))
  })

  describe.concurrent("an environment that cannot be built", () => {
    scenario(
      "fails its invocations, and does not hold them although the extension is registered",
      () =>
        Effect.gen(function*() {
          const emulator = yield* environment("after-response", { variables: { DD_THREADSTATS_FLUSH_TIMEOUT: "soon" } })
          for (const record of ["first", "second"]) {
            const { duration, payload, status } = yield* emulator.finish({ record })
            assert.strictEqual(status, "error")
            assert.include(JSON.stringify(payload), "DD_THREADSTATS_FLUSH_TIMEOUT")
            assert.isBelow(duration, 10_000)
          }
          assert.include(whats(emulator.log), "register")
        })
    )
  })
}

/** What a function keeps to that streams its response, `stream.ts` of the folder beside this. */
export const ofStream = (client: Client, title = "") =>
  describe.concurrent(`a function that streams${title}`, () => {
    for (const mode of ["before-response", "after-response"] satisfies ReadonlyArray<Mode>) {
      scenario(
        `has ended its response before it flushes, and flushes before it is frozen (${mode})`,
        () =>
          Effect.gen(function*() {
            const emulator = yield* start(client, mode)
            const records = ["one", "two", "three"]
            for (const record of records) {
              const { duration, payload, responseTime, status } = yield* emulator.finish({ record, pieces: ["a", "b"] })
              assert.strictEqual(status, "response")
              assert.strictEqual(payload, "ab")
              assert.include(yield* arrived, record)
              assert.isBelow(responseTime, duration - 190)
            }
            assert.lengthOf(yield* posts, records.length)
            const [first] = yield* posts
            const answered = yield* emulator.until("answered")
            assert.isAbove(first!.receivedAt, answered.at - 1)
            assert.strictEqual(whats(emulator.log).includes("register"), mode === "after-response")
          }),
        layerIntake("200 millis")
      )
    }
  })

/**
 * What a function keeps to on a Managed Instance. `plan` sees to it that all invocations are in one thread. `flushesFirst`:
 * whether what was recorded has arrived when the response is there.
 */
export const ofManaged = (client: Client, flushesFirst: boolean, plan: Partial<Plan> = {}, title = ""): void => {
  const environment = (concurrency: number) => start(client, "after-response", { ...plan, concurrency })

  const isOneThread = (results: ReadonlyArray<Result>) =>
    assert.strictEqual(new Set(results.map(({ process, thread }) => `${process} ${thread}`)).size, 1)

  /** Waits for what may arrive after the response. */
  const until = (isThere: (all: ReadonlyArray<string>) => boolean) =>
    flushesFirst
      ? Effect.map(arrived, (all) => assert.isTrue(isThere(all)))
      : Effect.repeat(Effect.delay(arrived, 5), { until: isThere })

  describe.concurrent(`a Managed Instance${title}`, () => {
    for (const concurrency of [8, 64]) {
      scenario(
        `delivers every count of ${concurrency} invocations at a time, each as its own`,
        () =>
          Effect.gen(function*() {
            const emulator = yield* environment(concurrency)
            const records = Array.from({ length: concurrency }, (_, index) => `record.${index}`)
            const turns = 5
            const outcomes = yield* Effect.forEach(
              records,
              (record) =>
                Effect.gen(function*() {
                  const { payload, requestId, status } = yield* emulator.invoke({
                    record,
                    together: concurrency,
                    turns
                  })
                  assert.strictEqual(status, "response")
                  if (flushesFirst) assert.include(yield* arrived, record)
                  const result = payload as Result
                  assert.deepInclude(result, { recorded: record, request: requestId })
                  return result
                }),
              { concurrency }
            )
            isOneThread(outcomes)
            // Each in a series of its own.
            yield* until((all) => all.length >= 2 * concurrency)
            const all = yield* Effect.flatMap(LocalIntake.LocalIntake, (intake) => intake.distributions)
            const sums: Record<string, number> = {}
            for (const { metric, points, tags } of all) {
              const key = [metric, ...tags ?? []].toSorted().join(" ")
              for (const [, values] of points) sums[key] = values.reduce((sum, value) => sum + value, sums[key] ?? 0)
            }
            const expected = outcomes.flatMap(({ recorded, request }) => [
              [recorded, 1],
              [[`record:${recorded}`, `request:${request}`, "turns"].join(" "), turns]
            ])
            assert.deepStrictEqual(sums, Object.fromEntries(expected))
            assert.isAtMost((yield* posts).length, concurrency)
            assert.notIncludeMembers(whats(emulator.log), ["register", "register refused", "freeze"])
            assert.lengthOf(warnings(emulator), flushesFirst ? 1 : 0)
          })
      )
    }

    scenario(
      "does not put off flushing while invocations never stop overlapping",
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
                // None has its result before another has begun, so that there is always one under way.
                const event = { record, wait: 60 + index % 7 * 10, outlived: index < count - concurrency ? 1 : 0 }
                const { payload, responseTime, status } = yield* emulator.invoke(event)
                assert.strictEqual(status, "response")
                assert.isBelow(responseTime, 5000)
                yield* until((all) => all.includes(record))
                return payload as Result
              }),
            { concurrency: "unbounded" }
          )
          isOneThread(results)
          assert.sameMembers(yield* arrived, results.map(({ recorded }) => recorded))
          const last = emulator.log.filter(({ what }) => what === "invoke")[count - concurrency]!
          let underWay = 0
          for (const { what } of emulator.log.slice(0, emulator.log.indexOf(last))) {
            if (what === "invoke") underWay++
            if (what === "answered") assert.isAbove(--underWay, 0)
          }
          const early = (yield* posts).filter(({ receivedAt }) => receivedAt < last.at)
          const bodies = early.map(({ body }) => body as { readonly series: ReadonlyArray<unknown> })
          assert.isAbove(bodies.flatMap(({ series }) => series).length, count / 2)
        }),
      layerIntake("30 millis")
    )
  })
}

/** What a function keeps to that a client for handlers runs in several threads. */
export const ofThreads = (client: Client, title = "") =>
  describe.concurrent(`a Managed Instance with worker threads${title}`, () => {
    const threads = 4

    scenario(
      "has an environment in each, which says once that it flushes before the response",
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
          assert.sameMembers(yield* arrived, results.map(({ recorded }) => recorded))
          assert.lengthOf(warnings(emulator), threads)
          assert.notInclude(whats(emulator.log), "register")
        })
    )
  })
