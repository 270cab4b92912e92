/**
 * What Datadog would do, in colour, with a sign and with a word.
 */
import type { RequestRow, Verdict } from "../feedProtocol.js"
import { h, icon, outside } from "./dom.js"

export type Outcome = Verdict["outcome"]

/** From the worst to the best. */
export const outcomes = [
  "refused",
  "dropped",
  "overwritten",
  "rewritten",
  "warning",
  "accepted"
] as const satisfies ReadonlyArray<Outcome>

/** Everything that happened to a request, and how often; the worst first. */
export const outcomesOf = (request: RequestRow): ReadonlyArray<readonly [outcome: Outcome, times: number]> => {
  const times = new Map<Outcome, number>()
  for (const { outcome } of request.verdicts) times.set(outcome, (times.get(outcome) ?? 0) + 1)
  if (request.status !== null && request.status >= 400 && !times.has("refused")) times.set("refused", 1)
  return outcomes.flatMap((outcome) => times.has(outcome) ? [[outcome, times.get(outcome)!] as const] : [])
}

export const badge = (outcome: Outcome, times = 1): HTMLElement =>
  h("span", { class: `badge ${outcome}` }, icon(outcome), times > 1 ? `${outcome} ×${times}` : outcome)

export const verdictItem = ({ code, message, metric, outcome }: Verdict): HTMLElement =>
  h(
    "li",
    {},
    badge(outcome),
    h(
      "span",
      { class: "verdict-text" },
      outside(code, "code"),
      " ",
      outside(message, "message"),
      metric !== null && !message.includes(metric) && h("span", { class: "dim" }, " · ", outside(metric))
    )
  )
