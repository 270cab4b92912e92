/** Tiles with the totals of the intake. */
import type { Health } from "../feedProtocol.js"
import { h, setText } from "./dom.js"
import * as Format from "./format.js"

const tiles: ReadonlyArray<readonly [label: string, format: (health: Health) => string]> = [
  ["Requests", ({ requests }) => Format.count(requests)],
  ["Refused", ({ refused }) => Format.count(refused)],
  ["Datagrams", ({ datagrams }) => Format.count(datagrams)],
  ["Sent bytes", ({ bytes }) => Format.joined(Format.bytes(bytes))],
  ["Uncompressed", ({ unpackedBytes }) => Format.joined(Format.bytes(unpackedBytes))],
  ["Compression", ({ bytes, unpackedBytes }) => Format.ratio(bytes, unpackedBytes) || "–"],
  ["Series", ({ series }) => Format.count(series)],
  ["Points", ({ points }) => Format.count(points)],
  ["Distribution values", ({ values }) => Format.count(values)],
  ["Events", ({ events }) => Format.count(events)],
  ["Oldest, removed", ({ evicted }) => Format.count(evicted)]
]

/** Creates the tiles. The returned function shows the totals in them. */
export const make = (container: HTMLElement): (health: Health) => void => {
  const values = tiles.map(([label, format]) => {
    const value = h("dd", { class: "value" })
    container.append(h("div", { class: "tile" }, h("dt", {}, label), value))
    return [value, format] as const
  })
  return (health) => {
    for (const [value, format] of values) setText(value, format(health))
  }
}
