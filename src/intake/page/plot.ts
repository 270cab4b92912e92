/** Plot of lines over time, with bands between percentiles and marks of events. */
import uPlot from "uplot"
import { h } from "./dom.js"
import { drawEventMarks, updateTooltip } from "./eventLayer.js"
import type { LineValue } from "./lines.js"
import { drawLoneValues } from "./loneValues.js"
import { type Drawing, makePlotOptions, plotHeight } from "./plotOptions.js"

export interface PlotOptions {
  /** Called with the index of the step under the cursor; with `undefined` when the cursor leaves the plot. */
  readonly onCursor: (index: number | undefined) => void
  /** Called with the selected span in seconds; with `undefined` to reset the zoom. */
  readonly onZoom: (span: { readonly from: number; readonly to: number } | undefined) => void
}

/** Replaces values that a logarithmic scale cannot show. */
const toPositive = (value: LineValue): LineValue => typeof value === "number" && value <= 0 ? null : value

export class Plot {
  private readonly parent: HTMLElement
  private readonly options: PlotOptions
  private readonly tooltip = h("div", { class: "tooltip", role: "tooltip", hidden: true })
  private drawing: Drawing | undefined
  private plot: uPlot | undefined
  /** Properties that uPlot cannot change after the plot is created. */
  private fixedProperties = ""

  constructor(parent: HTMLElement, options: PlotOptions) {
    this.parent = parent
    this.options = options
  }

  draw(drawing: Drawing): void {
    const fixedProperties = JSON.stringify([
      drawing.isLog,
      drawing.hasBands,
      drawing.palette,
      drawing.lines.map(({ color, key }) => [key, color])
    ])
    this.drawing = drawing
    if (this.plot === undefined || fixedProperties !== this.fixedProperties) {
      this.fixedProperties = fixedProperties
      this.plot = this.create()
    }
    const { plot } = this
    const { frame, hidden, isLog, lines } = drawing
    const times = Array.from({ length: frame.steps }, (_, i) => frame.from + i * frame.step)
    plot.batch(() => {
      lines.forEach(({ key }, i) => {
        if (plot.series[i + 1]!.show === hidden.has(key)) plot.setSeries(i + 1, { show: !hidden.has(key) })
      })
      plot.setData([times, ...lines.map(({ values }) => isLog ? values.map(toPositive) : values)])
    })
  }

  resize(): void {
    const width = this.width()
    if (this.plot !== undefined && this.plot.width !== width) this.plot.setSize({ width, height: plotHeight })
  }

  private width(): number {
    return Math.max(200, Math.floor(this.parent.clientWidth))
  }

  private create(): uPlot {
    this.plot?.destroy()
    const plot = new uPlot(makePlotOptions(() => this.drawing!, this.width(), {
      onDraw: (self) => {
        drawEventMarks(self, this.drawing!.events, this.drawing!.palette)
        drawLoneValues(self, this.drawing!)
      },
      onCursor: (self) => {
        this.options.onCursor(self.cursor.idx ?? undefined)
        updateTooltip(this.tooltip, self, this.drawing!.events, this.parent.clientWidth)
      },
      onZoom: this.options.onZoom
    }))
    this.parent.replaceChildren(plot.root, this.tooltip)
    return plot
  }
}
