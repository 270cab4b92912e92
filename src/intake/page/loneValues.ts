/** Values of lines with a single point, written beside the point: such a line has no shape that an axis could explain. */
import uPlot from "uplot"
import * as Format from "./format.js"
import { findLoneValue } from "./lines.js"
import type { Drawing } from "./plotOptions.js"

/** Maximum number of lines whose values are written. */
const maxLines = 3

/** Writes the values with their units. Lines of percentiles have one value in common, which is written once. */
export const drawLoneValues = (plot: uPlot, { frame, hidden, lines, palette, unit }: Drawing): void => {
  const { bbox, ctx } = plot
  const density = uPlot.pxRatio
  const texts = new Map<string, readonly [x: number, y: number]>()
  for (const { key, values } of lines) {
    const index = hidden.has(key) ? undefined : findLoneValue(values)
    if (index === undefined) continue
    const value = values[index]!
    const time = frame.from + index * frame.step
    texts.set(Format.joined(Format.value(value, unit)), [
      plot.valToPos(time, "x", true),
      plot.valToPos(value, "y", true)
    ])
  }
  if (texts.size > maxLines) return
  ctx.save()
  ctx.font = `600 ${12 * density}px system-ui, sans-serif`
  ctx.fillStyle = palette.text
  ctx.textAlign = "left"
  ctx.textBaseline = "middle"
  for (const [text, [x, y]] of texts) {
    const width = ctx.measureText(text).width
    const right = x + 8 * density
    const left = right + width <= bbox.left + bbox.width ? right : x - 8 * density - width
    ctx.fillText(text, left, Math.max(bbox.top + 8 * density, y))
  }
  ctx.restore()
}
