/**
 * Roll-ups: the content of one series in one bucket, and the types of recorded and reported values.
 *
 * @since 0.1.0
 */
export type {
  /**
   * Minimum, maximum, sum, count and sampled values of a histogram as plain JSON.
   *
   * @since 0.1.0
   * @category models
   */
  HistogramState,
  /**
   * One number to report. `suffix` follows the metric's name after a dot; empty means no suffix.
   *
   * @since 0.1.0
   * @category models
   */
  Point,
  /**
   * Recorded values. Each stands for `weight` recorded values: 1, or more if a histogram received more values than it
   * stores.
   *
   * @since 0.1.0
   * @category models
   */
  Samples,
  /**
   * Content of a roll-up as plain JSON: a counter's sum, a gauge's last value, a set's members, a distribution's values, or
   * a histogram's state.
   *
   * @since 0.1.0
   * @category models
   */
  State,
  /**
   * A recorded value: a number, or for a set any string or number.
   *
   * @since 0.1.0
   * @category models
   */
  Value
} from "./internal/model/AggregatedSeries.js"

export type {
  /**
   * Kind of a metric. A `timing` is a `histogram` under another name, as in the reference.
   *
   * @since 0.1.0
   * @category models
   */
  Kind
} from "./internal/model/metricKinds.js"

export {
  /**
   * Returns true if points of this kind are sent as values of a distribution. Datadog adds such values up over all senders.
   *
   * @since 0.1.0
   * @category predicates
   */
  isAdditive
} from "./internal/model/metricKinds.js"

export type {
  /**
   * Content of one series in one bucket.
   *
   * @since 0.1.0
   * @category models
   */
  RollUp
} from "./internal/aggregation/rollUp.js"

export {
  /**
   * Creates a function that creates roll-ups of one configuration, empty or with the state of another roll-up.
   *
   * @since 0.1.0
   * @category constructors
   */
  makeRollUpFactory as factory,
  /**
   * Settings that all roll-ups of a factory share.
   *
   * @since 0.1.0
   * @category models
   */
  type RollUpOptions as Options
} from "./internal/aggregation/rollUpFactory.js"

export {
  /**
   * Returns the length of the longest suffix after the name of a metric of this kind, in characters with its dot.
   *
   * @since 0.1.0
   * @category metadata
   */
  maxSuffixLength
} from "./internal/aggregation/summary.js"
