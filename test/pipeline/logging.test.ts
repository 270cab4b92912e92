/** Every place at which a client logs, with loggers that throw. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, Layer, Logger, LogLevel, Option, Scope, TestClock } from "effect"
import { Reporter, RetainedStore, ThreadStats } from "effect-threadstats"
import { PipelineMetricsAggregator } from "../../src/internal/aggregation/MetricsAggregator.js"
import { failingReporter } from "../retained/disk.js"
import { layerEventsAggregator, layerMetricsAggregatorWith, layerReporterWith } from "../support/layers.js"
import * as scripted from "../support/scripted.js"

const throwing = (value: unknown) => () => {
  throw value
}

/** A value whose every use throws. */
const unprintable: unknown = new Proxy({}, {
  get: throwing(new Error("get")),
  has: throwing(new Error("has")),
  getPrototypeOf: throwing(new Error("getPrototypeOf"))
})

const thrownValues: { readonly [name: string]: unknown } = {
  "an error": new Error("broken logger"),
  "a value that cannot be printed": unprintable
}

type Client = ThreadStats.ThreadStats["Type"]

interface Place {
  readonly layer: (reporter: scripted.Scripted) => Layer.Layer<ThreadStats.ThreadStats>
  readonly use: (client: Client, reporter: scripted.Scripted) => Effect.Effect<unknown, never, Scope.Scope>
}

const flush = (client: Client) => client.flush()
const flushPoint = (client: Client) => Effect.zipRight(client.gauge("g", 1), client.flush())

const storeWith = (store: Partial<RetainedStore.RetainedStore["Type"]>): RetainedStore.RetainedStore["Type"] => {
  const self: RetainedStore.RetainedStore["Type"] = {
    load: Effect.succeed({ metrics: [], events: [], skipped: 0, lost: { points: 0, events: 0 } }),
    save: (take) => Effect.asVoid(take(new Map())),
    isEmpty: () => false,
    pipeline: () => self,
    ...store
  }
  return self
}

const withStore = (store: Partial<RetainedStore.RetainedStore["Type"]>): Place["layer"] => (reporter) =>
  Layer.provide(scripted.client(reporter), Layer.succeed(RetainedStore.RetainedStore, storeWith(store)))

const places: { readonly [place: string]: Place } = {
  "a dropped point": {
    layer: scripted.client,
    use: (client) => Effect.zipRight(client.gauge("g", Number.NaN), client.flush())
  },
  "a name with two kinds": {
    layer: scripted.client,
    use: (client) => client.gauge("g", 1).pipe(Effect.zipRight(client.increment("g")), Effect.zipRight(client.flush()))
  },
  "a failed report": {
    layer: scripted.client,
    use: (client, reporter) =>
      Effect.suspend(() => {
        reporter.answer = ({ batch }) => scripted.fail("Unauthorized", { undelivered: batch })
        return Effect.zipRight(flushPoint(client), flush(client))
      })
  },
  "a failed hook": {
    layer: scripted.client,
    use: (client) => Effect.zipRight(client.onFlush(throwing(unprintable)), flushPoint(client))
  },
  "an invalid option": {
    layer: scripted.client,
    use: (client) => Effect.zipRight(client.gauge("g", 1), client.flush({ upTo: new Date(Number.NaN) }))
  },
  "a warm-up that dies": {
    layer: (reporter) =>
      scripted.client({
        ...reporter,
        layer: Layer.map(reporter.layer, (context) =>
          Context.make(Reporter.Reporter, {
            ...Context.get(context, Reporter.Reporter),
            warm: Effect.failCause(Cause.die(unprintable))
          }))
      }),
    use: (client) => client.warm
  },
  "unreadable stored entries": {
    layer: withStore({
      load: Effect.succeed({ metrics: [], events: [], skipped: 2, lost: { points: 2, events: 1 } })
    }),
    use: flushPoint
  },
  "a store that dies": {
    layer: withStore({
      load: Effect.failCause(Cause.die(unprintable)),
      save: () => Effect.failCause(Cause.die(unprintable))
    }),
    use: flushPoint
  },
  "a store that throws": {
    layer: withStore({
      isEmpty: throwing(unprintable) as () => boolean,
      save: () => Effect.failCause(Cause.die(unprintable))
    }),
    use: flushPoint
  },
  "undelivered points at the end": {
    layer: () => scripted.client(failingReporter()),
    use: flushPoint
  },
  "a point after the end": {
    layer: scripted.client,
    use: (client) => Effect.addFinalizer(() => client.gauge("late", 1))
  },
  "an aggregator that dies": {
    layer: (reporter) => {
      const layerBroken = Layer.map(
        Layer.fresh(layerMetricsAggregatorWith()),
        (context) =>
          Context.make(PipelineMetricsAggregator, {
            ...Context.get(context, PipelineMetricsAggregator),
            drainEach: () => Effect.failCause(Cause.die(unprintable))
          })
      )
      return layerReporterWith({ periodicFlush: false }).pipe(
        Layer.provide(Layer.mergeAll(reporter.layer, layerBroken, Layer.fresh(layerEventsAggregator))),
        Layer.orDie
      )
    },
    use: flushPoint
  }
}

describe("client", () => {
  for (const [place, { layer, use }] of Object.entries(places)) {
    for (const [name, value] of Object.entries(thrownValues)) {
      it.effect(`ends every flush and its scope when the logger throws ${name} at ${place}`, () => {
        let logged = 0
        const logger = Logger.make(() => {
          logged++
          throw value
        })
        const reporter = scripted.make()
        const program = Effect.gen(function*() {
          const scope = yield* Scope.make()
          const client = Context.get(yield* Layer.buildWithScope(layer(reporter), scope), ThreadStats.ThreadStats)
          yield* use(client, reporter)
          yield* Scope.close(scope, Exit.void)
          yield* client.flush()
        }).pipe(
          Effect.scoped,
          Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
          Logger.withMinimumLogLevel(LogLevel.All)
        )
        return Effect.gen(function*() {
          const fiber = yield* Effect.fork(program)
          for (let i = 0; i < 4; i++) yield* TestClock.adjust("5 seconds")
          assert.deepStrictEqual(yield* Fiber.poll(fiber), Option.some(Exit.void))
          assert.isAbove(logged, 0)
        })
      })
    }
  }
})
