/** List of the series of the chosen metric: tags, verdicts and latest values. */
import { h, outsideText, setText } from "./dom.js"
import * as Format from "./format.js"
import { collate } from "./grouping.js"
import type { Metric, Series, Tag } from "./state.js"
import { makeBadge } from "./verdicts.js"

/** Maximum number of series. */
const maxSeries = 100

/** Creates a tag as Datadog keeps it, with the sent form beside it if they differ. */
const makeTag = ({ kept, sent }: Tag): HTMLElement =>
  h(
    "span",
    { class: "tag" },
    outsideText(kept === "" ? "(nothing)" : kept, ""),
    kept !== sent && " ",
    kept !== sent && h("span", { class: "sent" }, "sent as ", outsideText(sent, ""))
  )

const makeTags = ({ row: { device, host, verdicts }, tags }: Series): HTMLElement =>
  h(
    "span",
    { class: "series-tags" },
    ...host === "" ? [] : [h("span", { class: "tag host" }, "host:", outsideText(host, ""))],
    ...device === "" ? [] : [h("span", { class: "tag" }, "device:", outsideText(device, ""))],
    ...tags.map(makeTag),
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
    this.list.replaceChildren(...this.cells.map(([series, cell]) => h("li", {}, makeTags(series), cell)))
    const total = Format.count(sorted.length)
    setText(this.note, sorted.length > maxSeries ? `the first ${maxSeries} of ${total}` : total)
  }

  /** Shows the latest values. */
  showValues(metric: Metric): void {
    const unit = Format.unitOf(metric)
    for (const [{ distributions, values }, cell] of this.cells) {
      const text = metric.kind === "distribution"
        ? Format.plural(distributions.at(-1)?.count ?? 0, "value")
        : Format.joined(Format.value(values.at(-1), unit))
      setText(cell, text)
    }
  }
}
