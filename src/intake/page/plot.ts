/**
 * Lines over time, with bands between them, and marks where events were.
 */
import uPlot from "uplot"
import type { EventRow } from "../feedProtocol.js"
import { h, outside, type Palette } from "./dom.js"
import * as Format from "./format.js"
import { type Frame, marksOf, type Value } from "./lines.js"

export interface Line {
  /** Lines with the same keys in the same order are the same plot. */
  readonly key: string
  readonly colour: string
  readonly width: number
  readonly dash?: ReadonlyArray<number>
  readonly values: Array<Value>
}

export interface Drawing {
  readonly frame: Frame
  readonly unit: string | null
  readonly lines: ReadonlyArray<Line>
  /** Whether they are percentiles of the same, from low to high. */
  readonly bands: boolean
  readonly zero: boolean
  readonly log: boolean
  readonly hidden: ReadonlySet<string>
  readonly events: ReadonlyArray<EventRow>
  readonly palette: Palette
}

export interface Plot {
  readonly draw: (drawing: Drawing) => void
  readonly resize: () => void
}

/** How near to a mark the cursor has to be, in pixels. */
const near = 6

/** The least between two marks, in pixels. */
const apart = 12

const height = 280

/** How opaque the band is below each line but the first. */
const opacity = [0.12, 0.34, 0.34, 0.22, 0.16] as const

export const make = (parent: HTMLElement, options: {
  /** The step under the cursor; `undefined` when there is none. */
  readonly onCursor: (at: number | undefined) => void
  /** What was marked, in seconds; `undefined` to be where it was before. */
  readonly onZoom: (span: { readonly from: number; readonly to: number } | undefined) => void
}): Plot => {
  let drawing: Drawing | undefined
  let plot: uPlot | undefined
  let made = ""
  const tooltip = h("div", { class: "tooltip", role: "tooltip", hidden: true })

  const widthOf = () => Math.max(200, Math.floor(parent.clientWidth))

  const showEvent = (self: uPlot) => {
    const left = self.cursor.left ?? -1
    let found: EventRow | undefined
    let distance = near + 1
    let others = -1
    if (left >= 0) {
      for (const event of drawing!.events) {
        const d = Math.abs(self.valToPos(event.timestamp, "x") - left)
        if (d <= near) others++
        if (d < distance) {
          found = event
          distance = d
        }
      }
    }
    tooltip.hidden = found === undefined
    if (found === undefined) return
    tooltip.replaceChildren(
      h("strong", {}, outside(found.title)),
      h("span", { class: "dim" }, `${Format.clock(found.timestamp * 1000)} · `, outside(found.alertType)),
      ...others > 0 ? [h("span", { class: "dim" }, `and ${Format.plural(others, "event")} more`)] : []
    )
    const x = self.valToPos(found.timestamp, "x") + self.over.offsetLeft
    tooltip.style.left = `${Math.min(Math.max(0, x - 90), Math.max(0, parent.clientWidth - 184))}px`
  }

  const drawEvents = (self: uPlot) => {
    const { ctx, bbox } = self
    const { events, palette } = drawing!
    const density = uPlot.pxRatio
    ctx.save()
    const places = events
      .map(({ alertType, timestamp }) => [Math.round(self.valToPos(timestamp, "x", true)), alertType] as const)
      .filter(([x]) => x >= bbox.left && x <= bbox.left + bbox.width)
    for (const [x, alertType] of marksOf(places, apart * density)) {
      const bottom = bbox.top + bbox.height
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

  const rangeOf = (_: uPlot, min: number | null, max: number | null): uPlot.Range.MinMax => {
    if (min === null || max === null || !Number.isFinite(min) || !Number.isFinite(max)) return [0, 1]
    const { log, zero } = drawing!
    if (log) return uPlot.rangeLog(min, max, 10, false)
    const low = min >= 0 && (zero || min < max / 2) ? 0 : min
    const high = max <= 0 && (zero || max > min / 2) ? 0 : max
    if (low === high) return [low - Math.abs(low) * 0.1 - 0.5, high + Math.abs(high) * 0.1 + 0.5]
    const pad = (high - low) * 0.08
    return [low === 0 ? 0 : low - pad, high === 0 ? 0 : high + pad]
  }

  const create = () => {
    const { bands, lines, log, palette } = drawing!
    const axis: uPlot.Axis = {
      stroke: palette.dim,
      font: "11px system-ui, sans-serif",
      grid: { stroke: palette.grid, width: 1 },
      ticks: { stroke: palette.grid, width: 1, size: 4 }
    }
    plot?.destroy()
    plot = new uPlot({
      width: widthOf(),
      height,
      padding: [10, 16, 0, 0],
      legend: { show: false },
      scales: {
        x: {
          time: true,
          range: () => {
            const { from, step, steps } = drawing!.frame
            return [from, from + step * steps]
          }
        },
        y: { distr: log ? 3 : 1, range: rangeOf }
      },
      axes: [
        {
          ...axis,
          space: 70,
          size: 30,
          values: (_, splits, __, ___, increment) =>
            splits.map((time) => {
              const text = Format.clock(time * 1000)
              return increment < 60
                ? text
                : increment < 43_200
                ? text.slice(0, 5)
                : new Date(time * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "short" })
            })
        },
        {
          ...axis,
          size: 62,
          gap: 4,
          values: (_, splits) => splits.map((split) => split === null ? "" : Format.tick(split, drawing!.unit))
        }
      ],
      series: [
        {},
        ...lines.map(({ colour, dash, key, width }): uPlot.Series => ({
          stroke: colour,
          width,
          show: !drawing!.hidden.has(key),
          points: { size: 5, fill: colour },
          ...dash === undefined ? {} : { dash: [...dash] }
        }))
      ],
      bands: bands
        ? lines.slice(1).map(({ colour }, i) => ({
          series: [i + 2, i + 1],
          fill: `color-mix(in srgb, ${colour} ${opacity[i]! * 100}%, transparent)`
        }))
        : [],
      cursor: {
        y: false,
        points: { size: 7 },
        drag: { x: true, y: false, setScale: false },
        bind: {
          dblclick: () => () => {
            options.onZoom(undefined)
            return null
          }
        }
      },
      hooks: {
        draw: [drawEvents],
        setCursor: [(self) => {
          options.onCursor(self.cursor.idx ?? undefined)
          showEvent(self)
        }],
        setSelect: [(self) => {
          const { left, width } = self.select
          if (width > 4) options.onZoom({ from: self.posToVal(left, "x"), to: self.posToVal(left + width, "x") })
          self.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
        }]
      }
    })
    parent.replaceChildren(plot.root, tooltip)
  }

  return {
    draw: (next) => {
      const changed = JSON.stringify([
        next.log,
        next.bands,
        next.palette,
        next.lines.map(({ key, colour }) => [key, colour])
      ])
      drawing = next
      if (changed !== made) {
        made = changed
        create()
      }
      const { frame, hidden, lines } = next
      const times = Array.from({ length: frame.steps }, (_, i) => frame.from + i * frame.step)
      plot!.batch(() => {
        lines.forEach(({ key }, i) => {
          if (plot!.series[i + 1]!.show === hidden.has(key)) plot!.setSeries(i + 1, { show: !hidden.has(key) })
        })
        plot!.setData([times, ...lines.map(({ values }) => next.log ? values.map(positive) : values)])
      })
    },
    resize: () => {
      const width = widthOf()
      if (plot !== undefined && plot.width !== width) plot.setSize({ width, height })
    }
  }
}

/** There is no place for others on a logarithmic scale. */
const positive = (value: Value): Value => typeof value === "number" && value <= 0 ? null : value
