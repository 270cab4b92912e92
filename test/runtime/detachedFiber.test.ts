import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Logger, LogLevel, Metric, Option, RuntimeFlags, Tracer } from "effect"
import * as RuntimeFlagsPatch from "effect/RuntimeFlagsPatch"
import * as detachedFiber from "../../src/internal/runtime/detachedFiber.js"

class Name extends Context.Tag("test/Name")<Name, string>() {}

type Fork = <A, E, R, S>(
  effect: Effect.Effect<A, E, R>,
  services: Context.Context<S>
) => Effect.Effect<Fiber.RuntimeFiber<A, E>, never, Exclude<R, S>>

const forkByCombinators: Fork = (effect, services) =>
  Effect.forkDaemon(Effect.provide(effect, services).pipe(Effect.withTracerEnabled(false))).pipe(
    Effect.withUnhandledErrorLogLevel(Option.none()),
    Effect.withRuntimeFlagsPatch(RuntimeFlagsPatch.disable(RuntimeFlags.RuntimeMetrics))
  )

const resultOf = <A, E>(fiber: Fiber.Fiber<A, E>) => Effect.flatten(Fiber.await(fiber))

/** `fork`, and the combination of Effect's functions for which it stands. */
const implementations: Record<string, Fork> = { fork: detachedFiber.fork, "Effect.forkDaemon": forkByCombinators }

for (const [name, fork] of Object.entries(implementations)) {
  describe(`detachedFiber, ${name}`, () => {
    it.effect("runs the effect with the caller's services and the added ones", () =>
      Effect.gen(function*() {
        class Other extends Context.Tag("test/Other")<Other, string>() {}
        const fiber = yield* fork(Effect.all([Name, Other]), Context.make(Other, "added"))
        assert.deepStrictEqual(yield* resultOf(fiber), ["caller's", "added"])
        const inner = yield* fork(Name, Context.make(Name, "added"))
        assert.strictEqual(yield* resultOf(inner), "added")
        assert.strictEqual(yield* Name, "caller's")
      }).pipe(Effect.provideService(Name, "caller's")))

    it.effect("goes on when the caller has ended", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<string>()
        const fiber = yield* Effect.flatMap(Effect.fork(fork(Deferred.await(gate), Context.empty())), Fiber.join)
        yield* Deferred.succeed(gate, "end")
        assert.strictEqual(yield* resultOf(fiber), "end")
      }))

    it.effect("does not start an effect that is interrupted first", () =>
      Effect.gen(function*() {
        let runs = 0
        const fiber = yield* fork(Effect.sync(() => runs++), Context.empty())
        assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
        assert.strictEqual(runs, 0)
      }))

    it.effect("makes no spans", () =>
      Effect.gen(function*() {
        const spans: Array<string> = []
        const native = yield* Effect.tracer
        const tracer = Tracer.make({
          span(...args) {
            spans.push(args[0])
            return native.span(...args)
          },
          context: (f, fiber) => native.context(f, fiber)
        })
        const traced = Effect.withSpan(Effect.void, "inside")
        const program = Effect.zipRight(
          Effect.flatMap(fork(traced, Context.empty()), resultOf),
          Effect.withSpan(Effect.void, "outside")
        )
        yield* Effect.withTracer(program, tracer).pipe(Effect.withTracerEnabled(true))
        assert.deepStrictEqual(spans, ["outside"])
      }))

    it.effect("logs nothing when the effect fails", () =>
      Effect.gen(function*() {
        const lines: Array<unknown> = []
        const logger = Logger.make(({ message }) => {
          lines.push(message)
        })
        const program = Effect.flatMap(fork(Effect.fail("failure"), Context.empty()), Fiber.await)
        const exit = yield* program.pipe(
          Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
          Logger.withMinimumLogLevel(LogLevel.All)
        )
        assert.deepStrictEqual(exit, Exit.fail("failure"))
        assert.deepStrictEqual(lines, [])
      }))

    it.effect("is not counted in Effect's fiber metrics", () =>
      Effect.gen(function*() {
        const started = Metric.value(Metric.counter("effect_fiber_started", { incremental: true }))
        const before = yield* started
        yield* Effect.flatMap(fork(Effect.void, Context.empty()), resultOf)
        assert.deepStrictEqual(yield* started, before)
        yield* Effect.flatMap(Effect.fork(Effect.void), Fiber.join)
        assert.notDeepEqual(yield* started, before)
      }).pipe(Effect.withRuntimeFlagsPatch(RuntimeFlagsPatch.enable(RuntimeFlags.RuntimeMetrics))))
  })
}
