import * as Duration from "effect/Duration"
import type * as MetricKey from "effect/MetricKey"
import * as Option from "effect/Option"
import { findUnknownOption } from "../config/unknownOption.js"
import type { Tags } from "../model/tags.js"

/**
 * Form in which Effect's histograms are reported.
 *
 * - `"distribution"`: as a distribution. Datadog computes its percentiles over all senders.
 * - `"aggregates"`: as counters `.count` and `.sum`, which are exact, and as gauges `.min`, `.max` and the client's `percentiles` (for
 *   instance `.95percentile`) of this process since the last flush. The boundaries limit the accuracy of the gauges.
 * - `"both"`: as both of these.
 */
export type HistogramForm = "distribution" | "aggregates" | "both"

/**
 * Options of `EffectMetrics`. Each function is called once for each metric. If one throws, its metric is left out, and one warning names it.
 * An invalid option has no effect, and one warning names all of them.
 */
export interface EffectMetricsOptions {
  /** Selects the metrics to report. Default: all. */
  readonly filter?: ((key: MetricKey.MetricKey.Untyped) => boolean) | undefined
  /** Returns another name, to which the rules for names apply too. Default: the metric's own name. */
  readonly rename?: ((name: string, key: MetricKey.MetricKey.Untyped) => string) | undefined
  /** Returns the tags in place of the labels. The tag `key` of a frequency is added. Default: the labels. */
  readonly tags?: ((tags: ReadonlyArray<string>, key: MetricKey.MetricKey.Untyped) => Tags) | undefined
  /**
   * Selects counters to report as gauges with their value instead of their increments. It applies to counters that are not
   * `incremental`. Default: `effect_fiber_active`, of the fiber metrics of Effect's runtime.
   */
  readonly asGauge?: ((key: MetricKey.MetricKey.Untyped) => boolean) | undefined
  /**
   * Time after which an unchanged gauge is reported again. Datadog connects points that are up to 300 seconds apart. Zero reports it with
   * every flush, `Duration.infinity` never again. Default: the client's roll-up interval, or a minute
   * if the client does not flush periodically, for instance on Lambda.
   */
  readonly gaugeInterval?: Duration.DurationInput | undefined
  /** Form in which histograms are reported. Default: `"distribution"`. */
  readonly histograms?: HistogramForm | undefined
  /**
   * Maximum number of values of one histogram that one flush records. A value costs about as much as one that the program records.
   * Default: 10,000.
   */
  readonly histogramValues?: number | undefined
  /**
   * Start of the first increments: the `"process"`, or the `"layer"`, for a client that is not the first one of its process. Default:
   * `"process"`.
   */
  readonly since?: "process" | "layer" | undefined
}

const names: ReadonlyArray<keyof EffectMetricsOptions> = [
  "filter",
  "rename",
  "tags",
  "asGauge",
  "gaugeInterval",
  "histograms",
  "histogramValues",
  "since"
]

const isOneOf = (...words: ReadonlyArray<unknown>) => (value: unknown): boolean => words.includes(value)

const isValid: { readonly [Name in keyof EffectMetricsOptions]?: (value: unknown) => boolean } = {
  gaugeInterval: (value) => Option.isSome(Duration.decodeUnknown(value)),
  histograms: isOneOf("distribution", "aggregates", "both"),
  histogramValues: (value) => typeof value === "number" && value >= 1,
  since: isOneOf("process", "layer")
}

/** Returns the names of the options that have no effect: those that do not exist, and those with an invalid value. */
export const findInvalidOptions = (options: EffectMetricsOptions): ReadonlyArray<string> => {
  const unknown = findUnknownOption(options, names)
  return [
    ...unknown === undefined ? [] : [unknown.name],
    ...names.filter((name) => options[name] !== undefined && isValid[name]?.(options[name]) === false)
  ]
}
