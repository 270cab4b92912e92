import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Scope, TestClock } from "effect"
import { Reporter, RetainedStore, ThreadStats } from "effect-threadstats"
import { failingReporter, makeDisk } from "../retained/disk.js"
import { assertBalanced } from "../support/clientAssertions.js"
import { layerEventsAggregatorWith, layerMetricsAggregatorWith, layerReporterWith } from "../support/layers.js"
import * as scripted from "../support/scripted.js"

/** Builds a client in a scope of its own. */
const open = (layer: Layer.Layer<ThreadStats.ThreadStats>) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const client = Context.get(yield* Layer.buildWithScope(layer, scope), ThreadStats.ThreadStats)
    return { client, close: Scope.close(scope, Exit.void) }
  })

const messagesOf = (lines: ReadonlyArray<scripted.Line>) => lines.map(({ level, message }) => `${level} ${message}`)

describe("client after its scope has closed", () => {
  const kinds: { readonly [name: string]: (client: ThreadStats.ThreadStats["Type"]) => () => void } = {
    "an unsafe call": (client) => () => client.unsafeIncrement("c"),
    "a bound counter": (client) => client.bindCounter("c").unsafeIncrement,
    "a bound gauge": (client) => {
      const gauge = client.bindGauge("c")
      return () => gauge.unsafeSet(1)
    },
    "a bound distribution": (client) => {
      const distribution = client.bindDistribution("c")
      return () => distribution.unsafeRecord(1)
    }
  }
  for (const [name, makeRecord] of Object.entries(kinds)) {
    it.effect(`counts points of ${name} as Closed, and warns once`, () => {
      const reporter = scripted.make()
      const lines: Array<scripted.Line> = []
      return Effect.gen(function*() {
        const { client, close } = yield* open(scripted.client(reporter))
        const record = makeRecord(client)
        record()
        yield* close
        for (let i = 0; i < 3; i++) record()
        const { metrics } = yield* client.stats
        assert.deepStrictEqual(metrics, { received: 4, delivered: 1, pending: 0, dropped: { Closed: 3 } })
        yield* TestClock.adjust("1 millis")
        assert.lengthOf(lines, 1)
        assert.match(lines[0]!.message, /^Dropped as Closed: .*Keep the scope open/)
        assert.strictEqual((yield* client.flush()).metrics.delivered, 0)
        assert.strictEqual(lines.at(-1)!.message, "Dropped 3 points: Closed (c). Remedy: docs/delivery.md")
      }).pipe(Effect.provide(scripted.logsTo(lines)))
    })
  }

  it.effect("counts events as Closed, and warns once", () => {
    const lines: Array<scripted.Line> = []
    return Effect.gen(function*() {
      const { client, close } = yield* open(scripted.client(scripted.make()))
      yield* close
      yield* client.event("e", "")
      yield* client.event("e", "")
      const stats = yield* client.stats
      assertBalanced(stats)
      assert.deepStrictEqual(stats.events.dropped, { Closed: 2 })
      yield* TestClock.adjust("1 millis")
      assert.lengthOf(lines, 1)
    }).pipe(Effect.provide(scripted.logsTo(lines)))
  })

  it.effect("counts points for each reporter of a combined one", () =>
    Effect.gen(function*() {
      const layer = layerReporterWith({ periodicFlush: false }).pipe(
        Layer.provide(Layer.mergeAll(
          Reporter.combine(scripted.make().layer, scripted.make().layer),
          Layer.fresh(layerMetricsAggregatorWith()),
          Layer.fresh(layerEventsAggregatorWith())
        )),
        Layer.orDie
      )
      const { client, close } = yield* open(layer)
      yield* close
      yield* client.gauge("g", 1)
      const { pipelines } = yield* client.stats
      assert.deepStrictEqual(pipelines?.map(({ metrics }) => metrics.dropped), [{ Closed: 1 }, { Closed: 1 }])
    }))
})

describe("client at its end", () => {
  it.effect("logs how many points and events are lost, and names the RetainedStore", () => {
    const lines: Array<scripted.Line> = []
    return Effect.gen(function*() {
      const { client, close } = yield* open(scripted.client(failingReporter()))
      yield* client.increment("c")
      yield* client.increment("c")
      yield* client.event("e", "")
      yield* close
      assert.strictEqual(
        messagesOf(lines).at(-1),
        "WARN Not delivered, and lost with the end of the process: 2 points and 1 event. Provide a RetainedStore, which " +
          "keeps them across restarts"
      )
    }).pipe(Effect.provide(scripted.logsTo(lines)))
  })

  it.effect("logs that the retained store keeps what was not delivered", () => {
    const lines: Array<scripted.Line> = []
    return Effect.gen(function*() {
      const store = Layer.provide(RetainedStore.layer, makeDisk().layer)
      const { client, close } = yield* open(Layer.provide(scripted.client(failingReporter()), store))
      yield* client.increment("c")
      yield* close
      assert.strictEqual(
        messagesOf(lines).at(-1),
        "INFO Not delivered: 1 point. The retained store keeps them for the next process"
      )
    }).pipe(Effect.provide(scripted.logsTo(lines)))
  })

  it.effect("logs a loss when the retained store could not be written", () => {
    const lines: Array<scripted.Line> = []
    return Effect.gen(function*() {
      const disk = makeDisk()
      const { client, close } = yield* open(
        Layer.provide(scripted.client(failingReporter()), Layer.provide(RetainedStore.layer, disk.layer))
      )
      yield* client.increment("c")
      yield* client.flush()
      yield* client.increment("c")
      disk.fault = () => Effect.die("no disk")
      yield* close
      assert.match(messagesOf(lines).at(-1)!, /^WARN Not delivered, and lost with the end of the process: 2 points\./)
    }).pipe(Effect.provide(scripted.logsTo(lines)))
  })

  it.effect("logs nothing when everything was delivered", () => {
    const lines: Array<scripted.Line> = []
    return Effect.gen(function*() {
      const { client, close } = yield* open(scripted.client(scripted.make()))
      yield* client.increment("c")
      yield* close
      assert.deepStrictEqual(lines, [])
    }).pipe(Effect.provide(scripted.logsTo(lines)))
  })
})

describe("two clients over one aggregator", () => {
  const withAggregators = <A, R>(use: Effect.Effect<A, never, R>) =>
    use.pipe(
      Effect.provide(
        Layer.fresh(Layer.provide(layerReporterWith({ periodicFlush: false }), scripted.make().layer)).pipe(Layer.orDie)
      )
    )

  it.effect("log a warning when they are open at the same time, and none one after the other", () => {
    const lines: Array<scripted.Line> = []
    return Effect.gen(function*() {
      const one = withAggregators(ThreadStats.flush())
      yield* one
      yield* one
      assert.deepStrictEqual(lines, [])
      yield* withAggregators(Effect.zipRight(one, ThreadStats.increment("c")))
      assert.lengthOf(lines, 1)
      assert.match(lines[0]!.message, /^Two clients share an aggregator: .*Layer\.fresh/)
    }).pipe(
      Effect.provide([
        Layer.fresh(layerMetricsAggregatorWith()),
        Layer.fresh(layerEventsAggregatorWith()),
        scripted.logsTo(lines)
      ])
    )
  })
})
