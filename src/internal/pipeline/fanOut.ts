import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { PointContext } from "../../MetricsAggregator.js"
import type { Reporter } from "../../Reporter.js"
import type { Counts, FlushCounts, FlushReceipt, Stats } from "../../ThreadStats.js"
import * as Ledger from "../model/DropCounters.js"
import type { FlushRequest } from "./FlushCoordinator.js"
import * as Branch from "./Pipeline.js"
import { outletOf, withWay } from "./reporterExporter.js"

const addCounts = <Reason extends string>(a: Counts<Reason>, b: Counts<Reason>): Counts<Reason> => ({
  received: a.received + b.received,
  delivered: a.delivered + b.delivered,
  pending: a.pending + b.pending,
  dropped: Ledger.addTotals(a.dropped, b.dropped)
})

const severity = ["closed", "half-open", "open"] as const

const addStats = (a: Stats, b: Stats): Stats => ({
  metrics: addCounts(a.metrics, b.metrics),
  events: addCounts(a.events, b.events),
  series: a.series + b.series,
  flushes: a.flushes + b.flushes,
  payloads: a.payloads + b.payloads,
  bytes: a.bytes + b.bytes,
  retries: a.retries + b.retries,
  breaker: severity.indexOf(a.breaker) >= severity.indexOf(b.breaker) ? a.breaker : b.breaker,
  lastError: a.lastError ?? b.lastError
})

const addFlushCounts = (a: FlushCounts, b: FlushCounts): FlushCounts => ({
  delivered: a.delivered + b.delivered,
  pending: a.pending + b.pending,
  dropped: a.dropped + b.dropped
})

const addReceipts = (a: FlushReceipt, b: FlushReceipt): FlushReceipt => ({
  metrics: addFlushCounts(a.metrics, b.metrics),
  events: addFlushCounts(a.events, b.events),
  payloads: a.payloads + b.payloads,
  bytes: a.bytes + b.bytes,
  retries: a.retries + b.retries,
  errors: [...a.errors, ...b.errors],
  skipped: a.skipped && b.skipped
})

/** Read once: a getter may have effects, or say something else the next time. */
const once = (context: PointContext | undefined): PointContext | undefined => {
  if (context === undefined) return undefined
  try {
    return { tags: context.tags, host: context.host }
  } catch {
    // each branch says so
    return context
  }
}

/**
 * Several branches as one, each with aggregators, turns and books of its own: what one has delivered another may have to
 * keep. A flush of all is over when the last of them is; on the interval each goes by itself.
 */
const together = (branches: ReadonlyArray<Branch.Pipeline>, before: Effect.Effect<void>): Branch.Pipeline => {
  const flushAll = (wish: FlushRequest) =>
    Effect.zipRight(
      before,
      Effect.map(
        Effect.forEach(branches, (branch) => branch.flush(wish), { concurrency: "unbounded" }),
        (receipts): FlushReceipt => ({ ...receipts.reduce(addReceipts), branches: receipts })
      )
    )
  const late = { ...Branch.emptyFlush, branches: branches.map(() => Branch.emptyFlush) }
  const turns = Branch.makeTurns(flushAll, late)
  return {
    unsafeAdd(kind, name, value, time, now, context) {
      const seen = once(context)
      for (const branch of branches) branch.unsafeAdd(kind, name, value, time, now, seen)
    },
    bind(kind, name, context, readNow) {
      const seen = once(context)
      let now = 0
      // one reading for all of them
      const all = branches.map((branch) => branch.bind(kind, name, seen, () => now))
      return (value) => {
        now = readNow()
        for (const add of all) add(value)
      }
    },
    unsafeAddEvent(event, now) {
      for (const branch of branches) branch.unsafeAddEvent(event, now)
    },
    flush: turns.run,
    idle: (now) => turns.isIdle() && branches.every((branch) => branch.idle(now) !== undefined) ? late : undefined,
    periodic: [before, ...branches.flatMap(({ periodic }) => periodic)],
    load: Effect.forEach(branches, ({ load: adopt }) => adopt, { concurrency: "unbounded", discard: true }),
    stats: Effect.map(
      Effect.forEach(branches, ({ stats }) => stats),
      (all): Stats => ({ ...all.reduce(addStats), branches: all })
    ),
    warm: Effect.forEach(branches, ({ warm }) => warm, { concurrency: "unbounded", discard: true })
  }
}

/** A reporter that is made of these, each of which a client sends to by itself. */
export const combine = (
  reporter: Reporter["Type"],
  branches: ReadonlyArray<Reporter["Type"]>
): Reporter["Type"] => withWay({ ...reporter, branches }, makeAll)

const makeAll = ({ before, ...shared }: Branch.Shared, { branches = [] }: Reporter["Type"]) =>
  Effect.map(
    Effect.forEach(branches, (reporter, index) => {
      const own = { ...shared, outlet: outletOf(reporter), before: Effect.void, index }
      // what was given from outside is the first one's
      return index === 0 ? Branch.make(own) : Effect.flatMap(
        Effect.zip(shared.aggregator.clone, shared.eventsAggregator.clone),
        ([aggregator, eventsAggregator]) =>
          Branch.make({
            ...own,
            aggregator,
            eventsAggregator,
            store: Option.map(shared.store, (self) => self.branch(index))
          })
      )
    }),
    (all) => together(all, before)
  )
