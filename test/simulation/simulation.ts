/**
 * A whole client on a simulated clock, against an intake that answers late, never, twice, in part, or with anything else.
 *
 * A seed decides everything that happens. At the end the data in the intake is compared with the recorded points and with the
 * client's counters: see `oracle.ts`.
 */
import { HttpClient, KeyValueStore } from "@effect/platform"
import {
  Chunk,
  Clock,
  ConfigProvider,
  Context,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  LogLevel,
  Option,
  Random,
  Scope,
  Supervisor,
  TestClock,
  TestServices
} from "effect"
import { Reporter, RetainedStore, ThreadStats } from "effect-threadstats"
import { createHash } from "node:crypto"
import { layerEventsAggregatorWith, layerMetricsAggregatorWith, layerReporterWith } from "../support/layers.js"
import { quicken } from "../support/quickClock.js"
import { nextTurn } from "../support/wait.js"
import * as Network from "./network.js"
import * as Oracle from "./oracle.js"
import * as Plan from "./plan.js"
import * as Draw from "./random.js"
import * as Seam from "./seam.js"

/** One tag more than a point or an event may have. */
const tooManyTags = Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`k${i}`, i]))

const emptyEnvironment = ConfigProvider.fromMap(new Map())

export interface Outcome {
  readonly seed: number
  readonly mode: Plan.Mode
  /** Number of recorded points and events. */
  readonly points: number
  /** Number of points and events that are neither delivered nor pending nor dropped. */
  readonly lost: number
  /** Number of arrivals after the client knew of an earlier one. */
  readonly duplicated: number
  /** Number of series, timestamps and values that were compared with their exact total. */
  readonly exact: number
  /** Descriptions of all broken promises, losses and duplicates included. */
  readonly faults: ReadonlyArray<string>
  /** Hash of all steps and answers. */
  readonly digest: string
}

const start = 1_700_000_000_000
const minute = 60_000

/** A clock whose time of day is ahead by the time that the process was frozen. Sleeping fibers do not notice it. */
const thawed = (clock: TestClock.TestClock, freeze: Freeze): Clock.Clock => {
  const millis = () => clock.unsafeCurrentTimeMillis() + freeze.ahead
  const nanos = () => BigInt(Math.floor(millis() * 1_000_000))
  return {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    sleep: (duration) => clock.sleep(duration),
    unsafeCurrentTimeMillis: millis,
    unsafeCurrentTimeNanos: nanos,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanos: Effect.sync(nanos)
  }
}

/** Collects the fibers that have not ended. */
class Running extends Supervisor.AbstractSupervisor<ReadonlySet<Fiber.RuntimeFiber<unknown, unknown>>> {
  readonly fibers = new Set<Fiber.RuntimeFiber<unknown, unknown>>()
  override value = Effect.sync(() => this.fibers)
  override onStart<A, E, R>(
    _context: Context.Context<R>,
    _effect: Effect.Effect<A, E, R>,
    _parent: unknown,
    fiber: Fiber.RuntimeFiber<A, E>
  ) {
    this.fibers.add(fiber)
  }
  override onEnd<A, E>(_value: Exit.Exit<A, E>, fiber: Fiber.RuntimeFiber<A, E>) {
    this.fibers.delete(fiber)
  }
}

/** A store that outlives a process. A killed process can neither read nor write it. */
const storeLayer = (memory: Map<string, string>, isAlive: () => boolean) => {
  const alive = <A>(f: () => A, otherwise: A) => Effect.sync(() => isAlive() ? f() : otherwise)
  return Layer.provide(
    RetainedStore.layer,
    Layer.succeed(
      KeyValueStore.KeyValueStore,
      KeyValueStore.makeStringOnly({
        get: (key) => alive(() => Option.fromNullable(memory.get(key)), Option.none()),
        set: (key, value) => alive(() => void memory.set(key, value), undefined),
        remove: (key) => alive(() => void memory.delete(key), undefined),
        clear: alive(() => memory.clear(), undefined),
        size: alive(() => memory.size, 0)
      })
    )
  )
}

const clientLayer = (world: Network.World, seam: Seam.Seam | undefined, memory: Map<string, string>) => {
  const { generation, plan } = world
  const layer = seam === undefined
    ? Layer.provide(
      ThreadStats.layerHttpClientWith(plan.options),
      Layer.succeed(HttpClient.HttpClient, Network.make(world))
    )
    : Layer.provide(
      layerReporterWith(plan.options),
      Layer.mergeAll(
        Layer.succeed(Reporter.Reporter, seam.reporter),
        Layer.fresh(layerMetricsAggregatorWith(plan.options)),
        Layer.fresh(layerEventsAggregatorWith(plan.options))
      )
    )
  return plan.restarts === 0
    ? layer
    : Layer.provide(layer, storeLayer(memory, () => world.generation === generation))
}

type Client = ThreadStats.ThreadStats["Type"]

const letters = ["c", "c", "g", "s", "h", "t", "d", "d", "d"] as const

const tagSets: ReadonlyArray<ReadonlyArray<ThreadStats.Tags | undefined>> = [
  [undefined, [], {}, [""]],
  [["a:1", "b:2"], ["b:2", "a:1"], { a: 1, b: 2 }, ["a:1", "b:2", "a:1"]],
  [["name:größe"], { name: "größe" }]
]
const tagsOf = [[], ["a:1", "b:2"], ["name:größe"]]

/** Moves ages above 50 minutes close to the hour, so that the points become too old in a later flush. */
const nearTheHour = (age: number): number => age < 50 * minute ? age : 60 * minute - (60 * minute - age) / 15

const makeRecorder = (world: Network.World, clientOf: () => Client) => {
  const { draw, oracle, plan } = world
  let sequence = 0

  const unsafe = (kind: string): (name: string, value: number, options?: ThreadStats.PointOptions) => void => {
    const client = clientOf()
    switch (kind) {
      case "c":
        return client.unsafeIncrement
      case "g":
        return client.unsafeGauge
      case "s":
        return client.unsafeSet
      case "h":
        return client.unsafeHistogram
      case "t":
        return client.unsafeTiming
      default:
        return client.unsafeDistribution
    }
  }

  const invalid = () => {
    const now = world.now()
    const kind = draw.pick(letters)
    const bad = (reason: string, name: unknown, value: unknown, options?: unknown) => {
      oracle.invalid("metrics", reason)
      unsafe(kind)(name as string, value as number, options as ThreadStats.PointOptions)
    }
    switch (draw.upTo(13)) {
      case 0:
        return bad("InvalidValue", `${kind}0`, draw.pick([Number.NaN, Infinity, -Infinity]))
      case 1:
        return bad("InvalidName", draw.pick(["", "1a", "-", 7]), 1)
      case 2:
        return bad("InvalidTags", `${kind}0`, 1, { tags: tooManyTags })
      case 3:
        return bad("InvalidTags", `${kind}0`, 1, { tags: draw.pick(["a:1", 7, [1], { a: {} }]) })
      case 4:
        return bad("NameTooLong", kind + "x".repeat(201), 1)
      case 5:
        return bad("InvalidTimestamp", `${kind}0`, 1, { timestamp: draw.pick([Number.NaN, "now", new Date("none")]) })
      case 6:
        return bad("InvalidHost", `${kind}0`, 1, { host: draw.pick(["x".repeat(256), 7]) })
      case 7:
        return bad("TooOld", `${kind}0`, 1, { timestamp: now - 60 * minute - 1 - draw.upTo(minute) })
      case 8:
        return bad("TooNew", `${kind}0`, 1, { timestamp: new Date(now + 10 * minute + 1 + draw.upTo(minute)) })
      case 9:
        oracle.invalid("events", "InvalidEvent")
        return clientOf().unsafeEvent("", "no title")
      case 10:
        oracle.invalid("events", "TooOld")
        return clientOf().unsafeEvent("old", "", { dateHappened: now - 18 * 60 * minute - 1 })
      case 11:
        oracle.invalid("events", "TooNew")
        return clientOf().unsafeEvent("new", "", { dateHappened: now + 2 * 60 * minute + 1 })
      default:
        oracle.invalid("events", "InvalidTags")
        return clientOf().unsafeEvent("tagged", "", { tags: tooManyTags })
    }
  }

  const event = () => {
    const now = world.now()
    const n = ++sequence
    const poison = plan.poison && draw.chance(0.1)
    const past = draw.chance(0.2)
      ? 18 * 60 * minute - draw.upTo(draw.pick([1, 10, 18 * 60]) * minute)
      : draw.chance(0.1)
      ? -draw.upTo(2 * 60) * minute
      : 0
    const time = now - past
    oracle.event(n, Math.floor(time / 1000) * 1000, poison)
    clientOf().unsafeEvent(poison ? `poison ${n}` : `event ${n}`, "text", past === 0 ? {} : { dateHappened: time })
  }

  const point = () => {
    const now = world.now()
    const kind = draw.pick(letters)
    const n = ++sequence
    const name = plan.poison && draw.chance(0.08) ? `${kind}poison` : `${kind}${draw.upTo(plan.names)}`
    const tags = draw.upTo(plan.tagSets)
    const host = draw.chance(0.05)
      ? "web-1"
      : plan.ownHost !== undefined && !plan.attachHost && draw.chance(0.1)
      ? ""
      : null
    const shift = draw.chance(0.15)
      ? -nearTheHour(draw.upTo(draw.chance(0.2) ? 60 * minute : 2 * minute))
      : draw.chance(0.03)
      ? draw.upTo(10 * minute)
      : 0
    // A restarted process has no data of earlier buckets, nor of buckets in its future.
    const time = plan.restarts === 0 ? now + shift : Math.max(world.bornAt, now + Math.min(0, shift))
    const options = {
      tags: draw.pick(tagSets[tags]!),
      host,
      timestamp: time === now ? undefined : draw.chance(0.5) ? time : new Date(time)
    }
    if (kind === "s") {
      const member = draw.chance(0.2) ? "again" : draw.chance(0.5) ? n : `${n}`
      oracle.point(name, member, time, host, tagsOf[tags]!)
      return clientOf().unsafeSet(name, member, options)
    }
    const summed = plan.counters === "series" && (kind === "h" || kind === "t")
    const value = kind === "c" ? draw.between(1, 1000) : summed ? draw.between(-50, 1000) : n
    if (kind === "c" && draw.chance(0.15)) {
      oracle.point(name, -value, time, host, tagsOf[tags]!)
      return clientOf().unsafeDecrement(name, value, options)
    }
    oracle.point(name, value, time, host, tagsOf[tags]!)
    unsafe(kind)(name, value, options)
  }

  return () => {
    const what = draw.number()
    if (what < 0.04) invalid()
    else if (what < 0.16) event()
    else point()
  }
}

/** Weights of the steps. */
const steps = {
  record: 9,
  recorder: 2,
  flush: 6,
  interrupt: 3,
  pass: 9,
  wait: 1,
  freeze: 0.6,
  weather: 3
}

/** Time by which the time of day is ahead of the simulated clock, in milliseconds. */
interface Freeze {
  ahead: number
}

const simulate = Effect.fnUntraced(function*(seed: number, testClock: TestClock.TestClock, freeze: Freeze) {
  const draw = Draw.make(seed)
  const plan = Plan.make(draw, Draw.make(seed + 0x4000_0000))
  const hash = createHash("sha1")
  const oracle = Oracle.make(plan)
  const world: Network.World = {
    plan,
    draw,
    oracle,
    elapsed: () => testClock.unsafeCurrentTimeMillis() - start,
    now: () => testClock.unsafeCurrentTimeMillis() + freeze.ahead,
    trace: (what) => {
      if (process.env.SIMULATION_TRACE !== undefined) console.error(what)
      hash.update(what)
    },
    weather: "calm",
    generation: 0,
    bornAt: 0,
    healthy: false
  }
  const memory = new Map<string, string>()
  const seams: Array<Seam.Seam> = []
  const scopes: Array<Scope.CloseableScope> = []
  const flushes: Array<{ readonly flush: Oracle.Flush; readonly fiber: Fiber.RuntimeFiber<unknown> }> = []
  const recorders: Array<Fiber.RuntimeFiber<unknown>> = []

  const startClient = Effect.gen(function*() {
    const seam = plan.mode === "http" ? undefined : Seam.make(world)
    if (seam !== undefined) seams.push(seam)
    const scope = yield* Scope.make()
    scopes.push(scope)
    const context = yield* Layer.buildWithScope(clientLayer(world, seam, memory), scope).pipe(Effect.orDie)
    return Context.get(context, ThreadStats.ThreadStats)
  })
  let client = yield* startClient
  const record = makeRecorder(world, () => client)

  const check = Effect.tap(Effect.suspend(() => client.stats), (stats) =>
    Effect.sync(() => {
      oracle.balance(stats)
      world.trace(JSON.stringify([world.elapsed(), stats.metrics, stats.events, stats.breaker]))
    }))

  const flush = Effect.suspend(() => {
    const upTo = draw.chance(0.2) ? world.now() - draw.upTo(2 * minute) + minute : undefined
    const flush: Oracle.Flush = {
      id: flushes.length,
      before: upTo === undefined ? Infinity : Math.floor(upTo / plan.interval) * plan.interval / 1000,
      startedAt: world.elapsed(),
      endedAt: undefined,
      interrupted: false,
      values: new Set(),
      series: new Set(),
      events: new Set(),
      lastEvent: 0
    }
    const kept = oracle.keeping()
    const { generation } = world
    const ended = (exit: Exit.Exit<ThreadStats.FlushReceipt>) => {
      flush.endedAt = world.elapsed()
      // Its caller ran out of time. It may go on for other callers that share it.
      if (flush.endedAt - flush.startedAt >= plan.flushTimeout) flush.interrupted = true
      const incomplete = Exit.isSuccess(exit) &&
        (exit.value.skipped || exit.value.metrics.pending + exit.value.events.pending > 0)
      if (incomplete && world.generation === generation) kept()
      if (Exit.isFailure(exit)) {
        flush.interrupted = true
        if (!Exit.isInterrupted(exit)) oracle.fault("a flush failed")
      } else if (
        plan.mode === "http" &&
        exit.value.errors.some((one) => one.description.startsWith("the reporter did not end within"))
      ) {
        oracle.fault("the reporter did not end in time by itself")
      }
      if (flush.endedAt - flush.startedAt > plan.flushTimeout) oracle.fault("a flush took more than its time")
    }
    return client.flush(upTo === undefined ? undefined : { upTo }).pipe(
      Effect.locally(Network.currentFlush, flush),
      Effect.onExit((exit) => Effect.sync(() => ended(exit))),
      Effect.fork,
      Effect.tap((fiber) => Effect.sync(() => void flushes.push({ flush, fiber })))
    )
  })

  const recorder = Effect.forEach(
    Array.from({ length: draw.between(2, 6) }),
    () => Effect.zipRight(Effect.suspend(() => Effect.sleep(draw.pick([0, 10, 700, 3000]))), Effect.sync(record)),
    { discard: true }
  )

  /** Kills the process as `kill -9` does: no finalizer runs, and running flushes have no effect any more. */
  const kill = Effect.gen(function*() {
    yield* Fiber.interruptAll(recorders.splice(0))
    yield* nextTurn
    const stats = yield* check
    for (const { flush } of flushes) if (flush.endedAt === undefined) flush.interrupted = true
    world.generation++
    const store = yield* Layer.build(storeLayer(new Map(memory), () => true))
    const held = yield* Effect.orDie(Context.get(store, RetainedStore.RetainedStore).load)
    world.trace(`killed with ${JSON.stringify(held)} in the store`)
    if (held.skipped > 0) oracle.fault(`${held.skipped} entries of the store are unreadable`)
    oracle.kill(stats, held, world.elapsed() - plan.flushTimeout, world.now())
    freeze.ahead += plan.interval - (world.now() % plan.interval) + draw.upTo(minute)
    world.bornAt = Math.floor(world.now() / plan.interval) * plan.interval
    client = yield* startClient
    const adopted = yield* check
    if (adopted.events.received !== held.events.length) oracle.fault("not all events of the store were taken over")
    const points = held.metrics.reduce((sum, { recorded }) => sum + recorded, 0)
    if (adopted.metrics.received !== points) oracle.fault("not all points of the store were taken over")
  }).pipe(Effect.scoped)

  const allEnded = Effect.forEach(recorders, Fiber.await, { discard: true })

  const killAt = new Set(Array.from({ length: plan.restarts }, () => draw.upTo(plan.steps)))
  const closeAt = plan.waits ? Infinity : draw.between(5, plan.steps)
  for (let step = 0; step < plan.steps && step < closeAt; step++) {
    const what = draw.weighted(steps)
    world.trace(what)
    switch (what) {
      case "record":
        for (let i = draw.upTo(12); i >= 0; i--) record()
        break
      case "recorder":
        recorders.push(yield* Effect.fork(recorder))
        break
      case "flush":
        yield* flush
        if (draw.chance(0.5)) {
          // More points for the buckets that were just drained.
          yield* testClock.adjust(draw.pick([0, 0, 100]))
          for (let i = draw.upTo(8); i >= 0; i--) record()
        }
        break
      case "interrupt":
        if (flushes.length > 0) {
          const recent = flushes[flushes.length - 1 - draw.upTo(Math.min(3, flushes.length))]!
          yield* Effect.fork(Fiber.interrupt(recent.fiber))
        }
        break
      case "pass":
        yield* testClock.adjust(draw.pick([0, 1, 50, 200 + draw.upTo(1000), draw.upTo(7000), draw.upTo(7000)]))
        break
      case "wait":
        yield* testClock.adjust(draw.upTo(plan.periodic ? 40_000 : 3 * minute))
        break
      case "freeze":
        freeze.ahead += draw.chance(0.7)
          ? draw.upTo(10 * minute)
          : draw.chance(0.9)
          ? draw.upTo(120 * minute)
          : draw.upTo(20 * 60 * minute)
        break
      case "weather":
        world.weather = draw.pick(Network.weatherNames)
        break
    }
    yield* check
    if (killAt.has(step)) yield* kill
  }

  const settle = Effect.fnUntraced(function*() {
    const delivered = (stats: ThreadStats.Stats) => stats.metrics.delivered + stats.events.delivered
    const before = delivered(yield* client.stats)
    for (let i = 0; i < 10; i++) {
      const fiber = yield* flush
      yield* testClock.adjust(plan.flushTimeout)
      yield* Fiber.await(fiber)
      const stats = yield* check
      if (stats.metrics.pending + stats.events.pending === 0 && i > 0) {
        // If all pending data expired, no flush could close the breaker.
        if (stats.breaker !== "closed" && delivered(stats) > before) {
          oracle.fault(`the breaker is ${stats.breaker} with a healthy intake`)
        }
        return
      }
      freeze.ahead += 5 * minute
    }
    oracle.fault("a healthy intake was not given everything")
  })

  if (plan.waits) {
    world.healthy = true
    // Sleeping fibers wake up, and recorders end.
    yield* testClock.adjust(Math.max(20_000, plan.flushTimeout))
    yield* allEnded
    yield* settle()
    // The last flush delivers these.
    for (let i = draw.upTo(8); i > 0; i--) record()
  }

  const closedAt = world.elapsed()
  const closing = yield* Scope.close(scopes.at(-1)!, Exit.void).pipe(
    Effect.ensuring(Effect.sync(() => {
      if (world.elapsed() - closedAt > plan.flushTimeout) oracle.fault("closing took more than its time")
    })),
    Effect.fork
  )
  yield* testClock.adjust(plan.flushTimeout)
  if ((yield* Fiber.poll(closing))._tag === "None") oracle.fault("closing took more than its time")
  // Recorders may go on for a while. A point near a limit may start another flush.
  yield* testClock.adjust(20_000 + plan.flushTimeout)
  yield* allEnded
  for (const { fiber, flush } of flushes) {
    if ((yield* Fiber.poll(fiber))._tag === "None") oracle.fault(`flush ${flush.id} did not end`)
  }
  yield* Effect.forEach(seams, ({ release }) => release, { discard: true })
  yield* nextTurn
  const stats = yield* check
  if (world.healthy && stats.metrics.pending + stats.events.pending > 0) {
    oracle.fault("the end of the scope did not deliver")
  }
  const verdict = oracle.verdict(stats, world.now(), flushes.map((one) => one.flush))
  for (const scope of scopes.slice(0, -1)) {
    const ending = yield* Effect.fork(Scope.close(scope, Exit.void))
    yield* testClock.adjust(plan.flushTimeout)
    yield* Fiber.await(ending)
  }
  return { plan, verdict, oracle, digest: hash.digest("hex") }
})

/** A `TestClock` and nothing else of `TestContext`, which takes longer to build than most runs take. */
const clockLayer = Layer.provide(
  TestClock.live(TestClock.makeData(start, Chunk.empty())),
  Layer.succeedContext(TestServices.liveServices)
)

/** Runs the simulation of a seed. */
export const run = (seed: number): Effect.Effect<Outcome> =>
  Effect.gen(function*() {
    const testClock = quicken(yield* TestClock.TestClock)
    yield* testClock.adjust(0)
    const freeze = { ahead: 0 }
    const running = new Running()
    const { digest, oracle, plan, verdict } = yield* simulate(seed, testClock, freeze).pipe(
      Effect.supervised(running),
      Effect.withClock(thawed(testClock, freeze)),
      Effect.withRandom(Random.make(seed)),
      Effect.withConfigProvider(emptyEnvironment)
    )
    yield* nextTurn
    const left = running.fibers.size
    return {
      seed,
      mode: plan.mode,
      points: oracle.recorded.metrics + oracle.recorded.events,
      ...verdict,
      faults: left > 0 ? [...verdict.faults, `${left} fibers are left`] : verdict.faults,
      digest
    }
  }).pipe(Logger.withMinimumLogLevel(LogLevel.None), Effect.provide(clockLayer))
