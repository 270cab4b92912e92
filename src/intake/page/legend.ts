/** Legend of a plot: a table with the lines and their values. A click on a line hides or shows it. */
import { h, setAttribute, setChildren, setText } from "./dom.js"
import * as Format from "./format.js"
import type { Frame, LineValue } from "./lines.js"
import type { PlotLine } from "./plotOptions.js"

export interface LegendLine extends PlotLine {
  readonly label: HTMLElement | string
}

interface LegendRow {
  readonly root: HTMLElement
  readonly toggle: HTMLButtonElement
  readonly cells: ReadonlyArray<HTMLElement>
}

/** Returns minimum, mean and maximum of a line; `null` if it has no values. */
const aggregatesOf = (values: ReadonlyArray<LineValue>): ReadonlyArray<number | null> => {
  const numbers = values.filter((value) => typeof value === "number")
  if (numbers.length === 0) return [null, null, null]
  const sum = numbers.reduce((a, b) => a + b, 0)
  return [Math.min(...numbers), sum / numbers.length, Math.max(...numbers)]
}

export class Legend {
  readonly root: HTMLElement
  private readonly onToggle: (key: string) => void
  private readonly firstHead = h("th", { scope: "col" }, "Last")
  private readonly body = h("tbody")
  private readonly rows = new Map<string, LegendRow>()
  private builtFor = ""

  constructor(onToggle: (key: string) => void) {
    this.onToggle = onToggle
    this.root = h(
      "table",
      { class: "legend" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, "Line"),
          this.firstHead,
          ...["Min", "Mean", "Max"].map((name) => h("th", { scope: "col" }, name))
        )
      ),
      this.body
    )
  }

  /** Shows the lines. It builds new rows if the identity of the plot, a line or a color differs. */
  showLines(identity: string, lines: ReadonlyArray<LegendLine>, hidden: ReadonlySet<string>): void {
    const builtFor = JSON.stringify([identity, lines.map(({ color, key }) => [key, color])])
    if (this.builtFor !== builtFor) {
      this.builtFor = builtFor
      this.rows.clear()
      for (const line of lines) this.rows.set(line.key, this.makeRow(line))
      setChildren(this.body, [...this.rows.values()].map(({ root }) => root))
    }
    for (const [key, { root, toggle }] of this.rows) {
      setAttribute(toggle, "aria-pressed", String(!hidden.has(key)))
      setAttribute(root, "data-hidden", hidden.has(key) ? "" : undefined)
    }
  }

  /** Shows the values at the step under the cursor, or the last values. */
  showValues(lines: ReadonlyArray<PlotLine>, unit: string | null, frame: Frame, cursor: number | undefined): void {
    setText(this.firstHead, cursor === undefined ? "Last" : Format.clock((frame.from + cursor * frame.step) * 1000))
    for (const { key, values } of lines) {
      const row = this.rows.get(key)
      if (row === undefined) continue
      const first = cursor === undefined ? values.findLast((value) => typeof value === "number") : values[cursor]
      const shown = [first, ...aggregatesOf(values)]
      shown.forEach((value, i) => setText(row.cells[i]!, Format.joined(Format.value(value, unit))))
    }
  }

  private makeRow({ color, key, label, width }: LegendLine): LegendRow {
    const marker = h("span", { class: "marker" })
    marker.style.background = color
    marker.style.height = `${Math.max(2, width * 1.5)}px`
    const toggle = h("button", { type: "button", click: () => this.onToggle(key) }, marker, label)
    const cells = [0, 1, 2, 3].map(() => h("td"))
    return { root: h("tr", {}, h("th", { scope: "row" }, toggle), ...cells), toggle, cells }
  }
}
