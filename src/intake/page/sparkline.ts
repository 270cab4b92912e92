/** Sparklines: the latest values of a metric, for its row in the list. */
import { DistributionSteps } from "./distributionSteps.js"
import { chooseStep, estimateInterval, type Frame, latestTime, type LineValue, makeLine } from "./lines.js"
import type { Metric } from "./state.js"

/** Returns one value per interval up to the latest point; the medians of a distribution. */
export const makeSparkline = (metric: Metric, steps: number, now: number): ReadonlyArray<LineValue> => {
  const latest = latestTime(metric)
  if (latest === undefined) return []
  const step = chooseStep(0, estimateInterval(metric), 1)
  const frame: Frame = { from: (Math.floor(latest / step) - steps + 1) * step, step, steps }
  const series = [...metric.series]
  if (metric.kind !== "distribution") return makeLine(metric.kind, series, frame, now)
  const merged = new DistributionSteps(series, step)
  merged.fill(frame, () => true)
  return merged.makeLine("p50", frame)
}

/** Returns the last number of a line. */
export const lastNumber = (values: ReadonlyArray<LineValue>): number | undefined =>
  values.findLast((value) => typeof value === "number")
