/** Entry of one request or datagram in the log: a line, and its details when it is open. */
import type { RequestRow } from "../feedProtocol.js"
import { h, icon, outsideText, setAttribute } from "./dom.js"
import * as Format from "./format.js"
import { makeRequestContent } from "./requestContent.js"
import { makeBadge, makeVerdictItem, type Outcome, outcomesOf } from "./verdicts.js"

const formatStatus = ({ protocol, status }: RequestRow): string =>
  status !== null ? String(status) : protocol === "dogstatsd" ? "UDP" : "…"

const makeCell = (name: string, text: string, title?: string): HTMLElement =>
  h("span", { class: `cell ${name}`, ...title === undefined ? {} : { title } }, text)

const makeFact = (label: string, value: string | HTMLElement): HTMLElement =>
  h("div", {}, h("dt", {}, label), h("dd", {}, value))

/** Creates the badges of the two worst outcomes and of the fault. */
const makeMarks = (row: RequestRow): HTMLElement => {
  const flagged: ReadonlyArray<readonly [outcome: Outcome, times: number]> = outcomesOf(row)
    .filter(([outcome]) => outcome !== "accepted")
  const isAccepted = flagged.length === 0 && row.fault === null && formatStatus(row) !== "…"
  return h(
    "span",
    { class: "cell marks" },
    ...flagged.slice(0, 2).map(([outcome, times]) => makeBadge(outcome, times)),
    flagged.length > 2 && h("span", { class: "dim" }, `+${flagged.length - 2}`),
    row.fault !== null && h("span", { class: "badge fault" }, icon("fault"), "fault"),
    isAccepted && makeBadge("accepted")
  )
}

const makeSummary = (row: RequestRow, isOpen: boolean, onClick: () => void): HTMLElement => {
  const isRefused = row.status !== null && row.status >= 400
  return h(
    "button",
    { type: "button", class: "summary", "aria-expanded": String(isOpen), click: onClick },
    makeCell("time", Format.clock(row.at, true)),
    makeCell(`status ${isRefused ? "bad" : row.status === null ? "" : "good"}`, formatStatus(row)),
    h("span", { class: "cell target" }, outsideText(row.target)),
    makeCell("number", Format.joined(Format.bytes(row.bytes)), `${row.bytes} bytes on the wire`),
    makeCell("number wide", Format.joined(Format.bytes(row.unpackedBytes)), `${row.unpackedBytes} bytes uncompressed`),
    makeCell("number wide", Format.ratio(row.bytes, row.unpackedBytes)),
    h("span", { class: "cell wide" }, outsideText(row.encoding, "")),
    makeCell("number wide", Format.count(row.items)),
    makeCell("number", Format.count(row.points), "points"),
    makeCell("number", row.duration === null ? "" : Format.joined(Format.duration(row.duration))),
    makeMarks(row)
  )
}

const makeDetails = (row: RequestRow, content: HTMLElement | undefined): HTMLElement => {
  const isUnremarkable = row.verdicts.length === 0 && row.reason === null
  const size = `${row.bytes.toLocaleString("en-US")} B, uncompressed ${row.unpackedBytes.toLocaleString("en-US")} B`
  return h(
    "div",
    { class: "entry-body" },
    row.reason !== null && h("p", { class: "reason" }, makeBadge("refused"), " ", outsideText(row.reason, "message")),
    row.verdicts.length > 0 && h("ul", { class: "verdicts" }, ...row.verdicts.map(makeVerdictItem)),
    row.more > 0 && h("p", { class: "dim" }, `and ${Format.plural(row.more, "verdict")} more`),
    isUnremarkable && h(
      "p",
      { class: "dim" },
      row.fault === null ? "Datadog would accept it unchanged." : "The injected fault answered this request."
    ),
    h(
      "dl",
      { class: "facts" },
      makeFact("Received", Format.clock(row.at, true)),
      makeFact("Size", size),
      makeFact("Encoding", outsideText(row.encoding, "")),
      makeFact("Items", `${Format.count(row.items)}, with ${Format.plural(row.points, "point")}`),
      makeFact("User agent", outsideText(row.userAgent === "" ? "–" : row.userAgent, "")),
      makeFact("Fault", row.fault === null ? "none" : outsideText(row.fault, "code"))
    ),
    content
  )
}

export class RequestEntry {
  readonly root = h("li", { class: "entry" })
  private row: RequestRow
  private isExpanded = false
  /** Headers and body; `undefined` until the entry is opened, and for datagrams. */
  private content: HTMLElement | undefined

  constructor(row: RequestRow) {
    this.row = row
    this.render()
  }

  get isOpen(): boolean {
    return this.isExpanded
  }

  /** Shows a row. A request gets a new row when it is answered. */
  show(row: RequestRow): void {
    if (row === this.row) return
    this.row = row
    this.render()
  }

  private render(): void {
    const summary = makeSummary(this.row, this.isExpanded, () => {
      this.isExpanded = !this.isExpanded
      // Opening an entry again requests its content again.
      this.content = this.isExpanded && this.row.protocol === "http" ? makeRequestContent(this.row.id) : undefined
      this.render()
      this.root.querySelector("button")?.focus()
    })
    this.root.replaceChildren(summary, ...this.isExpanded ? [makeDetails(this.row, this.content)] : [])
    setAttribute(this.root, "data-open", this.isExpanded ? "" : undefined)
  }
}
