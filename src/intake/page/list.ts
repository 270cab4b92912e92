/** List of metrics. Only the rows in view have elements. */
import { h, icon, type Palette, setAttribute, setName, setText } from "./dom.js"
import * as Format from "./format.js"
import { collate } from "./grouping.js"
import { lastNumber, makeSparkline } from "./sparkline.js"
import { drawSparkline } from "./sparklineCanvas.js"
import type { Metric, State } from "./state.js"

/** Height of a row, in pixels. */
const rowHeight = 46

/** Number of values in a sparkline. */
const sparklineSteps = 60

interface ListRow {
  readonly root: HTMLElement
  readonly name: HTMLElement
  readonly detail: HTMLElement
  readonly value: HTMLElement
  readonly unit: HTMLElement
  readonly canvas: HTMLCanvasElement
  /** Metric, revision and theme that the row shows. */
  rendered: string
}

export interface MetricListOptions {
  readonly palette: () => Palette
  /** Seconds since the epoch. */
  readonly now: () => number
  /** Called when the reader chooses a metric; `isOpened` if it was clicked. */
  readonly onChoose: (metric: Metric, isOpened: boolean) => void
  readonly onCount: (shown: number, all: number) => void
}

const makeRow = (slot: number, onClick: (row: ListRow) => void): ListRow => {
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
  const row: ListRow = { root, name, detail, value, unit, canvas, rendered: "" }
  root.addEventListener("click", () => onClick(row))
  return row
}

export class MetricList {
  private readonly scroller: HTMLElement
  private readonly state: State
  private readonly options: MetricListOptions
  private readonly sizer = h("div", { class: "rows", role: "presentation" })
  private readonly rows: Array<ListRow> = []
  private metrics: ReadonlyArray<Metric> = []
  private words: ReadonlyArray<string> = []
  private sortedRevision = -1
  private chosenKey: string | undefined
  private themeRevision = 0

  constructor(scroller: HTMLElement, state: State, options: MetricListOptions) {
    this.scroller = scroller
    this.state = state
    this.options = options
    scroller.append(this.sizer)
    scroller.addEventListener("scroll", () => this.render(), { passive: true })
    new ResizeObserver(() => this.render()).observe(scroller)
  }

  /** Renders the rows in view. Filters and sorts the metrics if some were added or removed. */
  refresh(): void {
    if (this.sortedRevision !== this.state.metricsRevision) this.filterAndSort()
    this.render()
  }

  /** Shows the metrics whose name, host or tags contain all words of the text. */
  search(text: string): void {
    this.words = text.toLowerCase().split(/\s+/).filter((word) => word !== "")
    this.filterAndSort()
    this.scroller.scrollTop = 0
    this.render()
  }

  /** Chooses the metric some rows below the chosen one, or above if negative. It stops at the first and the last row. */
  move(rows: number): void {
    const index = this.chosenIndex()
    const last = this.metrics.length - 1
    const next = this.metrics[index < 0 ? (rows > 0 ? 0 : last) : Math.max(0, Math.min(last, index + rows))]
    if (next === undefined) return
    this.select(next, false)
    this.scrollToChosen()
    this.render()
  }

  /** Chooses a metric by its key. */
  choose(key: string): void {
    this.chosenKey = key
    this.scrollToChosen()
    this.render()
  }

  /** Chooses the first metric if there is one. The address of the page does not change. */
  chooseFirst(): void {
    const [first] = this.metrics
    if (first === undefined) return
    this.chosenKey = first.key
    this.render()
  }

  chosen(): Metric | undefined {
    return this.chosenKey === undefined ? undefined : this.state.metrics.get(this.chosenKey)
  }

  /** Renders all rows again, in the colors of a new theme. */
  repaint(): void {
    this.themeRevision++
    this.render()
  }

  focus(): void {
    this.scroller.focus()
  }

  private matches({ name, series }: Metric): boolean {
    return this.words.every((word) => {
      if (name.toLowerCase().includes(word)) return true
      for (const { row, tags } of series) {
        if (
          row.host.toLowerCase().includes(word) || row.tags.some((tag) => tag.toLowerCase().includes(word)) ||
          tags.some(({ kept }) => kept.includes(word))
        ) {
          return true
        }
      }
      return false
    })
  }

  private filterAndSort(): void {
    this.sortedRevision = this.state.metricsRevision
    this.metrics = [...this.state.metrics.values()]
      .filter((metric) => this.matches(metric))
      .sort((a, b) => collate(a.name, b.name) || collate(a.kind, b.kind))
    this.options.onCount(this.metrics.length, this.state.metrics.size)
  }

  private select(metric: Metric, isOpened: boolean): void {
    this.chosenKey = metric.key
    this.render()
    this.options.onChoose(metric, isOpened)
  }

  private chosenIndex(): number {
    return this.metrics.findIndex(({ key }) => key === this.chosenKey)
  }

  private scrollToChosen(): void {
    const index = this.chosenIndex()
    if (index < 0) return
    const { scroller } = this
    const top = index * rowHeight
    if (top < scroller.scrollTop) scroller.scrollTop = top
    else if (top + rowHeight > scroller.scrollTop + scroller.clientHeight) {
      scroller.scrollTop = top + rowHeight - scroller.clientHeight
    }
  }

  private rowAt(slot: number): ListRow {
    const known = this.rows[slot]
    if (known !== undefined) return known
    const row = makeRow(slot, ({ root }) => {
      const metric = this.metrics[Number(root.dataset["index"])]
      if (metric !== undefined) this.select(metric, true)
    })
    this.rows[slot] = row
    this.sizer.append(row.root)
    return row
  }

  private render(): void {
    const { metrics, rows, scroller, sizer } = this
    const visible = Math.ceil(scroller.clientHeight / rowHeight) + 1
    const first = Math.max(0, Math.min(Math.floor(scroller.scrollTop / rowHeight), metrics.length - visible))
    const height = `${metrics.length * rowHeight}px`
    if (sizer.style.height !== height) sizer.style.height = height
    let active: string | undefined
    for (let slot = 0; slot < Math.max(visible, rows.length); slot++) {
      const index = first + slot
      const metric = slot < visible ? metrics[index] : undefined
      if (metric === undefined) {
        if (rows[slot] !== undefined) rows[slot]!.root.hidden = true
        continue
      }
      const row = this.rowAt(slot)
      row.root.hidden = false
      const transform = `translateY(${index * rowHeight}px)`
      if (row.root.style.transform !== transform) row.root.style.transform = transform
      row.root.dataset["index"] = String(index)
      setAttribute(row.root, "aria-posinset", String(index + 1))
      setAttribute(row.root, "aria-setsize", String(metrics.length))
      const isChosen = metric.key === this.chosenKey
      if (isChosen) active = row.root.id
      setAttribute(row.root, "aria-selected", String(isChosen))
      this.renderRow(row, metric)
    }
    setAttribute(scroller, "aria-activedescendant", active)
  }

  private renderRow(row: ListRow, metric: Metric): void {
    const rendered = `${metric.key} ${metric.revision} ${this.themeRevision}`
    if (row.rendered === rendered) return
    row.rendered = rendered
    setName(row.name, metric.name)
    setText(row.detail, `${metric.kind} · ${Format.plural(metric.series.size, "series", "series")}`)
    const isWarned = [...metric.series].some(({ row }) => row.verdicts.length > 0)
    setAttribute(row.root, "data-warned", isWarned ? "" : undefined)
    if (isWarned && row.detail.childElementCount === 0) row.detail.prepend(icon("warning"))
    const values = makeSparkline(metric, sparklineSteps, this.options.now())
    const { text, unit } = Format.value(lastNumber(values), Format.unitOf(metric))
    setText(row.value, text)
    setText(row.unit, metric.kind === "distribution" ? `${unit} p50` : unit)
    drawSparkline(row.canvas, values, this.options.palette())
  }
}
