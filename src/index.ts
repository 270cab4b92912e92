/**
 * @since 0.1.0
 */
export * as ApiKey from "./ApiKey.js"

/**
 * @since 0.1.0
 */
export * as AutoReporter from "./AutoReporter.js"

/**
 * @since 0.1.0
 */
export * as DogStatsDReporter from "./DogStatsDReporter.js"

/**
 * @since 0.1.0
 */
export * as EffectMetrics from "./EffectMetrics.js"

/**
 * @since 0.1.0
 */
export * as Event from "./Event.js"

/**
 * @since 0.1.0
 */
export * as EventsAggregator from "./EventsAggregator.js"

/**
 * @since 0.1.0
 */
export * as HttpReporter from "./HttpReporter.js"

/**
 * @since 0.1.0
 */
export * as Lambda from "./Lambda.js"

/**
 * @since 0.1.0
 */
export * as LambdaExtension from "./LambdaExtension.js"

/**
 * @since 0.1.0
 */
export * as LambdaRuntime from "./LambdaRuntime.js"

/**
 * @since 0.1.0
 */
export * as LambdaStream from "./LambdaStream.js"

/**
 * @since 0.1.0
 */
export * as LocalIntake from "./LocalIntake.js"

/**
 * @since 0.1.0
 */
export * as LogReporter from "./LogReporter.js"

/**
 * @since 0.1.0
 */
export * as MetricsAggregator from "./MetricsAggregator.js"

/**
 * @since 0.1.0
 */
export * as Reporter from "./Reporter.js"

/**
 * @since 0.1.0
 */
export * as RetainedStore from "./RetainedStore.js"

/**
 * @since 0.1.0
 */
export * as RollUp from "./RollUp.js"

/**
 * @since 0.1.0
 */
export * as Series from "./Series.js"

/**
 * @since 0.1.0
 */
export * as ThreadStats from "./ThreadStats.js"

/**
 * @since 0.1.0
 */
export * as ThreadStatsConfig from "./ThreadStatsConfig.js"
