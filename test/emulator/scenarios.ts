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
import { beforeAll } from "vitest"
import { bundle } from "../lambda/child.js"
import * as Emulator from "./client.js"
import type { Entry, Plan } from "./protocol.js"

const key = "0123456789abcdef0123456789abcdef"

/** The paths of the bundles, by name. */
export const built: Record<string, string> = {}

/** Bundles files of this folder, and of others by their path from here. */
export const building = (...names: ReadonlyArray<string>) =>
  beforeAll(async () => {
    for (const name of names) built[name] = await bundle(`../emulator/${name}.ts`)
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

export const posts = Effect.flatMap(LocalIntake.LocalIntake, (intake) => intake.requests).pipe(
  Effect.map((requests) => requests.filter(({ method }) => method === "POST"))
)

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
  intake: Layer.Layer<LocalIntake.LocalIntake> = layerIntake(0)
) =>
  it.live(
    title,
    // The function goes before the intake, which waits for connections to be closed.
    () => test().pipe(Effect.scoped, Effect.provide(intake)),
    30_000
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

/** What a function keeps to that flushes in one of these modes. */
export const ofEach = (client: Client, modes: ReadonlyArray<Mode>, title: string): void => {
  const environment = (flush: Mode, plan?: Partial<Plan>) => start(client, flush, plan)

  describe.concurrent(`an environment that was frozen${title}`, () => {
    for (const mode of modes) {
      let connections = 0
      /** Closes connections that nobody uses, which the frozen environment learns when it is thawed. */
      const server = () =>
        createServer({ keepAliveTimeout: 500 }).on("connection", () => {
          connections++
        })

      /** What was recorded afterwards is what a tick would send. The wait is what is tested: time in which nothing runs. */
      scenario(`flushes once for each invocation, with nothing to see of it (${mode})`, () =>
        Effect.gen(function*() {
          const emulator = yield* environment(mode, {
            variables: { DD_THREADSTATS_ROLL_UP_INTERVAL: "1", DD_THREADSTATS_FLUSH_INTERVAL: "1" }
          })
          const first = yield* emulator.finish({ record: "first", afterwards: "afterwards" })
          assert.strictEqual(first.status, "response")
          assert.include(yield* arrived, "first")
          const used = connections
          yield* Effect.sleep("2500 millis")
          for (const record of ["second", "third"]) {
            const { status } = yield* emulator.finish({ record })
            assert.strictEqual(status, "response")
            assert.include(yield* arrived, record)
          }
          assert.isAbove(connections, used)
          assert.sameMembers(yield* arrived, ["first", "afterwards", "second", "third"])
          assert.deepStrictEqual((yield* posts).map(({ status }) => status), [202, 202, 202])
          assert.includeMembers(whats(emulator.log), ["freeze", "thaw"])
          assert.deepStrictEqual(printed(emulator), [])
        }), layerIntake(0, server))
    }
  })

  describe.concurrent(`the deadline${title}`, () => {
    for (const mode of modes) {
      scenario(
        `of an invocation that hangs does not cost its metrics, nor the next invocation (${mode})`,
        () =>
          Effect.gen(function*() {
            const emulator = yield* environment(mode, { timeout: 1500 })
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
          })
      )
    }

    scenario(
      "is kept after the response too, by an intake that does not answer; the next invocation delivers both",
      () =>
        Effect.gen(function*() {
          const intake = yield* LocalIntake.LocalIntake
          yield* intake.script([Effect.never], "/api/v1/distribution_points")
          const emulator = yield* environment("after-response", { timeout: 1500 })
          const first = yield* emulator.finish({ record: "first" })
          assert.isBelow(first.responseTime, 1000)
          assert.isFalse(first.timedOut)
          assert.isAtLeast(first.duration, 1000)
          assert.deepStrictEqual(yield* arrived, [])
          yield* emulator.finish({ record: "second" })
          assert.sameMembers(yield* arrived, ["first", "second"])
          assert.notInclude(whats(emulator.log), "SIGKILL")
        })
    )
  })
}

/** What `function.ts` keeps to, where it runs under a client for handlers. */
export const ofHandler = (client: Client, title = ""): void => {
  const environment = (flush: Mode, plan?: Partial<Plan>) => start(client, flush, plan)

  ofEach(client, ["before-response", "after-response"], title)

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
