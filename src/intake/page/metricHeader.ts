/** Header of the chosen metric: name, facts and verdicts. */
import { h, icon, outsideText, setText } from "./dom.js"
import * as Format from "./format.js"
import { estimateInterval } from "./lines.js"
import type { Metric } from "./state.js"
import { makeVerdictItem } from "./verdicts.js"

/** Maximum number of verdicts. */
const maxVerdicts = 5

/** Returns whether the interval between points is known: a payload names it, or a series has two points. */
const hasInterval = ({ series }: Metric): boolean =>
  [...series].some(({ row, times }) => row.interval > 0 || times.length > 1)

export class MetricHeader {
  readonly root: HTMLElement
  readonly verdicts = h("ul", { class: "verdicts" })
  private readonly title = h("h2", { class: "detail-title" })
  private readonly facts = h("p", { class: "facts-line" })

  constructor(onBack: () => void) {
    this.root = h(
      "header",
      { class: "detail-head" },
      h("button", { type: "button", class: "back", click: () => onBack() }, icon("back"), "Metrics"),
      this.title,
      this.facts
    )
  }

  show(metric: Metric): void {
    const { kind, name, series, unit } = metric
    setText(this.title, Format.visible(name))
    this.facts.replaceChildren(
      h("span", { class: `kind ${kind}` }, kind),
      ...unit === null ? [] : [h("span", {}, "unit ", outsideText(unit, ""))],
      h("span", {}, `${Format.count(series.size)} series`),
      ...hasInterval(metric) ? [h("span", {}, `a point every ${Format.span(estimateInterval(metric))}`)] : []
    )
    const items = new Map<string, HTMLElement>()
    let more = 0
    for (const verdict of [...series].flatMap(({ row }) => row.verdicts)) {
      const key = `${verdict.code} ${verdict.message}`
      if (items.has(key)) continue
      if (items.size === maxVerdicts) more++
      else items.set(key, makeVerdictItem({ ...verdict, metric: null }))
    }
    this.verdicts.replaceChildren(...items.values())
    if (more > 0) this.verdicts.append(h("li", { class: "dim" }, `and ${Format.count(more)} more`))
    this.verdicts.hidden = items.size === 0
  }
}
