/** Detail of the chosen metric: its plot, legend, histogram and series. */
import * as LogHistogram from "../logHistogram.js"
import { DetailControls } from "./detailControls.js"
import { DistributionSteps, statistics } from "./distributionSteps.js"
import { h, lineColors, nameText, type Palette, setAttribute, setText } from "./dom.js"
import * as Format from "./format.js"
import { groupSeries, selectLargest, type SeriesGroup, tagKeysOf } from "./grouping.js"
import { Legend, type LegendLine } from "./legend.js"
import {
  aggregations,
  chooseStep,
  earliestTime,
  estimateInterval,
  type Frame,
  latestTime,
  makeLine,
  spanOfData
} from "./lines.js"
import { MetricHeader } from "./metricHeader.js"
import { Plot } from "./plot.js"
import { SeriesList } from "./seriesList.js"
import type { Metric, State } from "./state.js"
import { ValueHistogram } from "./valueHistogram.js"

const maxSteps = 600
const maxLines = lineColors
const maxEvents = 100

/** Time for merging the steps of a distribution in one animation frame, in milliseconds. */
const mergeBudget = 8

/** Width and opacity of the percentile lines: important percentiles are more visible. */
const statisticStyles: {
  readonly [S in (typeof statistics)[number]]: { readonly width: number; readonly opacity: number }
} = {
  min: { width: 1, opacity: 40 },
  p50: { width: 2.25, opacity: 100 },
  p75: { width: 1, opacity: 60 },
  p95: { width: 1.75, opacity: 90 },
  p99: { width: 1, opacity: 60 },
  max: { width: 1, opacity: 40 }
}

export interface DetailOptions {
  readonly palette: () => Palette
  /** End of the time window, in seconds since the epoch. */
  readonly now: () => number
  readonly onBack: () => void
  readonly onChange: () => void
}

export class Detail {
  private readonly state: State
  private readonly options: DetailOptions
  private readonly header: MetricHeader
  private readonly controls: DetailControls
  private readonly caption = h("p", { class: "caption" })
  private readonly plotBox = h("div", { class: "plot", role: "img", id: "plot" })
  private readonly plotNote = h("p", { class: "plot-note" })
  private readonly plot: Plot
  private readonly legend: Legend
  private readonly histogram = new ValueHistogram()
  private readonly seriesList = new SeriesList()
  /** Keys of the lines that the reader hides. */
  private readonly hidden = new Set<string>()
  /** Indices of line colors by label. A label keeps its color while it is shown. */
  private readonly colors = new Map<string, number>()
  private metric: Metric | undefined
  private renderedSeriesRevision = -1
  private groups: ReadonlyArray<SeriesGroup> = []
  private frame: Frame = { from: 0, step: 1, steps: 1 }
  private steps: ReadonlyArray<DistributionSteps> = []
  /** Groups and step length that `steps` belongs to. */
  private stepsIdentity = ""
  private lines: ReadonlyArray<LegendLine> = []
  /** Index of the step under the cursor. */
  private cursor: number | undefined

  constructor(root: HTMLElement, state: State, options: DetailOptions) {
    this.state = state
    this.options = options
    this.header = new MetricHeader(options.onBack)
    this.controls = new DetailControls({
      onChange: options.onChange,
      onSplit: () => {
        this.hidden.clear()
        this.colors.clear()
        this.renderedSeriesRevision = -1
      }
    })
    this.plot = new Plot(this.plotBox, {
      onCursor: (index) => {
        this.cursor = index
        this.showLegendValues()
      },
      onZoom: (zoom) => {
        this.controls.zoom = zoom
        options.onChange()
      }
    })
    this.legend = new Legend((key) => {
      if (!this.hidden.delete(key)) this.hidden.add(key)
      options.onChange()
    })
    root.append(
      this.header.root,
      this.header.verdicts,
      this.controls.root,
      this.caption,
      h("div", { class: "plot-box" }, this.plotBox, this.plotNote),
      this.legend.root,
      this.histogram.root,
      this.seriesList.root
    )
  }

  /** Chooses the metric for the next refresh. */
  show(metric: Metric | undefined): void {
    const previous = this.metric
    if (metric === previous) return
    if (previous !== undefined) previous.onDistributionChange = undefined
    this.metric = metric
    this.renderedSeriesRevision = -1
    this.stepsIdentity = ""
    // The state creates a new metric for the same key after a snapshot.
    if (metric !== undefined && previous?.key === metric.key) return
    this.controls.zoom = undefined
    this.cursor = undefined
    this.hidden.clear()
    this.colors.clear()
  }

  /** Renders the metric. Returns false if steps of a distribution are not merged yet. */
  refresh(): boolean {
    const { metric } = this
    if (metric === undefined) return true
    const palette = this.options.palette()
    this.showSeries(metric)
    this.frame = this.frameOf(metric)
    const shown = selectLargest(this.groups, this.frame, maxLines)
    const isDistribution = metric.kind === "distribution"
    const isComplete = !isDistribution || this.mergeSteps(metric, shown)
    this.lines = this.makeLines(metric, shown, palette)
    this.controls.refresh(isDistribution)
    setText(this.caption, this.captionOf(metric, shown.length))
    this.drawPlot(metric, palette)
    this.showPlotNote(metric, isComplete)
    this.legend.showLines(
      JSON.stringify([metric.key, this.controls.split, palette.text]),
      this.lines,
      this.hidden
    )
    this.showLegendValues()
    this.seriesList.showValues(metric)
    this.showHistogram(metric, palette)
    return isComplete
  }

  resize(): void {
    this.plot.resize()
    if (this.metric !== undefined && this.steps.length > 0) this.showHistogram(this.metric, this.options.palette())
  }

  /** Renders the parts that depend on the series and not on their points. */
  private showSeries(metric: Metric): void {
    if (metric.seriesRevision === this.renderedSeriesRevision) return
    this.renderedSeriesRevision = metric.seriesRevision
    this.stepsIdentity = ""
    this.controls.setTagKeys(tagKeysOf(metric))
    this.groups = groupSeries(metric, this.controls.split)
    this.header.show(metric)
    this.seriesList.showSeries(metric)
  }

  private frameOf(metric: Metric): Frame {
    const { windowLength, zoom } = this.controls
    const now = this.options.now()
    let [from, to] = windowLength === undefined ? spanOfData(metric, now) : [now - windowLength, now]
    if (zoom !== undefined) [from, to] = [zoom.from, zoom.to]
    else if (windowLength === Infinity) from = Math.min(earliestTime(metric) ?? now, now - 60)
    // The clock of a client can be ahead of that of the intake.
    if (zoom === undefined) to = Math.max(to, Math.min(latestTime(metric) ?? now, now + 600))
    const step = chooseStep(to - from, estimateInterval(metric), maxSteps)
    const start = Math.floor(from / step) * step
    return { from: start, step, steps: Math.max(2, Math.floor(to / step) - start / step + 1) }
  }

  /** Merges steps of a distribution within the budget. Returns whether all steps are merged. */
  private mergeSteps(metric: Metric, shown: ReadonlyArray<SeriesGroup>): boolean {
    const { frame } = this
    const labels = shown.map(({ label }) => label)
    const identity = JSON.stringify([metric.key, metric.seriesRevision, this.controls.split, frame.step, labels])
    if (this.stepsIdentity !== identity) {
      this.stepsIdentity = identity
      const steps = shown.map(({ series }) => new DistributionSteps(series, frame.step))
      this.steps = steps
      metric.onDistributionChange = (timestamp) => {
        for (const merged of steps) merged.invalidate(timestamp)
      }
    }
    const deadline = performance.now() + mergeBudget
    return this.steps.map((steps) => steps.fill(frame, () => performance.now() < deadline)).every((isDone) => isDone)
  }

  private makeLines(
    metric: Metric,
    shown: ReadonlyArray<SeriesGroup>,
    palette: Palette
  ): ReadonlyArray<LegendLine> {
    const { frame, steps } = this
    const { split, statistic } = this.controls
    if (metric.kind === "distribution" && split === undefined) {
      return statistics.map((name) => ({
        key: name,
        label: name,
        color: `color-mix(in srgb, ${palette.accent} ${statisticStyles[name].opacity}%, transparent)`,
        width: statisticStyles[name].width,
        values: steps[0]!.makeLine(name, frame)
      }))
    }
    const labels = new Set(shown.map(({ label }) => label ?? ""))
    return shown.map(({ label, series }, i) => ({
      key: label ?? "",
      label: label === undefined
        ? metric.series.size === 1 ? "value" : aggregations[metric.kind].space
        : nameText(label, ""),
      color: label === undefined ? palette.accent : palette.lines[this.colorOf(label, labels)]!,
      width: label === undefined ? 1.75 : 1.5,
      values: metric.kind === "distribution"
        ? steps[i]!.makeLine(statistic, frame)
        : makeLine(metric.kind, series, frame, this.options.now())
    }))
  }

  /** Returns the color of a label. A new label gets the first color that no shown label has. */
  private colorOf(label: string, shown: ReadonlySet<string>): number {
    const { colors } = this
    for (const known of colors.keys()) {
      if (!shown.has(known)) colors.delete(known)
    }
    const known = colors.get(label)
    if (known !== undefined) return known
    const used = new Set(colors.values())
    let color = 0
    while (used.has(color)) color++
    colors.set(label, color)
    return color
  }

  private captionOf({ kind, series }: Metric, shown: number): string {
    const { split, statistic } = this.controls
    const { space, time } = aggregations[kind]
    const every = `every ${Format.span(this.frame.step)}`
    const values = kind === "distribution" ? every : `${time} of ${every}`
    if (split === undefined && kind !== "distribution") {
      return series.size === 1
        ? Format.capital(values)
        : `${Format.capital(space)} of ${Format.plural(series.size, "series", "series")}: ${values}`
    }
    if (split === undefined) {
      return `Percentiles of all values of ${Format.plural(series.size, "series", "series")}, ${every}`
    }
    const subject = kind === "distribution" ? `${statistic} of all values` : Format.capital(space)
    const total = this.groups.length
    const part = shown < total ? `, the ${shown} largest of ${Format.count(total)}` : ""
    return `${subject} of the series by ${Format.visible(split)}${part}${kind === "distribution" ? "," : ":"} ${values}`
  }

  private drawPlot(metric: Metric, palette: Palette): void {
    const { controls, frame } = this
    const isDistribution = metric.kind === "distribution"
    const end = Math.min(frame.from + frame.step * frame.steps, this.options.now() + frame.step)
    this.plot.draw({
      frame,
      unit: this.unitOf(metric),
      lines: this.lines,
      hasBands: isDistribution && controls.split === undefined,
      includesZero: metric.kind === "count" || metric.kind === "rate" || isDistribution,
      isLog: controls.isLog,
      hidden: this.hidden,
      events: [...this.state.events.values()]
        .filter(({ timestamp }) => timestamp >= frame.from && timestamp <= end)
        .slice(-maxEvents),
      palette
    })
    const length = Format.span(frame.step * frame.steps)
    const label = `Plot of ${Format.visible(metric.name)} over ${length}; the values are in the table below`
    setAttribute(this.plotBox, "aria-label", label)
  }

  private showPlotNote(metric: Metric, isComplete: boolean): void {
    const hasValues = this.lines.some(({ values }) => values.some((value) => typeof value === "number"))
    this.plotNote.hidden = hasValues || !isComplete
    if (this.plotNote.hidden) return
    const latest = latestTime(metric)
    setText(
      this.plotNote,
      latest === undefined
        ? "This metric has no points."
        : `No points in this time range. The latest point is from ${new Date(latest * 1000).toLocaleString("en-GB")}.`
    )
  }

  private showLegendValues(): void {
    if (this.metric !== undefined) {
      this.legend.showValues(this.lines, this.unitOf(this.metric), this.frame, this.cursor)
    }
  }

  private showHistogram(metric: Metric, palette: Palette): void {
    if (metric.kind !== "distribution") return this.histogram.hide()
    const total = LogHistogram.make()
    for (const steps of this.steps) LogHistogram.merge(total, steps.total(this.frame))
    this.histogram.show(total, metric.unit, palette)
  }

  private unitOf({ kind, unit }: Metric): string | null {
    const { split, statistic } = this.controls
    return kind === "distribution" && split !== undefined && statistic === "count"
      ? null
      : Format.unitOf({ kind, unit })
  }
}
