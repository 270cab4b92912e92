/** Tiles with the totals of the intake. */
import type { Health } from "../feedProtocol.js"
import { h, setText } from "./dom.js"
import * as Format from "./format.js"

const tiles: ReadonlyArray<readonly [label: string, format: (health: Health) => string, title?: string]> = [
  ["Requests", ({ requests }) => Format.count(requests)],
  ["Refused", ({ refused }) => Format.count(refused)],
  ["Datagrams", ({ datagrams }) => Format.count(datagrams)],
  ["Sent bytes", ({ bytes }) => Format.joined(Format.bytes(bytes))],
  ["Uncompressed", ({ unpackedBytes }) => Format.joined(Format.bytes(unpackedBytes))],
  ["Compression", ({ bytes, unpackedBytes }) => Format.ratio(bytes, unpackedBytes) || "–"],
  ["Series", ({ series }) => Format.count(series)],
  ["Points", ({ points }) => Format.count(points)],
  ["Values", ({ values }) => Format.count(values), "Values of distributions"],
  ["Events", ({ events }) => Format.count(events)],
  ["Removed", ({ evicted }) => Format.count(evicted), "The oldest data, removed to limit the memory of the intake"]
]

/** Creates the tiles. The returned function shows the totals in them. */
export const make = (container: HTMLElement): (health: Health) => void => {
  const values = tiles.map(([label, format, title]) => {
    const value = h("dd", { class: "value" })
    container.append(h("div", { class: "tile", title }, h("dt", {}, label), value))
    return [value, format] as const
  })
  return (health) => {
    for (const [value, format] of values) setText(value, format(health))
  }
}
