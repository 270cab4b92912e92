/** Options of uPlot: scales, axes, lines, bands and cursor. */
import uPlot from "uplot"
import type { EventRow } from "../feedProtocol.js"
import type { Palette } from "./dom.js"
import * as Format from "./format.js"
import { findIsolatedValues, type Frame, type LineValue } from "./lines.js"

export interface PlotLine {
  /** Identity of the line. A plot is reused while the identities of its lines stay the same. */
  readonly key: string
  readonly color: string
  readonly width: number
  readonly values: Array<LineValue>
}

export interface Drawing {
  readonly frame: Frame
  readonly unit: string | null
  readonly lines: ReadonlyArray<PlotLine>
  /** Whether to fill the bands between the lines, which are percentiles from low to high. */
  readonly hasBands: boolean
  /** Whether the scale includes zero. */
  readonly includesZero: boolean
  readonly isLog: boolean
  /** Keys of hidden lines. */
  readonly hidden: ReadonlySet<string>
  readonly events: ReadonlyArray<EventRow>
  readonly palette: Palette
}

/** Height of the plot, in pixels. */
export const plotHeight = 280

/** Opacity of the band below each line except the first. */
const bandOpacity = [0.12, 0.34, 0.34, 0.22, 0.16] as const

/** Minimum width of a selection that zooms, in pixels. */
const minSelection = 4

/** Returns the range of the y axis with some padding. A range that is close to zero is extended to it. */
const rangeOf = (
  { includesZero, isLog }: Drawing,
  min: number | null,
  max: number | null
): uPlot.Range.MinMax => {
  if (min === null || max === null || !Number.isFinite(min) || !Number.isFinite(max)) return [0, 1]
  if (isLog) return uPlot.rangeLog(min, max, 10, false)
  const low = min >= 0 && (includesZero || min < max / 2) ? 0 : min
  const high = max <= 0 && (includesZero || max > min / 2) ? 0 : max
  if (low === high) return [low - Math.abs(low) * 0.1 - 0.5, high + Math.abs(high) * 0.1 + 0.5]
  const padding = (high - low) * 0.08
  return [low === 0 ? 0 : low - padding, high === 0 ? 0 : high + padding]
}

/** Formats a time of the x axis, as precisely as the distance between two ticks needs. */
const formatTime = (time: number, tickDistance: number): string => {
  const text = Format.clock(time * 1000)
  return tickDistance < 60
    ? text
    : tickDistance < 43_200
    ? text.slice(0, 5)
    : new Date(time * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short" })
}

const makeAxes = (drawing: () => Drawing, { dim, grid }: Palette): Array<uPlot.Axis> => {
  const axis: uPlot.Axis = {
    stroke: dim,
    font: "11px system-ui, sans-serif",
    grid: { stroke: grid, width: 1 },
    ticks: { stroke: grid, width: 1, size: 4 }
  }
  return [
    {
      ...axis,
      space: 70,
      size: 30,
      values: (_, splits, __, ___, increment) => splits.map((time) => formatTime(time, increment))
    },
    {
      ...axis,
      size: 62,
      gap: 4,
      values: (_, splits) => splits.map((split) => split === null ? "" : Format.tick(split, drawing().unit))
    }
  ]
}

export interface PlotHandlers {
  readonly onDraw: (plot: uPlot) => void
  readonly onCursor: (plot: uPlot) => void
  /** Called with the selected span in seconds; with `undefined` to reset the zoom. */
  readonly onZoom: (span: { readonly from: number; readonly to: number } | undefined) => void
}

/** Returns the options of a plot whose lines are those of the drawing. Later drawings can change everything else. */
export const makePlotOptions = (drawing: () => Drawing, width: number, handlers: PlotHandlers): uPlot.Options => {
  const { hasBands, isLog, lines, palette } = drawing()
  return {
    width,
    height: plotHeight,
    padding: [10, 30, 0, 0],
    legend: { show: false },
    scales: {
      x: {
        time: true,
        range: () => {
          const { from, step, steps } = drawing().frame
          return [from, from + step * steps]
        }
      },
      y: { distr: isLog ? 3 : 1, range: (_, min, max) => rangeOf(drawing(), min, max) }
    },
    axes: makeAxes(drawing, palette),
    series: [
      {},
      ...lines.map(({ color, key, width }): uPlot.Series => ({
        stroke: color,
        width,
        show: !drawing().hidden.has(key),
        points: {
          size: 5,
          fill: color,
          filter: (_, index, areShown) => areShown ? null : findIsolatedValues(drawing().lines[index - 1]?.values ?? [])
        }
      }))
    ],
    bands: hasBands
      ? lines.slice(1).map(({ color }, i) => ({
        series: [i + 2, i + 1],
        fill: `color-mix(in srgb, ${color} ${bandOpacity[i]! * 100}%, transparent)`
      }))
      : [],
    cursor: {
      y: false,
      points: { size: 7 },
      drag: { x: true, y: false, setScale: false },
      bind: {
        dblclick: () => () => {
          handlers.onZoom(undefined)
          return null
        }
      }
    },
    hooks: {
      draw: [handlers.onDraw],
      setCursor: [handlers.onCursor],
      setSelect: [(plot) => {
        const { left, width } = plot.select
        if (width > minSelection) {
          handlers.onZoom({ from: plot.posToVal(left, "x"), to: plot.posToVal(left + width, "x") })
        }
        plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
      }]
    }
  }
}
