/** List of the series of the chosen metric: tags, verdicts and latest values. */
import { h, outsideText, setText } from "./dom.js"
import * as Format from "./format.js"
import { collate } from "./grouping.js"
import type { Metric, Series } from "./state.js"
import { makeBadge } from "./verdicts.js"

/** Maximum number of series. */
const maxSeries = 100

const makeTags = ({ device, host, tags, verdicts }: Series["row"]): HTMLElement =>
  h(
    "span",
    { class: "series-tags" },
    ...host === "" ? [] : [h("span", { class: "tag host" }, "host:", outsideText(host, ""))],
    ...device === "" ? [] : [h("span", { class: "tag" }, "device:", outsideText(device, ""))],
    ...tags.map((tag) => h("span", { class: "tag" }, outsideText(tag, ""))),
    tags.length === 0 && host === "" && h("span", { class: "dim" }, "no tags"),
    verdicts[0] !== undefined && makeBadge(verdicts[0].outcome)
  )

export class SeriesList {
  readonly root: HTMLElement
  private readonly list = h("ul", { class: "series-list" })
  private readonly note = h("span", { class: "dim" })
  private cells: ReadonlyArray<readonly [series: Series, cell: HTMLElement]> = []

  constructor() {
    this.root = h("section", { class: "series-box" }, h("h3", {}, "Series ", this.note), this.list)
  }

  /** Lists the series, ordered by their tags. */
  showSeries(metric: Metric): void {
    const sorted = [...metric.series].sort((a, b) => collate(a.row.tags.join(), b.row.tags.join()))
    this.cells = sorted.slice(0, maxSeries).map((series) => [series, h("span", { class: "series-value" })])
    this.list.replaceChildren(...this.cells.map(([{ row }, cell]) => h("li", {}, makeTags(row), cell)))
    const total = Format.count(sorted.length)
    setText(this.note, sorted.length > maxSeries ? `the first ${maxSeries} of ${total}` : total)
  }

  /** Shows the latest values. */
  showValues({ kind, unit }: Metric): void {
    for (const [{ distributions, values }, cell] of this.cells) {
      const text = kind === "distribution"
        ? Format.plural(distributions.at(-1)?.count ?? 0, "value")
        : Format.joined(Format.value(values.at(-1), unit))
      setText(cell, text)
    }
  }
}
