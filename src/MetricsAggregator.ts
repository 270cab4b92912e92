/**
 * Rolls points up in process: buckets of time hold contexts (kind, name, host and tags), contexts hold roll-ups.
 *
 * It knows no wire format and has no clock of its own: the time of a point, and the time up to which to flush, are given.
 *
 * @since 0.1.0
 */
import type { ConfigError } from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import { PCGRandom } from "effect/Utils"
import * as Contexts from "./internal/aggregation/seriesIndex.js"
import type {
  AggregatedSeries,
  BucketSnapshot,
  PointContext,
  SerializedSeries,
  Temporality
} from "./internal/model/AggregatedSeries.js"
import type { AggregatorStats, AggregatorWarnings, DropReason } from "./internal/model/AggregatorStats.js"
import * as Ledger from "./internal/model/DropCounters.js"
import { finite, hostLength, nearlyFull, pointWindow } from "./internal/model/limits.js"
import { fromInput } from "./internal/model/tags.js"
import * as RollUp from "./RollUp.js"
import * as ThreadStatsConfig from "./ThreadStatsConfig.js"

export type {
  /**
   * One series of one bucket, drained to be reported.
   *
   * @since 0.1.0
   * @category models
   */
  AggregatedSeries,
  /**
   * Pending series of one bucket, with a version that changes when they change.
   *
   * @since 0.1.0
   * @category models
   */
  BucketSnapshot,
  /**
   * Tags and host of a point. Together with kind and name they identify its series.
   *
   * @since 0.1.0
   * @category models
   */
  PointContext,
  /**
   * One pending series of one bucket as plain JSON, for a store.
   *
   * @since 0.1.0
   * @category models
   */
  SerializedSeries
} from "./internal/model/AggregatedSeries.js"

export type {
  /**
   * Counts since the layer was built. `received` equals `held`, plus all drained points, plus the sum of `dropped`.
   *
   * @since 0.1.0
   * @category models
   */
  AggregatorStats as Stats,
  /**
   * Drops and conflicts that no log line has reported yet.
   *
   * @since 0.1.0
   * @category models
   */
  AggregatorWarnings,
  /**
   * Reason for which the aggregator dropped a point.
   *
   * - `InvalidValue`: the value is not a finite number. A set also accepts strings.
   * - `InvalidName`: the name is not a string, is empty, or does not start with a letter.
   * - `InvalidTags`: the tags are neither an array of strings nor a record of strings, numbers and booleans; or there are
   *   more than 1000.
   * - `TagTooLong`: a tag has more than 200 characters.
   * - `InvalidHost`: the host is not a string, or has more than 255 characters.
   * - `InvalidTimestamp`: the time is not a finite number.
   * - `Late`: the aggregator reported and evicted the bucket. A new total would undercut the reported one.
   * - `TooManyContexts`, `TooManyValues`, `TooManyBytes`: pending points exceed `maxContexts`, `maxValues` or `maxBytes`. The
   *   aggregator drops the longest pending series first.
   * - `Expired`: the bucket started more than one hour ago. Datadog refuses older points.
   *
   * Source of the limits: Datadog documentation, "Custom metrics" and "Getting started with tags".
   *
   * @since 0.1.0
   * @category models
   */
  DropReason
} from "./internal/model/AggregatorStats.js"

/**
 * Rolls up what is recorded until it is flushed.
 *
 * @since 0.1.0
 * @category tags
 */
export class MetricsAggregator
  extends /*#__PURE__*/ Context.Tag("effect-threadstats/MetricsAggregator")<MetricsAggregator, Service>()
{}

/** Apart from the tag, because it speaks of itself. */
interface Service {
  /** How long a bucket is. */
  readonly rollUpInterval: Duration.Duration
  /** How counters, histograms and timings are handed out. */
  readonly counters: ThreadStatsConfig.CounterTransport
  /**
   * Takes one point of a moment in milliseconds since the epoch, and says whether a limit is near, so that it is time to
   * flush. Never throws; what cannot be taken is dropped and counted. Tags are copied.
   */
  readonly unsafeAdd: (
    kind: RollUp.Kind,
    name: string,
    value: RollUp.Value,
    time: number,
    context?: PointContext | undefined
  ) => boolean
  /** {@link unsafeAdd} as an Effect. */
  readonly add: (
    kind: RollUp.Kind,
    name: string,
    value: RollUp.Value,
    time: number,
    context?: PointContext | undefined
  ) => Effect.Effect<void>
  /**
   * A function that takes values of one series at the time that `now` says (a counter's default is 1), and does with each
   * what {@link unsafeAdd} does: what name, tags and host are worth is looked at once. It works on whatever becomes of
   * the series meanwhile. Where a limit is near, it calls `relieve` with that time.
   */
  readonly bind: (
    kind: RollUp.Kind,
    name: string,
    context: PointContext | undefined,
    options: { readonly now: () => number; readonly onHighWaterMark: (now: number) => void }
  ) => (value?: RollUp.Value) => void
  /**
   * Takes out what is to be reported: all of it or, with `upTo` (milliseconds since the epoch), only what is in buckets
   * that end at or before the bucket of that moment. `temporality` says whether a context that was taken out before is
   * handed out as its total or as what is new; `now` (milliseconds since the epoch) tells which bucket is still open.
   * With `samples`, what does not travel as a distribution is handed out as recorded, not as points.
   */
  readonly drain: (options: {
    readonly temporality: Temporality
    readonly samples?: boolean | undefined
    readonly now: number
    readonly upTo?: number | undefined
  }) => Effect.Effect<ReadonlyArray<AggregatedSeries>>
  /**
   * {@link drain}, one context at a time: what waits now is to be taken out, and is held until a call takes it out, as it is at
   * that call. Nothing comes out when all is; what came to wait in between is left for the next flush. What was handed out
   * is to be looked at before anything is recorded: unlike {@link drain}, it makes no copy.
   */
  readonly drainEach: (options: {
    readonly temporality: Temporality
    readonly samples?: boolean | undefined
    readonly now: number
    readonly upTo?: number | undefined
  }) => Effect.Effect<() => ReadonlyArray<AggregatedSeries> | undefined>
  /** Puts back what was taken out and not delivered, under what was recorded since. */
  readonly restore: (items: ReadonlyArray<AggregatedSeries>) => Effect.Effect<void>
  /** What waits now, bucket by bucket. `known` holds the versions, by start, that the caller has already. */
  readonly snapshot: (known: ReadonlyMap<number, number>) => Effect.Effect<ReadonlyArray<BucketSnapshot>>
  /** Takes over what another aggregator held, as if it had been recorded here before everything else. */
  readonly load: (items: ReadonlyArray<SerializedSeries>) => Effect.Effect<void>
  /** Another one with the same settings, which holds nothing. */
  readonly clone: Effect.Effect<Service>
  /** Whether a limit is near, so that it is time to flush. */
  readonly isAboveHighWaterMark: () => boolean
  /** Whether there is nothing to do at a flush: nothing to take out, to warn of, or to forget. */
  readonly isIdle: () => boolean
  readonly stats: Effect.Effect<AggregatorStats>
  readonly drainWarnings: Effect.Effect<AggregatorWarnings>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends
  Pick<
    ThreadStatsConfig.Options,
    | "rollUpInterval"
    | "percentiles"
    | "aggregates"
    | "sampleSize"
    | "counters"
    | "timestamps"
    | "maxContexts"
    | "maxValues"
    | "maxBytes"
  >
{}

/** What is kept of a context in one bucket. */
class Entry {
  // what every point needs is first, and mostly comes with one look into memory
  bucket: Bucket
  /** Points recorded and not taken out yet. */
  pending = 0
  /** What a counter or gauge holds, which have no roll-up of their own. */
  value = 0
  rollUp: RollUp.RollUp | undefined
  context: Identity
  /** The same context's in a bucket that was used before this one. */
  other: Entry | undefined = undefined
  /** Whether it was taken out before, and is kept for its total. */
  sent = false
  /** About what it takes in memory without its roll-up: what waited long is dropped without a look at its texts. */
  readonly size: number

  constructor(context: Identity, bucket: Bucket, content: number | RollUp.RollUp) {
    const isPlain = typeof content === "number"
    this.bucket = bucket
    this.value = isPlain ? content : 0
    this.rollUp = isPlain ? undefined : content
    this.context = context
    this.size = entryBytes + context.name.length + (context.host === null ? 0 : context.host.length) +
      context.characters
  }
}

type Identity = Contexts.Context<Entry>

class Bucket {
  readonly start: number
  readonly end: number
  /** How many entries there are, also those without anything pending. */
  entries = 0
  /** Whether it is not there any more, and its entries are not either. */
  isGone = false
  /** The entries with something pending, in the order in which they got it. */
  readonly dirty = new Waiting()
  /** Those of them that keep every value. */
  readonly valued = new Waiting()
  /** The bytes of the entries that have nothing pending, and are kept for their totals. */
  keptBytes = 0
  /** Of what is pending, as long as that has `counted` entries: what was taken out and put back is what it was. */
  version = 0
  counted = 0
  /** Whether anything was recorded since the version was given. */
  isChanged = false

  constructor(start: number, end: number) {
    this.start = start
    this.end = end
  }
}

/** Entries with something pending, first in, first out. */
class Waiting {
  private items: Array<Entry> = []
  private head = 0
  /** Where those end that a flush in parts is to take out. */
  private end = 0
  length = 0

  push(entry: Entry): void {
    this.items.push(entry)
    this.length++
  }

  first(): Entry | undefined {
    while (this.head < this.items.length) {
      const entry = this.items[this.head]!
      if (entry.pending > 0) return entry
      this.head++
    }
    return undefined
  }

  /** Those that wait now are to be taken out one by one, by `shiftDue`; those that come to wait meanwhile are not. */
  mark(): void {
    this.end = this.items.length
  }

  shiftDue(): Entry | undefined {
    this.first()
    return this.head < this.end ? this.shift() : undefined
  }

  shift(): Entry | undefined {
    const entry = this.first()
    if (entry !== undefined) {
      this.head++
      this.shrink()
    }
    return entry
  }

  /** One of them is not pending any more, and never will be again: it is passed over. */
  pass(entry: Entry): void {
    if (this.items[this.head] === entry) this.head++
    this.shrink()
  }

  private shrink(): void {
    const { end, head, items } = this
    if (items.length <= 2 * --this.length + 64) return
    this.head = 0
    if (2 * head >= items.length) {
      // what is left need not be looked at, which would be the first time in long
      this.items = items.slice(head)
      this.end = Math.max(0, end - head)
    } else {
      const due = items.slice(head, end).filter(isPending)
      this.items = due.concat(items.slice(Math.max(head, end)).filter(isPending))
      this.end = due.length
    }
  }

  all(): Array<Entry> {
    return this.items.slice(this.head).filter(isPending)
  }
}

const isPending = ({ pending }: Entry): boolean => pending > 0

/** What it reports is worked out when it is looked at. */
class Taken implements AggregatedSeries {
  readonly entry: Entry
  readonly rollUp: RollUp.RollUp
  readonly from: Bucket
  readonly recorded: number
  readonly asSamples: boolean
  /** Where the roll-up may change before anybody looks. */
  readonly report: (() => ReadonlyArray<RollUp.Point>) | undefined
  constructor(
    from: Bucket,
    entry: Entry,
    rollUp: RollUp.RollUp,
    recorded: number,
    asSamples: boolean,
    isLive: boolean
  ) {
    this.from = from
    this.entry = entry
    this.rollUp = rollUp
    this.recorded = recorded
    this.asSamples = asSamples
    this.report = isLive ? undefined : asSamples ? () => [] : rollUp.capturePoints()
  }
  get kind() {
    return this.entry.context.kind
  }
  get name() {
    return this.entry.context.name
  }
  get host() {
    return this.entry.context.host
  }
  get tags() {
    return this.entry.context.tags
  }
  get timestamp() {
    return this.from.start / 1000
  }
  get points() {
    return this.report === undefined ? this.rollUp.points() : this.report()
  }
  get values() {
    return this.rollUp.values()
  }
  get samples() {
    return this.asSamples ? this.rollUp.samples() : undefined
  }
}

/** What is kept of buckets that were taken out: some ten thousand plain contexts. */
const maxKept = 10_000
const maxKeptBytes = 4_000_000

/** How many contexts without an entry may be remembered, besides as many as have one. */
const maxIdle = 10_000

/** About what an entry takes in memory, besides its texts and what its roll-up grows by. */
const entryBytes = 350

const bytesOf = ({ rollUp, size }: Entry): number => size + (rollUp?.bytes() ?? 0)

/** What is to be recorded under, or why it cannot be: the reason that is the first one for a point, too. */
const look = (
  name: unknown,
  point: PointContext | undefined
): { readonly host: string | null; readonly tags: ReadonlyArray<string> } | DropReason => {
  try {
    const host = point?.host ?? null
    if (!isHost(host)) return "InvalidHost"
    const given = point?.tags
    if (!isName(name)) return "InvalidName"
    const tags = fromInput(given)
    return typeof tags === "string" ? tags : { host, tags }
  } catch {
    return "InvalidTags"
  }
}

/** What is known of a series beforehand. */
class Bound {
  readonly kind: RollUp.Kind
  readonly name: string
  readonly seen: ReturnType<typeof look>
  context: Identity | undefined = undefined

  constructor(kind: RollUp.Kind, name: string, point: PointContext | undefined) {
    this.kind = kind
    this.name = name
    this.seen = look(name, point)
  }
}

/** How many names, and how many starts of forgotten buckets, are remembered. */
const remembered = 10_000

const isLetter = (code: number): boolean => (code >= 97 && code <= 122) || (code >= 65 && code <= 90)

const isName = (name: unknown): boolean => typeof name === "string" && isLetter(name.charCodeAt(0))

const isHost = (host: unknown): boolean => host === null || (typeof host === "string" && host.length <= hostLength)

/** Whether what it keeps of a context is one number. */
const isPlain = (kind: RollUp.Kind): boolean => kind === "counter" || kind === "gauge"

/** A finite number, or a set's member. */
const isValue = (kind: RollUp.Kind, value: RollUp.Value): boolean =>
  Number.isFinite(value) || (kind === "set" && typeof value === "string")

const unsafeMake = (
  config: Pick<ThreadStatsConfig.ThreadStatsConfig, keyof Options>,
  seed: number
): MetricsAggregator["Type"] => {
  const { maxBytes, maxContexts, maxValues } = config
  const interval = Duration.toMillis(config.rollUpInterval)
  const makeRollUp = RollUp.factory({ ...config, random: new PCGRandom(seed) })
  const ledger = Ledger.make<DropReason>()
  const contexts = Contexts.make<Entry>(maxContexts + maxIdle, seed)
  const buckets = new Map<number, Bucket>()
  /** The same, the oldest first, and some that are gone. */
  let ordered: Array<Bucket> = []
  /** No moment is in it, and no entry. */
  const nowhere = new Bucket(Infinity, -Infinity)
  /** Nothing waits in a bucket before these; what is kept for its total may be in thousands of them. */
  const first = { dirty: nowhere, valued: nowhere }
  /** The bucket that was used last, which is mostly the open one, and the moment that it was used for. */
  let current = nowhere
  let currentTime = Number.NaN
  const forgotten = new Set<number>()
  const kinds = new Map<string, RollUp.Kind>()
  let conflicts = new Set<string>()
  const maxAge = config.timestamps === "any" ? Infinity : pointWindow.past
  const nearly = {
    contexts: Math.ceil(maxContexts * nearlyFull),
    values: Math.ceil(maxValues * nearlyFull),
    bytes: Math.ceil(maxBytes * nearlyFull)
  }
  /** Points that were taken out, and those that were neither taken out nor dropped. */
  let out = 0
  let held = 0
  /** Entries with something pending, the distribution values in them, and their bytes. */
  let pending = 0
  let values = 0
  let bytes = 0
  /** All entries, also those that are kept for their totals, and the bytes of the latter. */
  let entries = 0
  let keptBytes = 0
  let version = 0
  /** Whether a limit is near, and whether there is room for one more value. */
  let isNearlyFull = false
  let hasRoom = true

  const asDistributions = config.counters === "distributions"
  const addsUp = (kind: RollUp.Kind) => RollUp.isAdditive(kind, config.counters)
  /** Whether it keeps every value. */
  const isDistribution = (kind: RollUp.Kind) =>
    kind === "distribution" || (asDistributions && (kind === "histogram" || kind === "timing"))

  /** To be called where what is pending, its values or its bytes have changed. */
  const weigh = () => {
    isNearlyFull = pending >= nearly.contexts || values >= nearly.values || bytes >= nearly.bytes
    hasRoom = values < maxValues && bytes < maxBytes
  }

  const rollUpOf = ({ context, rollUp, value }: Entry): RollUp.RollUp => rollUp ?? makeRollUp(context.kind, value)

  const valueCount = ({ rollUp }: Entry): number => rollUp === undefined ? 0 : rollUp.valueCount()

  const empty = (kind: RollUp.Kind): number | RollUp.RollUp => isPlain(kind) ? 0 : makeRollUp(kind)

  const startOf = (time: number) => Math.floor(time / interval) * interval

  const noteKind = (kind: RollUp.Kind, name: string) => {
    const known = kinds.get(name)
    if (known === undefined) {
      if (kinds.size >= remembered) kinds.clear()
      kinds.set(name, kind)
    } else if (known !== kind && conflicts.size < remembered) {
      conflicts.add(name)
    }
  }

  const insert = (bucket: Bucket) => {
    if (ordered.length > 2 * buckets.size + 64) ordered = ordered.filter(({ isGone }) => !isGone)
    let low = 0
    for (let high = ordered.length; low < high;) {
      const middle = (low + high) >> 1
      if (ordered[middle]!.start < bucket.start) low = middle + 1
      else high = middle
    }
    ordered.splice(low, 0, bucket)
  }

  const bucketAt = (start: number): Bucket => {
    let bucket = buckets.get(start)
    if (bucket === undefined) {
      bucket = new Bucket(start, start + interval)
      buckets.set(start, bucket)
      insert(bucket)
    }
    return bucket
  }

  const discard = (bucket: Bucket) => {
    bucket.isGone = true
    buckets.delete(bucket.start)
    if (current !== bucket) return
    current = nowhere
    currentTime = Number.NaN
  }

  /** The context's entry in this bucket. On the way, those of buckets that are gone are let go. */
  const entryIn = (context: Identity, bucket: Bucket): Entry | undefined => {
    let before: Entry | undefined
    for (let entry = context.latest; entry !== undefined; entry = entry.other) {
      if (entry.bucket === bucket) return entry
      if (!entry.bucket.isGone) before = entry
      else if (before === undefined) context.latest = entry.other
      else before.other = entry.other
    }
    return undefined
  }

  const attach = (context: Identity, bucket: Bucket, entry: Entry) => {
    entry.context = context
    entry.bucket = bucket
    entry.other = context.latest
    context.latest = entry
    bucket.entries++
    entries++
  }

  const hasEntry = (context: Identity): boolean => {
    for (let entry = context.latest; entry !== undefined; entry = entry.other) {
      if (!entry.bucket.isGone) return true
    }
    return false
  }

  const keep = (bucket: Bucket, change: number) => {
    bucket.keptBytes += change
    keptBytes += change
  }

  const wait = (which: "dirty" | "valued", bucket: Bucket, entry: Entry) => {
    bucket[which].push(entry)
    if (bucket.start < first[which].start) first[which] = bucket
  }

  const hold = (bucket: Bucket, entry: Entry, points: number) => {
    if (entry.pending === 0) {
      wait("dirty", bucket, entry)
      if (isDistribution(entry.context.kind)) wait("valued", bucket, entry)
      pending++
      const size = bytesOf(entry)
      bytes += size
      if (entry.sent) keep(bucket, -size)
    }
    entry.pending += points
    held += points
  }

  /** Nothing of it is pending any more. Says about how much memory it takes. */
  const release = (entry: Entry): number => {
    const size = bytesOf(entry)
    pending--
    bytes -= size
    held -= entry.pending
    entry.pending = 0
    values -= valueCount(entry)
    return size
  }

  const remove = (bucket: Bucket, entry: Entry) => {
    bucket.entries--
    entries--
    const context = entry.context
    if (context.latest === entry) {
      context.latest = entry.other
    } else {
      let before = context.latest!
      while (before.other !== entry) before = before.other!
      before.other = entry.other
    }
    entry.other = undefined
  }

  const drop = (reason: DropReason, bucket: Bucket, entry: Entry) => {
    ledger.count(reason, entry.context.name, entry.pending)
    const size = release(entry)
    bucket.version = ++version
    // What was sent once has to be known, or a later point would undercut it.
    if (entry.sent) keep(bucket, size)
    else remove(bucket, entry)
  }

  /** The oldest bucket before the one that starts at `before` with something that waits. */
  const oldestWith = (which: "dirty" | "valued", before: number): Bucket | undefined => {
    let bucket = first[which]
    if (bucket[which].length === 0) {
      bucket = first[which] = ordered.find((other) => other[which].length > 0) ?? nowhere
    }
    return bucket.start < before ? bucket : undefined
  }

  /** Drops what has waited longest, in a bucket before the one that starts at `before`. */
  const dropOldest = (reason: DropReason, before: number, which: "dirty" | "valued" = "dirty"): boolean => {
    const oldest = oldestWith(which, before)
    const entry = oldest?.[which].shift()
    if (oldest === undefined || entry === undefined) return false
    drop(reason, oldest, entry)
    if (which === "valued") oldest.dirty.pass(entry)
    else if (isDistribution(entry.context.kind)) oldest.valued.pass(entry)
    if (oldest.entries === 0) discard(oldest)
    return true
  }

  /** Drops up to `most` values of the distribution that has waited longest, the first ones first. */
  const dropOldestValues = (most: number) => {
    const oldest = oldestWith("valued", Infinity)!
    const entry = oldest.valued.first()!
    if (valueCount(entry) <= most) {
      dropOldest("TooManyValues", Infinity, "valued")
      return
    }
    const before = bytesOf(entry)
    entry.rollUp = makeRollUp(entry.context.kind, entry.rollUp!.values().slice(most))
    ledger.count("TooManyValues", entry.context.name, most)
    entry.pending -= most
    held -= most
    values -= most
    bytes += bytesOf(entry) - before
    oldest.version = ++version
  }

  /** The one for a point that is not known in this order of tags, or what is wrong with it. */
  const intern = (
    kind: RollUp.Kind,
    name: string,
    tags: PointContext["tags"],
    host: string | null
  ): Identity | DropReason => {
    if (!isName(name)) return "InvalidName"
    if (contexts.size() >= 2 * entries + maxIdle) {
      contexts.retain((context) => context.latest !== undefined && hasEntry(context))
    }
    return contexts.intern(kind, name, tags, host)
  }

  /** Makes room for one more point, or says why there is none. */
  const makeRoom = (kind: RollUp.Kind, start: number, entry: Entry | undefined): DropReason | undefined => {
    if (isDistribution(kind) && values >= maxValues && !dropOldest("TooManyValues", start, "valued")) {
      return "TooManyValues"
    }
    if (bytes >= maxBytes && (entry === undefined || !isPlain(kind))) {
      while (bytes >= maxBytes && dropOldest("TooManyBytes", start));
      if (bytes >= maxBytes) return "TooManyBytes"
    }
    // sent, and known for its total: with something pending it counts again
    if (entry?.pending === 0 && pending >= maxContexts && !dropOldest("TooManyContexts", start)) {
      return "TooManyContexts"
    }
    if (entry === undefined) {
      if (forgotten.has(start) && !buckets.has(start) && kind !== "gauge" && !addsUp(kind)) return "Late"
      if (pending >= maxContexts || entries >= maxContexts + maxKept) {
        forget(start)
        if (!dropOldest("TooManyContexts", start)) return "TooManyContexts"
      }
    }
    return undefined
  }

  /** The one in the bucket of this moment, if there is one. */
  const entryAt = (context: Identity, time: number): Entry | undefined => {
    let bucket = current
    if (time !== currentTime) {
      if (time < bucket.start || time >= bucket.end) {
        const other = buckets.get(startOf(time))
        if (other === undefined) return undefined
        current = bucket = other
      }
      currentTime = time
    }
    const entry = context.latest
    return entry === undefined || entry.bucket === bucket ? entry : entryIn(context, bucket)
  }

  /** Whether what has something pending already can take one more value of this kind. */
  const canGrow = (kind: RollUp.Kind): boolean =>
    hasRoom || isPlain(kind) || (bytes < maxBytes && !isDistribution(kind))

  /** A value of what has something pending already, where there is room for it. */
  const put = (kind: RollUp.Kind, entry: Entry, value: RollUp.Value): void => {
    entry.bucket.isChanged = true
    entry.pending++
    held++
    if (kind === "counter") entry.value += value as number
    else if (kind === "gauge") entry.value = value as number
    else {
      const grown = entry.rollUp!.add(value)
      if (grown === 0) return
      bytes += grown
      if (isDistribution(kind)) values++
      if (bytes >= nearly.bytes || values >= nearly.values) weigh()
    }
  }

  /** One value of a series, or why it cannot be taken. */
  const addTo = (
    kind: RollUp.Kind,
    context: Identity,
    value: RollUp.Value,
    time: number
  ): DropReason | undefined => {
    const latest = context.latest
    if (latest?.bucket === current && time === currentTime && latest.pending > 0 && canGrow(kind)) {
      put(kind, latest, value)
      return undefined
    }
    let entry = entryAt(context, time)
    if (entry === undefined || entry.pending === 0 || !canGrow(kind)) {
      const start = startOf(time)
      const reason = makeRoom(kind, start, entry)
      if (reason !== undefined) {
        weigh()
        return reason
      }
      if (entry === undefined) {
        const bucket = current = bucketAt(start)
        currentTime = time
        noteKind(kind, context.name)
        entry = new Entry(context, bucket, empty(kind))
        attach(context, bucket, entry)
      }
      hold(entry.bucket, entry, 0)
      weigh()
    }
    put(kind, entry, value)
    return undefined
  }

  const take = (
    kind: RollUp.Kind,
    name: string,
    value: RollUp.Value,
    time: number,
    point: PointContext | undefined
  ): DropReason | undefined => {
    if (!isValue(kind, value)) return "InvalidValue"
    if (!Number.isFinite(time)) return "InvalidTimestamp"
    const host = point?.host ?? null
    if (!isHost(host)) return "InvalidHost"
    const tags = point?.tags
    const context = contexts.find(kind, name, tags, host) ?? intern(kind, name, tags, host)
    return typeof context === "string" ? context : addTo(kind, context, value, time)
  }

  const unsafeAdd: MetricsAggregator["Type"]["unsafeAdd"] = (kind, name, value, time, context) => {
    let reason: DropReason | undefined
    try {
      reason = take(kind, name, value, time, context)
    } catch {
      // Only what a caller passes can throw here: a getter among the tags, say.
      reason = "InvalidTags"
    }
    if (reason !== undefined) ledger.count(reason, name)
    return isNearlyFull
  }

  const contextOf = (bound: Bound, { host, tags }: Exclude<Bound["seen"], DropReason>): Identity => {
    if (bound.context?.target !== undefined) return bound.context
    const { kind, name } = bound
    return bound.context = (contexts.find(kind, name, tags, host) ?? intern(kind, name, tags, host)) as Identity
  }

  /** As {@link unsafeAdd}, and finds the entry for the next time. */
  const resolve = (bound: Bound, value: RollUp.Value | undefined, time: number): Entry | undefined => {
    const { kind, name, seen } = bound
    const reason = value === undefined || !isValue(kind, value)
      ? "InvalidValue"
      : !Number.isFinite(time)
      ? "InvalidTimestamp"
      : typeof seen === "string"
      ? seen
      : addTo(kind, contextOf(bound, seen), value, time)
    if (reason !== undefined) ledger.count(reason, name)
    return bound.context?.latest
  }

  const bind: MetricsAggregator["Type"]["bind"] = (kind, name, point, { now, onHighWaterMark: relieve }) => {
    const bound = new Bound(kind, name, point)
    let entry: Entry | undefined
    // apart by kind, and each of them whole: a call is hardly more than what it has to look up
    switch (kind) {
      case "counter":
        return (value = 1) => {
          const time = now()
          if (entry?.bucket !== current || time !== currentTime || entry.pending === 0 || !Number.isFinite(value)) {
            entry = resolve(bound, value, time)
          } else {
            current.isChanged = true
            entry.pending++
            held++
            entry.value += value as number
          }
          if (isNearlyFull) relieve(time)
        }
      case "gauge":
        return (value) => {
          const time = now()
          if (entry?.bucket !== current || time !== currentTime || entry.pending === 0 || !Number.isFinite(value)) {
            entry = resolve(bound, value, time)
          } else {
            current.isChanged = true
            entry.pending++
            held++
            entry.value = value as number
          }
          if (isNearlyFull) relieve(time)
        }
      default:
        return (value) => {
          const time = now()
          if (
            entry?.bucket !== current || time !== currentTime || entry.pending === 0 || !canGrow(kind) ||
            !Number.isFinite(value)
          ) {
            entry = resolve(bound, value, time)
          } else {
            put(kind, entry, value as number)
          }
          if (isNearlyFull) relieve(time)
        }
    }
  }

  const takeOut = (
    bucket: Bucket,
    entry: Entry,
    temporality: Temporality,
    asSamples: boolean,
    into: Array<AggregatedSeries>,
    isLive: boolean
  ): void => {
    const distributed = addsUp(entry.context.kind)
    let recorded = entry.pending
    out += recorded
    const size = release(entry)
    const rollUp = rollUpOf(entry)
    if (temporality === "total" && !distributed) {
      entry.sent = true
      keep(bucket, size)
      into.push(new Taken(bucket, entry, rollUp, recorded, asSamples, isLive))
      return
    }
    remove(bucket, entry)
    const parts = rollUp.split()
    for (let i = 0; i < parts.length; i++) {
      const part = parts[i]!
      const own = parts.length === 1 ? entry : new Entry(entry.context, bucket, part)
      const share = i === parts.length - 1 ? recorded : Math.min(recorded, part.valueCount())
      recorded -= share
      into.push(new Taken(bucket, own, part, share, asSamples && !distributed, isLive))
    }
  }

  /** Forgets the oldest closed buckets that hold nothing to report, until what is kept is light enough. */
  const forget = (now: number) => {
    if (keptBytes <= maxKeptBytes) return
    const closed = Array.from(buckets.keys()).filter((start) => start < startOf(now)).sort((a, b) => a - b)
    for (const start of closed) {
      const bucket = buckets.get(start)!
      if (bucket.dirty.length > 0) continue
      discard(bucket)
      keptBytes -= bucket.keptBytes
      entries -= bucket.entries
      forgotten.add(start)
      if (forgotten.size > remembered) forgotten.delete(forgotten.values().next().value!)
      if (keptBytes <= maxKeptBytes) return
    }
  }

  /** Takes out what waits now, context by context. `isLive`: for somebody who looks before anything is recorded. */
  const each = (
    { now, samples = false, temporality, upTo }: Parameters<MetricsAggregator["Type"]["drain"]>[0],
    isLive: boolean
  ) => {
    const limit = upTo === undefined ? Infinity : startOf(upTo)
    const due = Array.from(buckets.values()).filter(({ start }) => start < limit)
    for (const { dirty } of due) dirty.mark()
    let next = 0
    return () => {
      for (; next < due.length; next++) {
        const bucket = due[next]!
        for (let entry = bucket.dirty.shiftDue(); entry !== undefined; entry = bucket.dirty.shiftDue()) {
          const taken: Array<AggregatedSeries> = []
          if (isDistribution(entry.context.kind)) bucket.valued.pass(entry)
          if (bucket.start < now - maxAge) drop("Expired", bucket, entry)
          else takeOut(bucket, entry, temporality, samples, taken, isLive)
          weigh()
          if (taken.length > 0) return taken
        }
        if (bucket.entries === 0 && !bucket.isGone) discard(bucket)
      }
      forget(now)
      return undefined
    }
  }

  const flush: MetricsAggregator["Type"]["drain"] = (options) =>
    Effect.sync(() => {
      const next = each(options, false)
      const all: Array<AggregatedSeries> = []
      for (let taken = next(); taken !== undefined; taken = next()) all.push(...taken)
      return all
    })

  /** Of what was recorded before. The last value of a gauge stays what it is. */
  const absorb = (entry: Entry, older: Entry) => {
    if (entry.rollUp !== undefined) {
      const before = bytesOf(entry)
      entry.rollUp.mergeOlder(older.rollUp!)
      bytes += bytesOf(entry) - before
    } else if (entry.context.kind === "counter") {
      entry.value = finite(entry.value) + finite(older.value)
    }
  }

  /** Under what is there, as if it had been recorded before. */
  const putBack = (start: number, entry: Entry, recorded: number): Bucket => {
    forgotten.delete(start)
    const bucket = bucketAt(start)
    const { host, kind, name, tags, target } = entry.context
    const context = target ?? contexts.intern(kind, name, tags, host) as Identity
    const present = entryIn(context, bucket)
    values += valueCount(entry)
    if (present === undefined) {
      attach(context, bucket, entry)
      entry.sent = false
      hold(bucket, entry, recorded)
    } else {
      hold(bucket, present, recorded)
      if (present !== entry) absorb(present, entry)
    }
    return bucket
  }

  const enforceBounds = () => {
    while (pending > maxContexts && dropOldest("TooManyContexts", Infinity));
    while (bytes > maxBytes && dropOldest("TooManyBytes", Infinity));
    while (values > maxValues) dropOldestValues(values - maxValues)
    weigh()
  }

  const restore: MetricsAggregator["Type"]["restore"] = (items) =>
    Effect.sync(() => {
      for (const { entry, from, recorded } of items as ReadonlyArray<Taken>) {
        if (!buckets.has(from.start)) {
          const { counted, isChanged, version } = from
          Object.assign(bucketAt(from.start), { counted, isChanged, version })
        }
        putBack(from.start, entry, recorded)
        out -= recorded
      }
      enforceBounds()
    })

  const adopt: MetricsAggregator["Type"]["load"] = (items) =>
    Effect.sync(() => {
      for (const { host, kind, name, recorded, start, state, tags } of items) {
        const context = contexts.intern(kind, name, tags, host) as Identity
        const content = isPlain(kind) ? state as number : makeRollUp(kind, state)
        const entry = new Entry(context, bucketAt(startOf(start)), content)
        putBack(startOf(start), entry, recorded).version = ++version
      }
      enforceBounds()
    })

  const retainedOf = (start: number) => (entry: Entry): SerializedSeries => {
    const { context: { host, kind, name, tags }, pending } = entry
    return {
      kind,
      name,
      host,
      tags,
      start,
      recorded: pending,
      state: rollUpOf(entry).state()
    }
  }

  const snapshot: MetricsAggregator["Type"]["snapshot"] = (known) =>
    Effect.sync(() => {
      const snapshots: Array<BucketSnapshot> = []
      for (const bucket of buckets.values()) {
        const { dirty, start } = bucket
        if (dirty.length === 0) continue
        if (bucket.isChanged || bucket.counted !== dirty.length) {
          bucket.isChanged = false
          bucket.counted = dirty.length
          bucket.version = ++version
        }
        const contexts = known.get(start) === bucket.version ? undefined : dirty.all().map(retainedOf(start))
        snapshots.push({ start, version: bucket.version, contexts })
      }
      return snapshots
    })

  return {
    rollUpInterval: config.rollUpInterval,
    counters: config.counters,
    unsafeAdd,
    bind,
    add: (kind, name, value, time, context) => Effect.sync(() => void unsafeAdd(kind, name, value, time, context)),
    drain: flush,
    drainEach: (options) => Effect.sync(() => each(options, true)),
    restore,
    load: adopt,
    snapshot,
    clone: fromConfig(config),
    isAboveHighWaterMark: () => isNearlyFull,
    isIdle: () => pending === 0 && conflicts.size === 0 && keptBytes <= maxKeptBytes && !ledger.hasUnreported(),
    stats: Effect.sync((): AggregatorStats => {
      const received = held + out + ledger.total()
      return { received, held, contexts: pending, bytes, dropped: ledger.totals() }
    }),
    drainWarnings: Effect.sync((): AggregatorWarnings => {
      const news = { dropped: ledger.drainUnreported(), conflicts: Array.from(conflicts) }
      conflicts = new Set()
      return news
    })
  }
}

/**
 * An aggregator for settings that are resolved already. Its samples are drawn with a seed from `Random`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromConfig = (
  config: Pick<ThreadStatsConfig.ThreadStatsConfig, keyof Options>
): Effect.Effect<MetricsAggregator["Type"]> => Effect.map(Random.nextInt, (seed) => unsafeMake(config, seed))

/**
 * An aggregator with the options given, else what the environment says, else the defaults.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options?: Options): Effect.Effect<MetricsAggregator["Type"], ConfigError> =>
  Effect.flatMap(ThreadStatsConfig.make(options), fromConfig)

/**
 * {@link make} as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<MetricsAggregator, ConfigError> =>
  Layer.effect(MetricsAggregator, make(options))

/**
 * An aggregator with the defaults, whatever the environment says.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerDefault: Layer.Layer<MetricsAggregator> = /*#__PURE__*/ Layer.effect(
  MetricsAggregator,
  /*#__PURE__*/ fromConfig(ThreadStatsConfig.defaults)
)
