/**
 * The values of a distribution as columns.
 */
import { type Palette, sizeCanvas } from "./dom.js"
import * as Format from "./format.js"
import type { Histogram } from "./sketch.js"

export interface Mark {
  readonly label: string
  readonly value: number
}

const foot = 20
const head = 16

export const draw = (
  canvas: HTMLCanvasElement,
  { counts, edges, scale }: Histogram,
  marks: ReadonlyArray<Mark>,
  unit: string | null,
  palette: Palette
): void => {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight]
  if (width === 0) return
  const context = sizeCanvas(canvas, width, height)
  const most = Math.max(...counts)
  const floor = height - foot
  const column = width / counts.length
  context.fillStyle = palette.accent
  counts.forEach((count, i) => {
    if (count === 0) return
    const tall = Math.max(1, (floor - head) * count / most)
    context.fillRect(i * column + 0.5, floor - tall, Math.max(1, column - 1), tall)
  })
  context.fillStyle = palette.grid
  context.fillRect(0, floor, width, 1)

  const [first, last] = [edges[0]!, edges[edges.length - 1]!]
  const forth = scale === "log" ? Math.log : (x: number) => x
  const xOf = (value: number) =>
    last === first ? width / 2 : width * (forth(value) - forth(first)) / (forth(last) - forth(first))
  const write = (text: string, x: number, y: number) => {
    const wide = context.measureText(text).width
    context.fillText(text, Math.min(Math.max(0, x - wide / 2), width - wide), y)
    return wide
  }
  context.font = "11px system-ui, sans-serif"
  context.fillStyle = palette.dim
  const ticks = width < 500 ? 3 : 5
  for (let i = 0; i < ticks; i++) {
    const at = i / (ticks - 1)
    const value = scale === "log" ? first * (last / first) ** at : first + (last - first) * at
    write(Format.tick(Number(value.toPrecision(3)), unit), at * width, height - 5)
  }
  let free = -Infinity
  for (const { label, value } of marks) {
    const x = xOf(value)
    context.fillStyle = palette.text
    context.fillRect(Math.round(x), head - 2, 1, floor - head + 2)
    if (x - context.measureText(label).width / 2 < free) continue
    free = x + write(label, x, head - 5) / 2 + 6
  }
}
