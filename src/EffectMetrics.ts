/**
 * Reports Effect's own metrics with `ThreadStats`. Everything that a program or a library counts with `Metric.counter`,
 * `Metric.trackDuration`, `Effect.withMetric` or the fiber metrics of the runtime reaches Datadog with one line.
 *
 * ```ts
 * import { Layer } from "effect"
 * import { EffectMetrics, ThreadStats } from "effect-threadstats"
 *
 * const layer = EffectMetrics.layer.pipe(Layer.provideMerge(ThreadStats.layer))
 * ```
 *
 * Updates of a metric cost nothing more than without this module. At the start of a flush it reads the registry, and records the changes
 * since the last flush with the current time. A periodic flush sends closed buckets only, so these changes leave with the flush after it.
 *
 * | Effect | Datadog |
 * |---|---|
 * | counter | a counter of the increments, which may be negative |
 * | gauge | a gauge, when it changes, and again after a while ({@link EffectMetricsOptions.gaugeInterval}) |
 * | histogram, timer | a distribution ({@link EffectMetricsOptions.histograms}) |
 * | frequency | a counter for each word, with the word in the tag `key` |
 * | summary | gauges for each quantile that has a value (`.95percentile`), and `.min` and `.max` of all time; counters `.count`, `.sum` |
 *
 * **Increments are not lost.** The client keeps recorded increments until it delivers them. The first increments contain everything from
 * before the layer was built. Two layers over two clients report everything to both. Build the layer together with the client, and once per
 * client: a layer that is provided to every request reports everything for every request.
 *
 * **Histograms.** Effect stores no values, but their number between two boundaries. The distribution gets the same number of values,
 * spread evenly between the boundaries so that they add up to the sum of the histogram. These are exact: the number of values, in all and
 * between two boundaries, their sum except for rounding, and a new minimum or maximum. Percentiles are exact to the boundaries around
 * them. `Metric.timer` doubles its boundaries from half a millisecond on, and `Metric.timerWithBoundaries` takes closer ones. Beyond
 * {@link EffectMetricsOptions.histogramValues} values, percentiles, average, minimum and maximum stay correct, and count and sum at
 * Datadog are too small. Timers record milliseconds, and have the tag `time_unit`.
 *
 * **Names.** Characters other than ASCII letters, digits, `_` and `.` become `_`. Leading `_` and `.` are removed, and a leading digit gets
 * the prefix `metric_`. The client drops and counts a name of which nothing remains, or with more than 200 characters. Metrics that get the
 * same name cause one warning. Metrics with the same name and tags add up, except gauges: the one that changed last is reported.
 *
 * **Tags.** A label becomes the tag `key:value`, cut to 200 characters, and one warning names its metric. A label without a value becomes its key.
 *
 * Effect's registry never forgets a metric. This module stores one number for each, and one for each boundary of a histogram.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as MetricKey from "effect/MetricKey"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as GaugeTargets from "./internal/effectMetrics/gaugeTargets.js"
import { type EffectMetricsOptions, findInvalidOptions } from "./internal/effectMetrics/options.js"
import * as Registry from "./internal/effectMetrics/registry.js"
import { noopSink } from "./internal/effectMetrics/sink.js"
import * as SeriesIdentity from "./internal/model/seriesIdentity.js"
import { logFrom } from "./internal/runtime/log.js"
import { ThreadStats } from "./ThreadStats.js"

export type {
  /**
   * Options of this module.
   *
   * @since 0.1.0
   * @category models
   */
  EffectMetricsOptions,
  /**
   * Form in which Effect's histograms are reported.
   *
   * @since 0.1.0
   * @category models
   */
  HistogramForm
} from "./internal/effectMetrics/options.js"

const isActiveFibers = ({ name }: MetricKey.MetricKey.Untyped): boolean => name === "effect_fiber_active"

const defaultHistogramValues = 10_000

/**
 * Reports the metrics of this process with the client of this scope: at every flush, and once more when the scope closes. Problems are
 * logged as warnings. They change neither the flush nor the program, and neither does a logger that throws.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (options?: EffectMetricsOptions) => Effect.Effect<void, never, ThreadStats | Scope.Scope> = Effect
  .fnUntraced(function*(options: EffectMetricsOptions = {}) {
    const client = yield* ThreadStats
    const { disabled, percentiles, periodicFlush, rollUpInterval } = client.config
    if (disabled) return
    const invalid = findInvalidOptions(options)
    if (invalid.length > 0) {
      yield* logFrom("EffectMetrics")(Effect.logWarning(
        `Ignored invalid options of EffectMetrics: ${invalid.join(", ")}. Their defaults apply. Correct or remove them`
      ))
    }
    const runFork = Runtime.runFork(yield* Effect.runtime())
    const gaugeInterval = Option.getOrElse(
      Duration.decodeUnknown(options.gaugeInterval),
      () => periodicFlush ? rollUpInterval : Duration.minutes(1)
    )
    const { asGauge = isActiveFibers, histogramValues = defaultHistogramValues } = options
    const histograms = options.histograms === undefined || invalid.includes("histograms")
      ? "distribution"
      : options.histograms
    const gauges = GaugeTargets.make(
      yield* Effect.clock,
      Duration.toMillis(gaugeInterval),
      SeriesIdentity.make(client.config)
    )
    const registry = Registry.make(options, {
      gauges,
      asGauge,
      histograms,
      histogramValues: histogramValues >= 1 ? Math.floor(histogramValues) : defaultHistogramValues,
      percentiles
    })

    if (options.since === "layer") registry.publish(noopSink)

    yield* client.onFlush(() => {
      registry.publish(client)
      gauges.report(client)
      // A fiber per flush would count in the fiber metrics, and every flush would have something to send.
      if (registry.hasProblems()) runFork(registry.logProblems)
    })
  })

/**
 * Reports Effect's metrics as the options say. See {@link make}.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (options?: EffectMetricsOptions): Layer.Layer<never, never, ThreadStats> =>
  Layer.scopedDiscard(make(options))

/**
 * Reports all of Effect's metrics in the forms of the table above.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<never, never, ThreadStats> = /*#__PURE__*/ layerWith()
