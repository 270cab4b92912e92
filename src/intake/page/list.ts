/**
 * The list of metrics. However many there are, only what can be seen of it has elements.
 */
import { h, icon, type Palette, setAttribute, setText, sizeCanvas } from "./dom.js"
import * as Format from "./format.js"
import { collate, spark, type Value } from "./lines.js"
import type { Metric, State } from "./store.js"

const rowHeight = 46
const sparkWidth = 84
const sparkHeight = 26
const sparkSteps = 60

interface Row {
  readonly root: HTMLElement
  readonly name: HTMLElement
  readonly detail: HTMLElement
  readonly value: HTMLElement
  readonly unit: HTMLElement
  readonly canvas: HTMLCanvasElement
  /** What is drawn on it. */
  drawn: string
}

export interface List {
  /** What is shown and in which order; again only after the search or the set of metrics changed. */
  readonly refresh: () => void
  readonly search: (text: string) => void
  /** Goes down so many rows, or up; chooses the first or last at most. */
  readonly move: (by: number) => void
  readonly choose: (key: string) => void
  /** Where there is one; the address does not change by it. */
  readonly chooseFirst: () => void
  readonly chosen: () => Metric | undefined
  readonly repaint: () => void
  readonly focus: () => void
}

export const make = (
  scroller: HTMLElement,
  state: State,
  options: {
    readonly palette: () => Palette
    readonly now: () => number
    readonly onChoose: (metric: Metric, opened: boolean) => void
    readonly onCount: (shown: number, all: number) => void
  }
): List => {
  const sizer = h("div", { class: "rows", role: "presentation" })
  scroller.append(sizer)
  const rows: Array<Row> = []
  let shown: ReadonlyArray<Metric> = []
  let words: ReadonlyArray<string> = []
  let listed = -1
  let chosen: string | undefined
  let theme = 0

  const matches = ({ name, series }: Metric): boolean =>
    words.every((word) => {
      if (name.toLowerCase().includes(word)) return true
      for (const { row } of series) {
        if (row.host.toLowerCase().includes(word) || row.tags.some((tag) => tag.toLowerCase().includes(word))) {
          return true
        }
      }
      return false
    })

  const order = () => {
    listed = state.shape
    shown = [...state.metrics.values()]
      .filter(matches)
      .sort((a, b) => collate(a.name, b.name) || collate(a.kind, b.kind))
    options.onCount(shown.length, state.metrics.size)
  }

  const rowAt = (slot: number): Row => {
    const known = rows[slot]
    if (known !== undefined) return known
    const name = h("bdi", { class: "name" })
    const detail = h("span", { class: "row-detail" })
    const value = h("span", { class: "value" })
    const unit = h("span", { class: "unit" })
    const canvas = h("canvas", { class: "spark", "aria-hidden": "true" })
    const root = h(
      "div",
      { class: "row", role: "option", id: `metric-${slot}` },
      h("span", { class: "row-text" }, name, detail),
      canvas,
      h("span", { class: "row-value" }, value, unit)
    )
    const row: Row = { root, name, detail, value, unit, canvas, drawn: "" }
    rows[slot] = row
    sizer.append(root)
    root.addEventListener("click", () => {
      const metric = shown[Number(root.dataset["index"])]
      if (metric !== undefined) select(metric, true)
    })
    return row
  }

  const select = (metric: Metric, opened: boolean) => {
    chosen = metric.key
    render()
    options.onChoose(metric, opened)
  }

  const describe = ({ kind, series }: Metric): string =>
    series.size === 1 ? `${kind} · 1 series` : `${kind} · ${Format.count(series.size)} series`

  const render = () => {
    const visible = Math.ceil(scroller.clientHeight / rowHeight) + 1
    const first = Math.max(0, Math.min(Math.floor(scroller.scrollTop / rowHeight), shown.length - visible))
    const height = `${shown.length * rowHeight}px`
    if (sizer.style.height !== height) sizer.style.height = height
    let active: string | undefined
    for (let slot = 0; slot < Math.max(visible, rows.length); slot++) {
      const index = first + slot
      const metric = slot < visible ? shown[index] : undefined
      if (metric === undefined) {
        if (rows[slot] !== undefined) rows[slot]!.root.hidden = true
        continue
      }
      const row = rowAt(slot)
      row.root.hidden = false
      const top = `translateY(${index * rowHeight}px)`
      if (row.root.style.transform !== top) row.root.style.transform = top
      row.root.dataset["index"] = String(index)
      setAttribute(row.root, "aria-posinset", String(index + 1))
      setAttribute(row.root, "aria-setsize", String(shown.length))
      const selected = metric.key === chosen
      if (selected) active = row.root.id
      setAttribute(row.root, "aria-selected", String(selected))
      const drawn = `${metric.key} ${metric.revision} ${theme}`
      if (row.drawn === drawn) continue
      row.drawn = drawn
      setText(row.name, Format.visible(metric.name))
      setAttribute(row.name, "title", Format.visible(metric.name))
      setText(row.detail, describe(metric))
      const warned = [...metric.series].some(({ row }) => row.verdicts.length > 0)
      setAttribute(row.root, "data-warned", warned ? "" : undefined)
      if (warned && row.detail.childElementCount === 0) row.detail.prepend(icon("warning"))
      const values = spark(metric, sparkSteps, options.now())
      const shownValue = Format.value(lastOf(values), metric.unit)
      setText(row.value, shownValue.text)
      setText(row.unit, metric.kind === "distribution" ? `${shownValue.unit} p50` : shownValue.unit)
      drawSpark(row.canvas, values, options.palette())
    }
    setAttribute(scroller, "aria-activedescendant", active)
  }

  const reveal = () => {
    const index = shown.findIndex(({ key }) => key === chosen)
    if (index < 0) return
    const top = index * rowHeight
    if (top < scroller.scrollTop) scroller.scrollTop = top
    else if (top + rowHeight > scroller.scrollTop + scroller.clientHeight) {
      scroller.scrollTop = top + rowHeight - scroller.clientHeight
    }
  }

  scroller.addEventListener("scroll", () => render(), { passive: true })
  new ResizeObserver(() => render()).observe(scroller)

  return {
    refresh: () => {
      if (listed !== state.shape) order()
      render()
    },
    search: (text) => {
      words = text.toLowerCase().split(/\s+/).filter((word) => word !== "")
      order()
      scroller.scrollTop = 0
      render()
    },
    move: (by) => {
      const at = shown.findIndex(({ key }) => key === chosen)
      const next = shown[at < 0 ? (by > 0 ? 0 : shown.length - 1) : Math.max(0, Math.min(shown.length - 1, at + by))]
      if (next === undefined) return
      select(next, false)
      reveal()
      render()
    },
    choose: (key) => {
      chosen = key
      reveal()
      render()
    },
    chooseFirst: () => {
      const [first] = shown
      if (first === undefined) return
      chosen = first.key
      render()
    },
    chosen: () => chosen === undefined ? undefined : state.metrics.get(chosen),
    repaint: () => {
      theme++
      render()
    },
    focus: () => scroller.focus()
  }
}

const lastOf = (values: ReadonlyArray<Value>): number | undefined => {
  for (let i = values.length - 1; i >= 0; i--) {
    const value = values[i]
    if (typeof value === "number") return value
  }
  return undefined
}

const drawSpark = (canvas: HTMLCanvasElement, values: ReadonlyArray<Value>, palette: Palette): void => {
  const context = sizeCanvas(canvas, sparkWidth, sparkHeight)
  let min = Infinity
  let max = -Infinity
  for (const value of values) {
    if (typeof value !== "number") continue
    min = Math.min(min, value)
    max = Math.max(max, value)
  }
  if (min > max) return
  const pad = 3
  const xOf = (i: number) => pad + i * (sparkWidth - 2 * pad) / Math.max(1, values.length - 1)
  const yOf = (value: number) =>
    max === min ? sparkHeight / 2 : sparkHeight - pad - (value - min) / (max - min) * (sparkHeight - 2 * pad)
  context.strokeStyle = context.fillStyle = palette.accent
  context.lineWidth = 1.25
  context.lineJoin = "round"
  context.beginPath()
  let drawing = false
  let end: readonly [number, number] | undefined
  values.forEach((value, i) => {
    if (value === null) drawing = false
    if (typeof value !== "number") return
    end = [xOf(i), yOf(value)]
    if (drawing) context.lineTo(...end)
    else context.moveTo(...end)
    drawing = true
  })
  context.stroke()
  if (end === undefined) return
  context.beginPath()
  context.arc(end[0], end[1], 1.75, 0, 2 * Math.PI)
  context.fill()
}
