/**
 * The log of requests and datagrams, and how delivery is doing.
 */
import type { RequestRow } from "../feedProtocol.js"
import { h, icon, outside, setAttribute, setChildren, setText } from "./dom.js"
import * as Format from "./format.js"
import type { State } from "./store.js"
import { badge, type Outcome, outcomes, outcomesOf, verdictItem } from "./verdicts.js"

/** More are shown when asked for. */
const page = 150

type Filter = "all" | "flagged" | "fault" | Exclude<Outcome, "accepted">

const filters: ReadonlyArray<readonly [Filter, string]> = [
  ["all", "All"],
  ["flagged", "Any verdict"],
  ...outcomes.filter((outcome) => outcome !== "accepted").map((outcome) => [outcome, Format.capital(outcome)] as const),
  ["fault", "Fault played"]
]

const passes = (request: RequestRow, filter: Filter, code: string | undefined): boolean => {
  if (code !== undefined && !request.verdicts.some((verdict) => verdict.code === code)) return false
  if (filter === "all") return true
  if (filter === "fault") return request.fault !== null
  const found = outcomesOf(request)
  return filter === "flagged"
    ? found.some(([outcome]) => outcome !== "accepted")
    : found.some(([outcome]) => outcome === filter)
}

interface Entry {
  readonly root: HTMLElement
  row: RequestRow
  open: boolean
}

export interface Payloads {
  readonly refresh: () => void
}

export const make = (
  parts: {
    readonly tiles: HTMLElement
    readonly filters: HTMLElement
    readonly codes: HTMLElement
    readonly log: HTMLElement
    readonly more: HTMLButtonElement
    readonly none: HTMLElement
  },
  state: State,
  asOf: () => number
): Payloads => {
  const entries = new Map<number, Entry>()
  let filter: Filter = "all"
  let code: string | undefined
  let most = page

  const chips = filters.map(([name, label]) => {
    const count = h("span", { class: "pill" }, "0")
    const chip = h(
      "button",
      {
        type: "button",
        class: "chip",
        "aria-pressed": String(name === filter),
        click: () => {
          filter = name
          most = page
          refresh()
        }
      },
      ...outcomes.some((outcome) => outcome === name) ? [icon(name)] : [],
      label,
      count
    )
    parts.filters.append(chip)
    return { name, chip, count }
  })

  parts.more.addEventListener("click", () => {
    most += page
    refresh()
  })

  const tile = (label: string) => {
    const value = h("dd", { class: "value" })
    parts.tiles.append(h("div", { class: "tile" }, h("dt", {}, label), value))
    return (text: string) => setText(value, text)
  }
  const tiles = {
    requests: tile("Requests"),
    refused: tile("Refused"),
    datagrams: tile("Datagrams"),
    bytes: tile("On the wire"),
    unpacked: tile("Unpacked"),
    ratio: tile("Ratio"),
    series: tile("Series"),
    points: tile("Points"),
    values: tile("Values"),
    events: tile("Events"),
    forgotten: tile("Forgotten")
  }

  const refreshHealth = () => {
    const { health } = state
    tiles.requests(Format.count(health.requests))
    tiles.refused(Format.count(health.refused))
    tiles.datagrams(Format.count(health.datagrams))
    tiles.bytes(Format.joined(Format.bytes(health.bytes)))
    tiles.unpacked(Format.joined(Format.bytes(health.unpackedBytes)))
    tiles.ratio(Format.ratio(health.bytes, health.unpackedBytes) || "–")
    tiles.series(Format.count(health.series))
    tiles.points(Format.count(health.points))
    tiles.values(Format.count(health.values))
    tiles.events(Format.count(health.events))
    tiles.forgotten(Format.count(health.forgotten))
    const codes = Object.entries(health.verdicts).sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
    if (code !== undefined && !codes.some(([name]) => name === code)) code = undefined
    const shown = JSON.stringify([codes, code])
    if (parts.codes.dataset["shown"] === shown) return
    parts.codes.dataset["shown"] = shown
    parts.codes.replaceChildren(
      ...codes.map(([name, times]) =>
        h(
          "button",
          {
            type: "button",
            class: "chip",
            "aria-pressed": String(name === code),
            click: () => {
              code = name === code ? undefined : name
              refresh()
            }
          },
          outside(name, "code"),
          h("span", { class: "pill" }, `×${Format.count(times)}`)
        )
      )
    )
  }

  const fill = (entry: Entry) => {
    const { row } = entry
    const found = outcomesOf(row)
    const flagged = found.filter(([outcome]) => outcome !== "accepted")
    const cell = (name: string, text: string, title?: string) =>
      h("span", { class: `cell ${name}`, ...title === undefined ? {} : { title } }, text)
    const refused = row.status !== null && row.status >= 400
    const summary = h(
      "button",
      {
        type: "button",
        class: "summary",
        "aria-expanded": String(entry.open),
        click: () => {
          entry.open = !entry.open
          fill(entry)
          entry.root.querySelector("button")?.focus()
        }
      },
      cell("time", Format.clock(row.at, true)),
      h("span", { class: `cell status ${refused ? "bad" : row.status === null ? "" : "good"}` }, statusOf(row)),
      h("span", { class: "cell target" }, outside(row.target)),
      cell("number", Format.joined(Format.bytes(row.bytes)), `${row.bytes} bytes on the wire`),
      cell("number wide", Format.joined(Format.bytes(row.unpackedBytes)), `${row.unpackedBytes} bytes unpacked`),
      cell("number wide", Format.ratio(row.bytes, row.unpackedBytes)),
      h("span", { class: "cell wide" }, outside(row.encoding, "")),
      cell("number wide", Format.count(row.items)),
      cell("number", Format.count(row.points), "points"),
      cell("number", row.duration === null ? "" : Format.joined(Format.duration(row.duration))),
      h(
        "span",
        { class: "cell marks" },
        ...flagged.slice(0, 2).map(([outcome, times]) => badge(outcome, times)),
        flagged.length > 2 && h("span", { class: "dim" }, `+${flagged.length - 2}`),
        row.fault !== null && h("span", { class: "badge fault" }, icon("fault"), "fault"),
        flagged.length === 0 && row.fault === null && statusOf(row) !== "…" && badge("accepted")
      )
    )
    const fact = (label: string, value: string | HTMLElement) => h("div", {}, h("dt", {}, label), h("dd", {}, value))
    const body = entry.open && h(
      "div",
      { class: "entry-body" },
      row.reason !== null && h("p", { class: "reason" }, badge("refused"), " ", outside(row.reason, "message")),
      row.verdicts.length > 0 && h("ul", { class: "verdicts" }, ...row.verdicts.map(verdictItem)),
      row.more > 0 && h("p", { class: "dim" }, `and ${Format.plural(row.more, "verdict")} more`),
      row.verdicts.length === 0 && row.reason === null &&
        h(
          "p",
          { class: "dim" },
          row.fault === null
            ? "Datadog would take it as it is."
            : "This is the fault's answer, not Datadog's."
        ),
      h(
        "dl",
        { class: "facts" },
        fact("Received", Format.clock(row.at, true)),
        fact("Size", `${row.bytes.toLocaleString("en-US")} B, unpacked ${row.unpackedBytes.toLocaleString("en-US")} B`),
        fact("Encoding", outside(row.encoding, "")),
        fact("Items", `${Format.count(row.items)}, with ${Format.plural(row.points, "point")}`),
        fact("User agent", outside(row.userAgent === "" ? "–" : row.userAgent, "")),
        row.fault === null ? fact("Fault", "none") : fact("Fault", outside(row.fault, "code"))
      )
    )
    entry.root.replaceChildren(summary, ...body === false ? [] : [body])
    setAttribute(entry.root, "data-open", entry.open ? "" : undefined)
  }

  const refreshLog = () => {
    const until = asOf()
    const counts = new Map<Filter, number>()
    const shown: Array<Element> = []
    let matching = 0
    for (const row of [...state.requests.values()].reverse()) {
      if (row.at > until) continue
      for (const { name } of chips) {
        if (passes(row, name, code)) counts.set(name, (counts.get(name) ?? 0) + 1)
      }
      if (!passes(row, filter, code)) continue
      if (matching++ >= most) continue
      let entry = entries.get(row.id)
      if (entry === undefined) {
        entry = { root: h("li", { class: "entry" }), row, open: false }
        entries.set(row.id, entry)
        fill(entry)
      } else if (entry.row !== row) {
        entry.row = row
        fill(entry)
      }
      shown.push(entry.root)
    }
    const wanted = new Set(shown)
    for (const [id, entry] of entries) {
      if (!wanted.has(entry.root) && !(entry.open && state.requests.has(id))) entries.delete(id)
    }
    setChildren(parts.log, shown)
    for (const { chip, count, name } of chips) {
      setText(count, Format.count(counts.get(name) ?? 0))
      setAttribute(chip, "aria-pressed", String(name === filter))
    }
    parts.more.hidden = matching <= most
    setText(
      parts.more,
      `Show ${Format.count(Math.min(page, matching - most))} older of ${Format.count(matching - most)}`
    )
    parts.none.hidden = matching > 0
    setText(parts.none, state.requests.size === 0 ? "Nothing was sent yet." : "No request like that.")
  }

  const refresh = () => {
    refreshHealth()
    refreshLog()
  }

  return { refresh }
}

const statusOf = ({ protocol, status }: RequestRow): string =>
  status !== null ? String(status) : protocol === "dogstatsd" ? "UDP" : "…"
