/** Verdicts: what Datadog does with a payload or a part of it, and why. */

/**
 * Treatment of a payload, or of a part of it, by Datadog.
 *
 * @since 0.1.0
 * @category models
 */
export interface Verdict {
  /** Treatment in one word. `dropped` means that Datadog answers 202 and does not keep the data. */
  readonly outcome: "accepted" | "refused" | "dropped" | "rewritten" | "overwritten" | "warning"
  /** Reason as an identifier, such as `TooOld`, `NotFinite` or `NameRewritten`. */
  readonly code: string
  /** Reason as a sentence, with names and numbers. */
  readonly message: string
  /** Name of the metric; `null` if the verdict concerns no metric. */
  readonly metric: string | null
}

/** Maximum length of a message or a name in a verdict, in characters. */
const maxTextLength = 400

/** Cuts text to one line of limited length. Names and messages of clients can have megabytes. */
export const cutToLine = (text: string): string => {
  const end = text.search(/[\r\n]/)
  const length = Math.min(end < 0 ? text.length : end, maxTextLength)
  return length === text.length ? text : `${text.slice(0, length)}…`
}

/** Creates a verdict. */
export const makeVerdict = (
  outcome: Verdict["outcome"],
  code: string,
  metric: string | null,
  message: string
): Verdict => ({ outcome, code, message: cutToLine(message), metric: metric === null ? null : cutToLine(metric) })

/** Returns whether Datadog keeps the data of the verdict. */
export const isAccepted = ({ outcome }: Verdict): boolean => outcome === "accepted"

/** Returns whether Datadog drops or refuses the data of the verdict. */
export const isLoss = ({ outcome }: Verdict): boolean => outcome === "dropped" || outcome === "refused"

/** Quotes text from outside for a message. Control characters are escaped, and text beyond 80 characters is cut off. */
export const quoteText = (text: string): string => JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)
