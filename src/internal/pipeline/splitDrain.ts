import * as Effect from "effect/Effect"
import type { AggregatedSeries } from "../model/AggregatedSeries.js"
import { emptyReceipt, type Receipt, ReporterError, type SeriesBatch } from "../model/Delivery.js"
import type { Enrichment } from "../model/Enrichment.js"
import { isScalar, metricKinds } from "../model/metricKinds.js"
import { oneTurn } from "../runtime/eventLoop.js"

/**
 * Encoding work that is done before the event loop turns, in values: about 2 ms. One line costs as much as
 * `lineWork` values.
 */
const sliceWork = 16_000
const lineWork = 8

const workOf = ({ kind, recorded }: AggregatedSeries): number => lineWork + (isScalar(metricKinds[kind]) ? 1 : recorded)

/** Series of one batch: all those drained for it, in order, of which the reporter has pulled the first ones. */
export class DrainedPart {
  readonly drained: Array<AggregatedSeries> = []
  private pulledCount = 0
  /** True once the reporter has pulled the end of the batch. It sends nothing before. */
  isComplete = false

  /** Series that the reporter has pulled. */
  get pulled(): ReadonlyArray<AggregatedSeries> {
    return this.pulledCount === this.drained.length ? this.drained : this.drained.slice(0, this.pulledCount)
  }

  /** Series that were drained for the reporter, which did not pull them. */
  get waiting(): ReadonlyArray<AggregatedSeries> {
    return this.drained.slice(this.pulledCount)
  }

  get hasPulled(): boolean {
    return this.pulledCount > 0
  }

  get hasWaiting(): boolean {
    return this.pulledCount < this.drained.length
  }

  takeWaiting(): ReadonlyArray<AggregatedSeries> {
    const { waiting } = this
    this.pulledCount = this.drained.length
    return waiting
  }
}

/** One drain of the aggregator for two batches: one of series, one of distributions. */
export class SplitDrain {
  readonly series = new DrainedPart()
  readonly distributions = new DrainedPart()
  private isEnded = false
  private readonly options: {
    readonly next: () => ReadonlyArray<AggregatedSeries> | undefined
    readonly isDistribution: (series: AggregatedSeries) => boolean
    readonly isInTime: () => boolean
    readonly enrichment: Enrichment
  }

  constructor(options: SplitDrain["options"]) {
    this.options = options
    this.drainSlice()
  }

  /** True if neither batch has a series, now or later. */
  get isEmpty(): boolean {
    return this.isEnded && this.series.drained.length === 0 && this.distributions.drained.length === 0
  }

  /** True if the batch has no series, now or later. */
  isEmptyPart(part: DrainedPart): boolean {
    return this.isEnded && part.drained.length === 0
  }

  private drainSlice(): void {
    const { isDistribution, next } = this.options
    for (let work = sliceWork; work > 0;) {
      const drained = next()
      if (drained === undefined) {
        this.isEnded = true
        return
      }
      for (const series of drained) {
        const part = isDistribution(series) ? this.distributions : this.series
        part.drained.push(series)
        work -= workOf(series)
      }
    }
  }

  /** Runs a report once the batch has a series. Does not run it if the drain ends, or the time is over, without one. */
  report(
    part: DrainedPart,
    endpoint: string,
    report: (batch: SeriesBatch) => Effect.Effect<Receipt, ReporterError>
  ): Effect.Effect<Receipt, ReporterError> {
    if (part.hasWaiting) return report(this.batch(part, endpoint))
    if (this.isEnded || !this.options.isInTime()) return Effect.succeed(emptyReceipt)
    return Effect.zipRight(
      oneTurn,
      Effect.suspend(() => {
        if (!part.hasWaiting && !this.isEnded) this.drainSlice()
        return this.report(part, endpoint, report)
      })
    )
  }

  /** Returns the batch of one part, as its reporter pulls it. */
  private batch(part: DrainedPart, endpoint: string): SeriesBatch {
    const { enrichment, isInTime } = this.options
    const noTimeLeft = () =>
      new ReporterError({
        reason: "Timeout",
        endpoint,
        description: "no time left to send it",
        undelivered: part.pulled,
        refused: [],
        ambiguous: [],
        receipt: emptyReceipt
      })
    const end = Effect.sync((): ReadonlyArray<AggregatedSeries> => {
      part.isComplete = true
      return []
    })
    const pullLater: Effect.Effect<ReadonlyArray<AggregatedSeries>, ReporterError> = Effect.zipRight(
      oneTurn,
      Effect.suspend(() => {
        if (!isInTime()) return Effect.fail(noTimeLeft())
        if (!part.hasWaiting && !this.isEnded) this.drainSlice()
        if (part.hasWaiting) return Effect.succeed(part.takeWaiting())
        return this.isEnded ? end : pullLater
      })
    )
    return {
      enrichment,
      pull: Effect.suspend(() => {
        if (part.hasWaiting) return part.hasPulled ? pullLater : Effect.succeed(part.takeWaiting())
        return this.isEnded ? end : pullLater
      })
    }
  }
}
