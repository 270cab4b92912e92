/** Drawing of a histogram on a canvas. */
import { type Palette, sizeCanvas } from "./dom.js"
import * as Format from "./format.js"
import type { HistogramColumns } from "./histogramColumns.js"

/** A labelled value on the axis. */
export interface HistogramMark {
  readonly label: string
  readonly value: number
}

/** Height below and above the columns, in pixels. */
const axisHeight = 20
const labelHeight = 16

/** Draws the columns, the axis and the marks. A mark whose label would overlap the one before has no label. */
export const drawHistogram = (
  canvas: HTMLCanvasElement,
  { counts, edges, scale }: HistogramColumns,
  marks: ReadonlyArray<HistogramMark>,
  unit: string | null,
  palette: Palette
): void => {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight]
  if (width === 0) return
  const context = sizeCanvas(canvas, width, height)
  const maxCount = Math.max(...counts)
  const baseline = height - axisHeight
  const columnWidth = width / counts.length
  context.fillStyle = palette.accent
  counts.forEach((count, i) => {
    if (count === 0) return
    const columnHeight = Math.max(1, (baseline - labelHeight) * count / maxCount)
    context.fillRect(i * columnWidth + 0.5, baseline - columnHeight, Math.max(1, columnWidth - 1), columnHeight)
  })
  context.fillStyle = palette.grid
  context.fillRect(0, baseline, width, 1)

  const [first, last] = [edges[0]!, edges[edges.length - 1]!]
  const toAxis = scale === "log" ? Math.log : (x: number) => x
  const xOf = (value: number) =>
    last === first ? width / 2 : width * (toAxis(value) - toAxis(first)) / (toAxis(last) - toAxis(first))
  const writeText = (text: string, x: number, y: number) => {
    const textWidth = context.measureText(text).width
    context.fillText(text, Math.min(Math.max(0, x - textWidth / 2), width - textWidth), y)
    return textWidth
  }
  context.font = "11px system-ui, sans-serif"
  context.fillStyle = palette.dim
  const ticks = width < 500 ? 3 : 5
  for (let i = 0; i < ticks; i++) {
    const part = i / (ticks - 1)
    const value = scale === "log" ? first * (last / first) ** part : first + (last - first) * part
    writeText(Format.tick(Number(value.toPrecision(3)), unit), part * width, height - 5)
  }
  let labelEnd = -Infinity
  for (const { label, value } of marks) {
    const x = xOf(value)
    context.fillStyle = palette.text
    context.fillRect(Math.round(x), labelHeight - 2, 1, baseline - labelHeight + 2)
    if (x - context.measureText(label).width / 2 < labelEnd) continue
    labelEnd = x + writeText(label, x, labelHeight - 5) / 2 + 6
  }
}
