/**
 * The events, latest first.
 */
import type { EventRow } from "../feedProtocol.js"
import { h, icon, outside, setChildren } from "./dom.js"
import * as Format from "./format.js"
import type { State } from "./store.js"
import { verdictItem } from "./verdicts.js"

const most = 200

export const alertTypes = ["error", "warning", "success", "info"] as const

export const make = (list: HTMLElement, none: HTMLElement, state: State, asOf: () => number): () => void => {
  const made = new Map<number, { readonly row: EventRow; readonly root: HTMLElement }>()

  const elementOf = (row: EventRow): HTMLElement => {
    const known = made.get(row.id)
    if (known !== undefined && known.row === row) return known.root
    const type = alertTypes.find((type) => type === row.alertType) ?? "info"
    const root = h(
      "li",
      { class: `event ${type}` },
      h("span", { class: "event-type" }, icon(`alert-${type}`), outside(row.alertType, "")),
      h(
        "div",
        { class: "event-body" },
        h("h3", {}, outside(row.title)),
        row.text !== "" && h("p", { class: "event-text" }, Format.visibleLines(row.text)),
        h(
          "p",
          { class: "tags" },
          row.host !== "" && h("span", { class: "tag" }, "host:", outside(row.host, "")),
          row.priority === "low" && h("span", { class: "tag" }, "low priority"),
          ...row.tags.map((tag) => h("span", { class: "tag" }, outside(tag, "")))
        ),
        row.verdicts.length > 0 && h("ul", { class: "verdicts" }, ...row.verdicts.map(verdictItem))
      ),
      h("time", { class: "event-time" }, Format.clock(row.timestamp * 1000))
    )
    made.set(row.id, { row, root })
    return root
  }

  return () => {
    const rows = [...state.events.values()]
      .filter(({ timestamp }) => timestamp * 1000 <= asOf())
      .sort((a, b) => b.timestamp - a.timestamp || b.id - a.id)
      .slice(0, most)
    setChildren(list, rows.map(elementOf))
    const kept = new Set(rows.map(({ id }) => id))
    for (const id of made.keys()) {
      if (!kept.has(id)) made.delete(id)
    }
    none.hidden = rows.length > 0
  }
}
