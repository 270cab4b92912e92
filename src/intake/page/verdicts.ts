/** Badges of verdicts: a color, an icon and a word. */
import type { RequestRow } from "../feedProtocol.js"
import type { Verdict } from "../verdict.js"
import { h, icon, outsideText } from "./dom.js"

export type Outcome = Verdict["outcome"]

/** Outcomes from the worst to the best. */
export const outcomes = [
  "refused",
  "dropped",
  "overwritten",
  "rewritten",
  "warning",
  "accepted"
] as const satisfies ReadonlyArray<Outcome>

/** Returns the outcomes of a request and their numbers, worst first. */
export const outcomesOf = (request: RequestRow): ReadonlyArray<readonly [outcome: Outcome, times: number]> => {
  const times = new Map<Outcome, number>()
  for (const { outcome } of request.verdicts) times.set(outcome, (times.get(outcome) ?? 0) + 1)
  if (request.status !== null && request.status >= 400 && !times.has("refused")) times.set("refused", 1)
  return outcomes.flatMap((outcome) => times.has(outcome) ? [[outcome, times.get(outcome)!] as const] : [])
}

/** Creates the badge of an outcome. */
export const makeBadge = (outcome: Outcome, times = 1): HTMLElement =>
  h("span", { class: `badge ${outcome}` }, icon(outcome), times > 1 ? `${outcome} ×${times}` : outcome)

/** Creates the list item of a verdict. */
export const makeVerdictItem = ({ code, message, metric, outcome }: Verdict): HTMLElement =>
  h(
    "li",
    {},
    makeBadge(outcome),
    h(
      "span",
      { class: "verdict-text" },
      outsideText(code, "code"),
      " ",
      outsideText(message, "message"),
      metric !== null && !message.includes(metric) && h("span", { class: "dim" }, " · ", outsideText(metric))
    )
  )
