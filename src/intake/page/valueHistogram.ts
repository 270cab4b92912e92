/** Histogram of the values of the chosen distribution, with its quantiles. */
import { type LogHistogram, quantilesOf } from "../logHistogram.js"
import { h, type Palette, setAttribute, setText } from "./dom.js"
import * as Format from "./format.js"
import { drawHistogram } from "./histogramCanvas.js"
import { layOutColumns } from "./histogramColumns.js"

/** Number of columns. */
const columnCount = 72

export class ValueHistogram {
  readonly root: HTMLElement
  private readonly canvas = h("canvas", { class: "histogram", role: "img" })
  private readonly note = h("span", { class: "dim" })

  constructor() {
    this.root = h(
      "section",
      { class: "histogram-box" },
      h("h3", {}, "Values in this time range ", this.note),
      this.canvas
    )
  }

  hide(): void {
    this.root.hidden = true
  }

  show(histogram: LogHistogram, unit: string | null, palette: Palette): void {
    const { canvas, note } = this
    this.root.hidden = false
    const columns = layOutColumns(histogram, columnCount)
    // A single column would be as wide as the page.
    canvas.hidden = columns === undefined || histogram.min === histogram.max
    if (columns === undefined) return setText(note, "none")
    const [p50, p75, p95, p99] = quantilesOf(histogram, [0.5, 0.75, 0.95, 0.99]) as [number, number, number, number]
    const format = (value: number) => Format.joined(Format.value(value, unit))
    const { count, max, min, sum } = histogram
    setText(
      note,
      `${Format.count(count)}, mean ${format(sum / count)}, sum ${format(sum)}` +
        (columns.scale === "log" ? ", logarithmic axis" : "")
    )
    setAttribute(
      canvas,
      "aria-label",
      `Histogram from ${format(min)} to ${format(max)}; half are below ${format(p50)}, 95 % below ${format(p95)}`
    )
    const marks = [
      { label: "p50", value: p50 },
      { label: "p75", value: p75 },
      { label: "p95", value: p95 },
      { label: "p99", value: p99 }
    ]
    drawHistogram(canvas, columns, marks, unit, palette)
  }
}
