/** Log of requests and datagrams, with totals and filters. */
import type { RequestRow } from "../feedProtocol.js"
import { h, icon, outsideText, setAttribute, setChildren, setText } from "./dom.js"
import * as Format from "./format.js"
import * as HealthTiles from "./healthTiles.js"
import { RequestEntry } from "./requestEntry.js"
import type { State } from "./state.js"
import { type Outcome, outcomes, outcomesOf } from "./verdicts.js"

/** Number of entries that are shown at first, and that a click adds. */
const pageSize = 150

type RequestFilter = "all" | "flagged" | "fault" | Exclude<Outcome, "accepted">

const filters: ReadonlyArray<readonly [filter: RequestFilter, label: string]> = [
  ["all", "All"],
  ["flagged", "With remarks"],
  ...outcomes.filter((outcome) => outcome !== "accepted").map((outcome) => [outcome, Format.capital(outcome)] as const),
  ["fault", "Fault injected"]
]

const matchesFilter = (request: RequestRow, filter: RequestFilter, code: string | undefined): boolean => {
  if (code !== undefined && !request.verdicts.some((verdict) => verdict.code === code)) return false
  if (filter === "all") return true
  if (filter === "fault") return request.fault !== null
  return outcomesOf(request).some(([outcome]) => filter === "flagged" ? outcome !== "accepted" : outcome === filter)
}

interface FilterChip {
  readonly filter: RequestFilter
  readonly button: HTMLElement
  readonly count: HTMLElement
}

/** Elements of the page that the log fills. */
export interface PayloadElements {
  readonly tiles: HTMLElement
  readonly filters: HTMLElement
  readonly codes: HTMLElement
  readonly log: HTMLElement
  readonly more: HTMLButtonElement
  readonly none: HTMLElement
}

export class Payloads {
  private readonly elements: PayloadElements
  private readonly state: State
  /** Requests after this time are not shown. */
  private readonly asOf: () => number
  private readonly showHealth: (health: State["health"]) => void
  private readonly entries = new Map<number, RequestEntry>()
  private readonly chips: ReadonlyArray<FilterChip>
  private filter: RequestFilter = "all"
  private code: string | undefined
  private maxEntries = pageSize

  constructor(elements: PayloadElements, state: State, asOf: () => number) {
    this.elements = elements
    this.state = state
    this.asOf = asOf
    this.showHealth = HealthTiles.make(elements.tiles)
    this.chips = filters.map(([filter, label]) => this.makeChip(filter, label))
    elements.filters.append(...this.chips.map(({ button }) => button))
    elements.more.addEventListener("click", () => {
      this.maxEntries += pageSize
      this.refresh()
    })
  }

  refresh(): void {
    this.showHealth(this.state.health)
    this.refreshCodes()
    this.refreshLog()
  }

  private makeChip(filter: RequestFilter, label: string): FilterChip {
    const count = h("span", { class: "pill" }, "0")
    const button = h(
      "button",
      {
        type: "button",
        class: "chip",
        "aria-pressed": String(filter === this.filter),
        click: () => {
          this.filter = filter
          this.maxEntries = pageSize
          this.refresh()
        }
      },
      ...outcomes.some((outcome) => outcome === filter) ? [icon(filter)] : [],
      label,
      count
    )
    return { filter, button, count }
  }

  private refreshCodes(): void {
    const container = this.elements.codes
    const codes = Object.entries(this.state.health.verdicts).sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
    if (!codes.some(([code]) => code === this.code)) this.code = undefined
    const shown = JSON.stringify([codes, this.code])
    if (container.dataset["shown"] === shown) return
    container.dataset["shown"] = shown
    container.replaceChildren(
      ...codes.map(([code, times]) =>
        h(
          "button",
          {
            type: "button",
            class: "chip",
            "aria-pressed": String(code === this.code),
            click: () => {
              this.code = code === this.code ? undefined : code
              this.refresh()
            }
          },
          outsideText(code, "code"),
          h("span", { class: "pill" }, `×${Format.count(times)}`)
        )
      )
    )
  }

  private refreshLog(): void {
    const until = this.asOf()
    const counts = new Map<RequestFilter, number>()
    const shown: Array<Element> = []
    let matching = 0
    for (const row of [...this.state.requests.values()].reverse()) {
      if (row.at > until) continue
      for (const { filter } of this.chips) {
        if (matchesFilter(row, filter, this.code)) counts.set(filter, (counts.get(filter) ?? 0) + 1)
      }
      if (!matchesFilter(row, this.filter, this.code)) continue
      if (matching++ < this.maxEntries) shown.push(this.entryOf(row).root)
    }
    this.removeHiddenEntries(new Set(shown))
    setChildren(this.elements.log, shown)
    for (const { button, count, filter } of this.chips) {
      setText(count, Format.count(counts.get(filter) ?? 0))
      setAttribute(button, "aria-pressed", String(filter === this.filter))
    }
    const { more, none } = this.elements
    const older = matching - this.maxEntries
    more.hidden = older <= 0
    setText(more, `Show ${Format.count(Math.min(pageSize, older))} older of ${Format.count(older)}`)
    none.hidden = matching > 0
    setText(none, this.state.requests.size === 0 ? "Nothing was sent yet." : "No request matches the filters.")
  }

  private entryOf(row: RequestRow): RequestEntry {
    let entry = this.entries.get(row.id)
    if (entry === undefined) this.entries.set(row.id, entry = new RequestEntry(row))
    else entry.show(row)
    return entry
  }

  /** Removes the entries that are not shown. An open entry stays while the intake keeps its request. */
  private removeHiddenEntries(shown: ReadonlySet<Element>): void {
    for (const [id, entry] of this.entries) {
      if (!shown.has(entry.root) && !(entry.isOpen && this.state.requests.has(id))) this.entries.delete(id)
    }
  }
}
