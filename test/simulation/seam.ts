/**
 * A reporter that accepts, fails in part, dies, hangs without being interruptible, and leaves delivery uncertain.
 */
import { Deferred, Effect, FiberId, FiberRef } from "effect"
import { Reporter } from "effect-threadstats"
import { fromWire, WireError, type WireItem } from "../support/wireReporter.js"
import { currentFlush, silence, type World } from "./network.js"
import { type Delivery, isPoison } from "./oracle.js"

const name = (item: WireItem) => "title" in item ? item.title : item.metric

/** Groups the series of one histogram if the receiver adds values up: the client restores them together. */
const idOf = (item: WireItem, plan: World["plan"]) =>
  plan.mode === "total" || "title" in item
    ? undefined
    : JSON.stringify([item.metric.slice(plan.prefix.length).split(".")[0], item.host, item.tags, item.points[0]![0]])

/** A reporter, and the effect that ends its uninterruptible calls. */
export interface Seam {
  readonly reporter: Reporter.Reporter["Type"]
  readonly release: Effect.Effect<void>
}

export const make = (world: World): Seam => {
  const { draw, generation, oracle, plan } = world
  const hanging: Array<Deferred.Deferred<void>> = []
  let calls = 0

  const report = (batch: ReadonlyArray<WireItem>): Effect.Effect<Reporter.Receipt, WireError> =>
    Effect.flatMap(FiberRef.get(currentFlush), (flush) => {
      if (world.generation !== generation) return silence
      const delivery: Delivery = { flush, at: world.elapsed(), answered: false }
      const id = calls++
      oracle.checkSent(batch, flush, world.now())
      if (batch.length === 0) oracle.fault("an empty batch")

      const take = (items: ReadonlyArray<WireItem>) => {
        const good = items.filter((item) => !isPoison(name(item)))
        oracle.accept(good, delivery)
        return good.length
      }
      const whole = (batch: ReadonlyArray<WireItem>, isIn: (index: number) => boolean) => {
        const decided = new Map<string, boolean>()
        return batch.filter((item, i) => {
          const id = idOf(item, plan)
          const known = id === undefined ? undefined : decided.get(id)
          const decision = known ?? isIn(i)
          if (id !== undefined) decided.set(id, decision)
          return decision
        })
      }
      /** Ends a report in which `items` of the batch were tried. */
      const end = (items: ReadonlyArray<WireItem>, arriving = items, reason: Reporter.Reason = "ServerError") => {
        if (world.generation !== generation) return silence
        const accepted = take(arriving)
        delivery.answered = true
        const refused = items.filter((item) => isPoison(name(item)))
        const undelivered = batch.filter((item) => !items.includes(item))
        const receipt = { ...Reporter.emptyReceipt, items: accepted, payloads: accepted > 0 ? 1 : 0 }
        return refused.length + undelivered.length === 0
          ? Effect.succeed(receipt)
          : Effect.fail(
            new WireError({
              reason: undelivered.length > 0 ? reason : "Rejected",
              endpoint: "simulated",
              description: "simulated",
              undelivered,
              refused,
              ambiguous: [],
              receipt
            })
          )
      }
      const fault = world.healthy ? "ok" : draw.weighted(faults[world.weather])
      world.trace(`${id} ${flush?.id} ${world.elapsed()} ${fault} ${JSON.stringify(batch)}`)
      switch (fault) {
        case "ok":
          return end(batch)
        case "fails":
          return end([], [], draw.pick(["Transport", "Timeout", "Unauthorized", "RateLimited"]))
        case "part": {
          const kept = draw.number()
          return end(whole(batch, () => draw.chance(kept)))
        }
        case "cut": {
          const cut = draw.upTo(batch.length + 1)
          return end(whole(batch, (i) => i < cut))
        }
        case "refuses":
          if (!plan.lossy) return end(batch)
          oracle.refuse(batch)
          return Effect.fail(
            new WireError({
              reason: "Rejected",
              endpoint: "simulated",
              description: "simulated",
              undelivered: [],
              refused: batch,
              ambiguous: [],
              receipt: Reporter.emptyReceipt
            })
          )
        case "doubts":
          oracle.doubt(batch)
          if (draw.chance(0.5)) take(batch)
          return Effect.fail(
            new WireError({
              reason: "Transport",
              endpoint: "simulated",
              description: "simulated",
              undelivered: batch,
              refused: [],
              ambiguous: batch,
              receipt: Reporter.emptyReceipt
            })
          )
        case "dies":
          oracle.doubt(batch)
          if (draw.chance(0.3)) take(batch)
          if (draw.chance(0.5)) throw new Error("simulated defect")
          return Effect.die(draw.pick([new Error("simulated defect"), undefined]))
        case "interrupts":
          oracle.doubt(batch)
          if (draw.chance(0.3)) take(batch)
          return Effect.interrupt
        case "slow":
          // It arrives at once, and its caller may give up before the answer.
          oracle.doubt(batch)
          take(batch)
          return Effect.zipRight(Effect.sleep(draw.upTo(8000)), Effect.suspend(() => end(batch, [])))
        case "late":
          oracle.doubt(batch)
          return Effect.zipRight(Effect.sleep(draw.upTo(8000)), Effect.suspend(() => end(batch)))
        case "hangs":
          oracle.doubt(batch)
          if (draw.chance(0.3)) take(batch)
          return silence
        case "stuck": {
          oracle.doubt(batch)
          if (draw.chance(0.3)) take(batch)
          const deferred = Deferred.unsafeMake<void>(FiberId.none)
          hanging.push(deferred)
          return Effect.uninterruptible(Effect.as(Deferred.await(deferred), Reporter.emptyReceipt))
        }
      }
    })

  return {
    reporter: fromWire({
      temporality: plan.mode === "delta" ? "delta" : "total",
      flushMetrics: report,
      flushDistributions: report,
      flushEvents: report,
      warm: Effect.void
    }),
    release: Effect.suspend(() =>
      Effect.forEach(hanging, (deferred) => Deferred.succeed(deferred, undefined), { discard: true })
    )
  }
}

type Fault =
  | "doubts"
  | "ok"
  | "fails"
  | "part"
  | "cut"
  | "refuses"
  | "dies"
  | "interrupts"
  | "slow"
  | "late"
  | "hangs"
  | "stuck"

const faults: { readonly [W in World["weather"]]: { readonly [F in Fault]?: number } } = {
  calm: { ok: 12, fails: 1, part: 1, late: 1 },
  storm: {
    ok: 3,
    fails: 2,
    part: 2,
    cut: 2,
    refuses: 1,
    doubts: 1,
    dies: 1,
    interrupts: 1,
    slow: 2,
    late: 2,
    hangs: 1,
    stuck: 1
  },
  limits: { ok: 1, fails: 4, cut: 2 },
  down: { fails: 4, dies: 1 },
  dead: { hangs: 5, stuck: 1, slow: 1 }
}
