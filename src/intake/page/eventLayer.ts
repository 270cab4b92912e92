/** Events on a plot: their marks, and the tooltip of the event under the cursor. */
import uPlot from "uplot"
import type { EventRow } from "../feedProtocol.js"
import { h, outsideText, type Palette } from "./dom.js"
import { mergeMarks } from "./eventMarks.js"
import * as Format from "./format.js"

/** Maximum distance between the cursor and an event with a tooltip, in pixels. */
const tooltipDistance = 6

/** Minimum distance between two marks, in pixels. */
const markGap = 12

/** Width of the tooltip, in pixels. */
const tooltipWidth = 184

/** Draws dashed lines with a triangle at the times of the events. */
export const drawEventMarks = (plot: uPlot, events: ReadonlyArray<EventRow>, palette: Palette): void => {
  const { bbox, ctx } = plot
  const density = uPlot.pxRatio
  const marks = events
    .map(({ alertType, timestamp }) => [Math.round(plot.valToPos(timestamp, "x", true)), alertType] as const)
    .filter(([x]) => x >= bbox.left && x <= bbox.left + bbox.width)
  const bottom = bbox.top + bbox.height
  ctx.save()
  for (const [x, alertType] of mergeMarks(marks, markGap * density)) {
    ctx.strokeStyle = ctx.fillStyle = palette.alert[alertType] ?? palette.alert["info"]!
    ctx.lineWidth = density
    ctx.setLineDash([2 * density, 3 * density])
    ctx.beginPath()
    ctx.moveTo(x, bbox.top)
    ctx.lineTo(x, bottom)
    ctx.stroke()
    ctx.beginPath()
    ctx.moveTo(x, bottom - 7 * density)
    ctx.lineTo(x + 5 * density, bottom)
    ctx.lineTo(x - 5 * density, bottom)
    ctx.fill()
  }
  ctx.restore()
}

/** Finds the event next to the cursor, and the number of other events near it. */
const findEvent = (
  plot: uPlot,
  events: ReadonlyArray<EventRow>
): { readonly event: EventRow; readonly others: number } | undefined => {
  const left = plot.cursor.left ?? -1
  if (left < 0) return undefined
  const near = events
    .map((event) => ({ event, distance: Math.abs(plot.valToPos(event.timestamp, "x") - left) }))
    .filter(({ distance }) => distance <= tooltipDistance)
    .sort((a, b) => a.distance - b.distance)
  return near.length === 0 ? undefined : { event: near[0]!.event, others: near.length - 1 }
}

/** Shows the event under the cursor in the tooltip, or hides the tooltip. */
export const updateTooltip = (
  tooltip: HTMLElement,
  plot: uPlot,
  events: ReadonlyArray<EventRow>,
  plotWidth: number
): void => {
  const found = findEvent(plot, events)
  tooltip.hidden = found === undefined
  if (found === undefined) return
  const { event: { alertType, timestamp, title }, others } = found
  tooltip.replaceChildren(
    h("strong", {}, outsideText(title)),
    h("span", { class: "dim" }, `${Format.clock(timestamp * 1000)} · `, outsideText(alertType)),
    ...others > 0 ? [h("span", { class: "dim" }, `and ${Format.plural(others, "event")} more`)] : []
  )
  const x = plot.valToPos(timestamp, "x") + plot.over.offsetLeft
  tooltip.style.left = `${Math.min(Math.max(0, x - tooltipWidth / 2), Math.max(0, plotWidth - tooltipWidth))}px`
}
