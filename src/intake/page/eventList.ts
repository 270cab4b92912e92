/** List of events, latest first. */
import type { EventRow } from "../feedProtocol.js"
import { h, icon, outsideText, setChildren } from "./dom.js"
import * as Format from "./format.js"
import type { State } from "./state.js"
import { makeVerdictItem } from "./verdicts.js"

const maxEvents = 200

export const alertTypes = ["error", "warning", "success", "info"] as const

/** Creates the list. The returned function renders the events up to the time of `asOf`, in milliseconds. */
export const make = (list: HTMLElement, none: HTMLElement, state: State, asOf: () => number): () => void => {
  const rendered = new Map<number, { readonly row: EventRow; readonly root: HTMLElement }>()

  const renderEvent = (row: EventRow): HTMLElement => {
    const previous = rendered.get(row.id)
    if (previous !== undefined && previous.row === row) return previous.root
    const type = alertTypes.find((type) => type === row.alertType) ?? "info"
    const root = h(
      "li",
      { class: `event ${type}` },
      h("span", { class: "event-type" }, icon(`alert-${type}`), outsideText(row.alertType, "")),
      h(
        "div",
        { class: "event-body" },
        h("h3", {}, outsideText(row.title)),
        row.text !== "" && h("p", { class: "event-text" }, Format.visibleLines(row.text)),
        h(
          "p",
          { class: "tags" },
          row.host !== "" && h("span", { class: "tag" }, "host:", outsideText(row.host, "")),
          row.priority === "low" && h("span", { class: "tag" }, "low priority"),
          ...row.tags.map((tag) => h("span", { class: "tag" }, outsideText(tag, "")))
        ),
        row.verdicts.length > 0 && h("ul", { class: "verdicts" }, ...row.verdicts.map(makeVerdictItem))
      ),
      h("time", { class: "event-time" }, Format.clock(row.timestamp * 1000))
    )
    rendered.set(row.id, { row, root })
    return root
  }

  return () => {
    const rows = [...state.events.values()]
      .filter(({ timestamp }) => timestamp * 1000 <= asOf())
      .sort((a, b) => b.timestamp - a.timestamp || b.id - a.id)
      .slice(0, maxEvents)
    setChildren(list, rows.map(renderEvent))
    const shown = new Set(rows.map(({ id }) => id))
    for (const id of rendered.keys()) {
      if (!shown.has(id)) rendered.delete(id)
    }
    none.hidden = rows.length > 0
  }
}
