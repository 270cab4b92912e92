/**
 * Effect's own metrics, by way of `ThreadStats`: what a program (or a library) counts with `Metric.counter`,
 * `Metric.trackDuration`, `Effect.withMetric` or the fiber runtime metrics reaches Datadog with one line.
 *
 * ```ts
 * import { Layer } from "effect"
 * import { EffectMetrics, ThreadStats } from "effect-threadstats"
 *
 * const layer = EffectMetrics.layer.pipe(Layer.provideMerge(ThreadStats.layerNode))
 * ```
 *
 * Nothing is added to an update of a metric: the registry is looked at when a flush begins, and what is new since the look
 * before is recorded, as of that moment. A look of the periodic flush falls into the interval that is still open, and goes
 * out with the flush after.
 *
 * | Effect | Datadog |
 * |---|---|
 * | counter | a counter: what was added since the last look, also where that is less than nothing |
 * | gauge | a gauge: when it has changed, and again after a while ({@link Options.gaugeInterval}) |
 * | histogram, timer | a distribution ({@link Options.histograms}) |
 * | frequency | a counter for each word, which is the tag `key` |
 * | summary | gauges for each quantile that has a value (`.95percentile`), `.min` and `.max` of all times; counters `.count`, `.sum` |
 *
 * **Deltas are not lost.** What was recorded is the client's, which keeps it until it is delivered. What was counted before
 * the layer was built is part of the first delta. Two layers over two clients report everything to each. Build the layer
 * where the client is built, and once for each client: one that is provided anew for every request would report everything
 * for every request.
 *
 * **Histograms.** Effect keeps no values, but how many there were between two boundaries. A distribution gets as many,
 * spread evenly between the boundaries and so that they add up to the histogram's sum. Exact are the number of values, in all
 * and between two boundaries, their sum (but for rounding), and a minimum or maximum when it is a new one; percentiles are
 * right to within the two boundaries around them. (Those of `Metric.timer` double, from half a millisecond on;
 * `Metric.timerWithBoundaries` takes closer ones.) Over {@link Options.histogramValues} values, all of that holds in
 * proportion: percentiles, average, minimum and maximum are what they were, the count and the sum at Datadog are too small.
 * Timers record milliseconds, as their tag `time_unit` says.
 *
 * **Names.** Characters other than ASCII letters, digits, `_` and `.` become `_`; `_` and `.` in front of the first letter or
 * digit go; before a digit comes `metric_`. A name of which nothing is left, or with more than 200 characters, is dropped by
 * the client and counted. Metrics that come to share a name (which is warned of) or name and tags add up; of their gauges the
 * one that changed last is reported.
 *
 * **Tags.** A label is the tag `key:value`, cut to 200 characters; without value it is the key.
 *
 * Effect's registry forgets nothing; for each metric in it one number is kept here, for a histogram one for each boundary.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import type * as MetricKey from "effect/MetricKey"
import * as MetricKeyType from "effect/MetricKeyType"
import * as MetricState from "effect/MetricState"
import * as MutableHashMap from "effect/MutableHashMap"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as HistogramWindow from "./internal/effectMetrics/histogramDelta.js"
import { metricName, metricTag, metricTags } from "./internal/effectMetrics/names.js"
import * as Ledger from "./internal/model/DropCounters.js"
import { percentileSuffix } from "./internal/model/percentile.js"
import { decodeTags, type Tags } from "./internal/model/tags.js"
import { ThreadStats } from "./ThreadStats.js"

/**
 * How Effect's histograms are reported.
 *
 * - `"distribution"`: as a distribution, of which Datadog computes percentiles over all senders
 * - `"aggregates"`: as counters `.count` and `.sum`, which are exact, and gauges `.min`, `.max` and the client's `percentiles`
 *   (`.95percentile`) of this process since the last look, which are as near as the boundaries tell
 * - `"both"`
 *
 * @since 0.1.0
 * @category models
 */
export type HistogramTransport = "distribution" | "aggregates" | "both"

/**
 * What is reported, and as what. The functions are asked once for each metric; one that throws is warned of, and its metric
 * is left out.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Which metrics are reported. Default: all. */
  readonly filter?: ((key: MetricKey.MetricKey.Untyped) => boolean) | undefined
  /** Another name, to which the rules for names apply as well. Default: the metric's own. */
  readonly rename?: ((name: string, key: MetricKey.MetricKey.Untyped) => string) | undefined
  /** Other tags than those of the labels. The tag `key` of a frequency comes on top. Default: those of the labels. */
  readonly tags?: ((tags: ReadonlyArray<string>, key: MetricKey.MetricKey.Untyped) => Tags) | undefined
  /**
   * Which of the counters that are not `incremental` are reported as gauges: not what was added, but where they stand.
   * Default: `effect_fiber_active`, of the fiber runtime metrics.
   */
  readonly asGauge?: ((key: MetricKey.MetricKey.Untyped) => boolean) | undefined
  /**
   * A gauge that stands still is reported once in this time, so that Datadog, which connects points up to 300 seconds apart,
   * draws a line; zero for with every flush, `Duration.infinity` for never. What is no duration is ignored. Default: the
   * client's roll-up interval; a minute where the client does not flush by itself, as on Lambda.
   */
  readonly gaugeInterval?: Duration.DurationInput | undefined
  /** Default: `"distribution"`. */
  readonly histograms?: HistogramTransport | undefined
  /**
   * How many values of one histogram are recorded at one look, at most. Each costs about as much as one that the program
   * records itself. Default: 10,000.
   */
  readonly histogramValues?: number | undefined
  /**
   * From when on things count: since the `"process"` began, or since the `"layer"` was built, which is for a client that is
   * not the first in its process. Default: `"process"`.
   */
  readonly since?: "process" | "layer" | undefined
}

type Client = ThreadStats["Type"]

/** Where what is found at a look goes. */
type Sink = Pick<Client, "unsafeDistribution" | "unsafeGauge" | "unsafeIncrement">

const nowhere: Sink = { unsafeDistribution: () => {}, unsafeGauge: () => {}, unsafeIncrement: () => {} }

/** A gauge as Datadog knows it, of which more than one metric can be the source. */
interface Slot {
  readonly name: string
  readonly tags: ReadonlyArray<string>
  value: number | undefined
  hasChanged: boolean
  /** In which period it was reported last. */
  period: number
}

type Publish = (state: MetricState.MetricState.Untyped, sink: Sink) => void

const ignore: Publish = () => {}

/** Adds what is new. What no double can hold of a bigint is left for the next time. */
const makeCounter = (name: string, tags: ReadonlyArray<string>) => {
  let published: number | bigint = 0
  let seen: unknown = 0
  return (total: number | bigint, sink: Sink) => {
    if (Object.is(total, seen)) return
    seen = total
    const delta = typeof total === "bigint" ? Number(total - BigInt(published)) : total - Number(published)
    if (delta === 0) return
    sink.unsafeIncrement(name, delta, { tags })
    if (Number.isFinite(delta)) published = typeof total === "bigint" ? BigInt(published) + BigInt(delta) : total
  }
}

const isFiberCount = ({ name }: MetricKey.MetricKey.Untyped): boolean => name === "effect_fiber_active"

type Trouble = "Failed" | "ShareName"

const describe = ({ count, names, reason }: Ledger.UnreportedDrops<Trouble>): string =>
  reason === "Failed"
    ? `Left out ${count} of Effect's metrics, on which an option failed (${names.join(", ")})`
    : `Reported ${count} of Effect's metrics under a name that another one has (${names.join(", ")})`

const defaultValues = 10_000

/**
 * Has the metrics of this process reported by the client of this scope: at every flush, and once more when the scope closes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (options?: Options) => Effect.Effect<void, never, ThreadStats | Scope.Scope> = Effect.fnUntraced(
  function*(options: Options = {}) {
    const client = yield* ThreadStats
    if (client.config.disabled) return
    const clock = yield* Effect.clock
    const runtime = yield* Effect.runtime()

    const { asGauge = isFiberCount, filter, histogramValues = defaultValues, histograms = "distribution" } = options
    const most = histogramValues >= 1 ? Math.floor(histogramValues) : defaultValues
    const { percentiles, periodicFlush, rollUpInterval } = client.config
    const gaugeInterval = Duration.toMillis(Option.getOrElse(
      Duration.decodeUnknown(options.gaugeInterval),
      () => periodicFlush ? rollUpInterval : Duration.minutes(1)
    ))

    const publishers = MutableHashMap.empty<MetricKey.MetricKey.Untyped, Publish>()
    const slots = new Map<string, Slot>()
    /** Of each wanted name the one that Datadog takes, and of each of those the first that wanted it. */
    const names = new Map<string, string>()
    const owners = new Map<string, string>()
    const ledger = Ledger.make<Trouble>()
    let lastCause: unknown

    const slotOf = (name: string, tags: ReadonlyArray<string>): Slot => {
      const id = JSON.stringify([name, ...tags.slice().sort()])
      let slot = slots.get(id)
      if (slot === undefined) {
        slot = { name, tags, value: undefined, hasChanged: false, period: Number.NaN }
        slots.set(id, slot)
      }
      return slot
    }

    /** Tells its slot when it changes, and not that it stands still: another metric may have the slot by now. */
    const makeGauge = (name: string, tags: ReadonlyArray<string>) => {
      const slot = slotOf(name, tags)
      let seen: number | undefined
      return (value: number | undefined) => {
        if (Object.is(value, seen)) return
        seen = value
        slot.value = value
        slot.hasChanged = true
      }
    }

    const counterOf = (name: string, tags: ReadonlyArray<string>, key: MetricKey.MetricKey.Untyped): Publish => {
      const keyType: MetricKeyType.MetricKeyType.Counter<number | bigint> = key.keyType
      if (!keyType.incremental && asGauge(key)) {
        const gauge = makeGauge(name, tags)
        return (state) => gauge(Number((state as MetricState.MetricState.Counter<number | bigint>).count))
      }
      const counter = makeCounter(name, tags)
      return (state, sink) => counter((state as MetricState.MetricState.Counter<number | bigint>).count, sink)
    }

    const gaugeOf = (name: string, tags: ReadonlyArray<string>): Publish => {
      const gauge = makeGauge(name, tags)
      return (state) => gauge(Number((state as MetricState.MetricState.Gauge<number | bigint>).value))
    }

    const frequencyOf = (name: string, tags: ReadonlyArray<string>): Publish => {
      const published = new Map<string, number>()
      return (state, sink) => {
        for (const [word, count] of (state as MetricState.MetricState.Frequency).occurrences) {
          const delta = count - (published.get(word) ?? 0)
          if (delta === 0) continue
          published.set(word, count)
          sink.unsafeIncrement(name, delta, { tags: [...tags, metricTag("key", word)] })
        }
      }
    }

    const summaryOf = (name: string, tags: ReadonlyArray<string>): Publish => {
      const count = makeCounter(`${name}.count`, tags)
      const sum = makeCounter(`${name}.sum`, tags)
      const min = makeGauge(`${name}.min`, tags)
      const max = makeGauge(`${name}.max`, tags)
      const quantiles = new Map<number, ReturnType<typeof makeGauge>>()
      return (state, sink) => {
        const summary = state as MetricState.MetricState.Summary
        if (summary.count === 0) return
        count(summary.count, sink)
        sum(summary.sum, sink)
        min(summary.min)
        max(summary.max)
        for (const [quantile, value] of summary.quantiles) {
          let gauge = quantiles.get(quantile)
          if (gauge === undefined) {
            gauge = makeGauge(`${name}.${percentileSuffix(quantile)}`, tags)
            quantiles.set(quantile, gauge)
          }
          gauge(Option.getOrUndefined(value))
        }
      }
    }

    const histogramOf = (name: string, tags: ReadonlyArray<string>): Publish => {
      const point = { tags }
      const sum = makeCounter(`${name}.sum`, tags)
      let before = HistogramWindow.nothingSeen
      let counted = 0
      return (state, sink) => {
        const histogram = state as MetricState.MetricState.Histogram
        if (histogram.count === counted) return
        counted = histogram.count
        const now = HistogramWindow.see(histogram)
        const window = HistogramWindow.windowOf(before, now, histogram.buckets)
        before = now
        // for the client to drop and to count
        if (window.unusable > 0) sink.unsafeDistribution(name, Number.NaN, point)
        if (window.count === 0) return
        if (histograms !== "aggregates") {
          for (const value of HistogramWindow.valuesOf(HistogramWindow.layOut(window, most))) {
            sink.unsafeDistribution(name, value, point)
          }
        }
        if (histograms !== "distribution") {
          const layout = HistogramWindow.layOut(window)
          sink.unsafeIncrement(`${name}.count`, window.count, point)
          sum(histogram.sum, sink)
          sink.unsafeGauge(`${name}.min`, HistogramWindow.minOf(layout), point)
          sink.unsafeGauge(`${name}.max`, HistogramWindow.maxOf(layout), point)
          for (const p of percentiles) {
            sink.unsafeGauge(`${name}.${percentileSuffix(p)}`, HistogramWindow.percentileOf(layout, p), point)
          }
        }
      }
    }

    const nameOf = (key: MetricKey.MetricKey.Untyped): string => {
      const wanted = options.rename === undefined ? key.name : options.rename(key.name, key)
      const known = names.get(wanted)
      if (known !== undefined) return known
      const name = metricName(wanted)
      names.set(wanted, name)
      if (owners.has(name)) ledger.count("ShareName", wanted)
      else owners.set(name, wanted)
      return name
    }

    const tagsOf = (key: MetricKey.MetricKey.Untyped): ReadonlyArray<string> => {
      const labels = metricTags(key.tags)
      const tags = decodeTags(options.tags === undefined ? labels : options.tags(labels, key))
      if (typeof tags === "string") throw new TypeError(`${tags} of ${key.name}`)
      return tags
    }

    const publisherOf = (key: MetricKey.MetricKey.Untyped): Publish => {
      if (filter !== undefined && !filter(key)) return ignore
      const name = nameOf(key)
      const tags = tagsOf(key)
      const type: unknown = key.keyType
      if (MetricKeyType.isCounterKey(type)) return counterOf(name, tags, key)
      if (MetricKeyType.isGaugeKey(type)) return gaugeOf(name, tags)
      if (MetricKeyType.isFrequencyKey(type)) return frequencyOf(name, tags)
      if (MetricKeyType.isSummaryKey(type)) return summaryOf(name, tags)
      if (MetricKeyType.isHistogramKey(type)) return histogramOf(name, tags)
      return ignore
    }

    const publishAll = (sink: Sink) => {
      for (const { metricKey, metricState } of Metric.unsafeSnapshot()) {
        try {
          let publish = Option.getOrUndefined(MutableHashMap.get(publishers, metricKey))
          if (publish === undefined) {
            publish = publisherOf(metricKey)
            MutableHashMap.set(publishers, metricKey, publish)
          }
          publish(metricState, sink)
        } catch (cause) {
          // one option's, or one metric's; the others go on
          MutableHashMap.set(publishers, metricKey, ignore)
          ledger.count("Failed", metricKey.name)
          lastCause = cause
        }
      }
    }

    const reportGauges = () => {
      const period = gaugeInterval === 0 ? Number.NaN : Math.floor(clock.unsafeCurrentTimeMillis() / gaugeInterval)
      for (const slot of slots.values()) {
        if (slot.value === undefined || (!slot.hasChanged && slot.period === period)) continue
        // what the client drops anyway is not offered to it again and again
        if (!slot.hasChanged && !Number.isFinite(slot.value)) continue
        slot.hasChanged = false
        slot.period = period
        client.unsafeGauge(slot.name, slot.value, { tags: slot.tags })
      }
    }

    const warn = () => {
      const news = ledger.drainUnreported()
      if (news.length === 0) return
      const cause = lastCause
      lastCause = undefined
      Runtime.runFork(runtime)(Effect.annotateLogs(
        Effect.forEach(
          news,
          (entry) =>
            entry.reason === "Failed" ? Effect.logWarning(describe(entry), cause) : Effect.logWarning(describe(entry)),
          { discard: true }
        ),
        { package: "effect-threadstats", module: "EffectMetrics" }
      ))
    }

    if (options.since === "layer") publishAll(nowhere)

    yield* client.onFlush(() => {
      publishAll(client)
      reportGauges()
      warn()
    })
  }
)

/**
 * {@link make} as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (options?: Options): Layer.Layer<never, never, ThreadStats> =>
  Layer.scopedDiscard(make(options))

/**
 * All of Effect's metrics, as the table at the top says.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<never, never, ThreadStats> = /*#__PURE__*/ layerWith()
