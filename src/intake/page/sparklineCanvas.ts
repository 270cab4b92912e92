/** Drawing of a sparkline on a canvas. */
import { type Palette, sizeCanvas } from "./dom.js"
import type { LineValue } from "./lines.js"

/** Size of the canvas, in pixels. */
const [width, height] = [84, 26]

const padding = 3

/** Draws a sparkline with a dot at its last value. */
export const drawSparkline = (
  canvas: HTMLCanvasElement,
  values: ReadonlyArray<LineValue>,
  palette: Palette
): void => {
  const context = sizeCanvas(canvas, width, height)
  const numbers = values.filter((value) => typeof value === "number")
  if (numbers.length === 0) return
  const [min, max] = [Math.min(...numbers), Math.max(...numbers)]
  const xOf = (i: number) => padding + i * (width - 2 * padding) / Math.max(1, values.length - 1)
  const yOf = (value: number) =>
    max === min ? height / 2 : height - padding - (value - min) / (max - min) * (height - 2 * padding)
  context.strokeStyle = context.fillStyle = palette.accent
  context.lineWidth = 1.25
  context.lineJoin = "round"
  context.beginPath()
  let isDrawing = false
  let end: readonly [x: number, y: number] = [0, 0]
  values.forEach((value, i) => {
    if (value === null) isDrawing = false
    if (typeof value !== "number") return
    end = [xOf(i), yOf(value)]
    if (isDrawing) context.lineTo(...end)
    else context.moveTo(...end)
    isDrawing = true
  })
  context.stroke()
  context.beginPath()
  context.arc(...end, 1.75, 0, 2 * Math.PI)
  context.fill()
}
