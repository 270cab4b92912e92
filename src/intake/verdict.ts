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

/** Creates a verdict. */
export const makeVerdict = (
  outcome: Verdict["outcome"],
  code: string,
  metric: string | null,
  message: string
): Verdict => ({ outcome, code, message, metric })

/** Returns whether Datadog keeps the data of the verdict. */
export const isAccepted = ({ outcome }: Verdict): boolean => outcome === "accepted"

/** Returns whether Datadog drops or refuses the data of the verdict. */
export const isLoss = ({ outcome }: Verdict): boolean => outcome === "dropped" || outcome === "refused"

/** Quotes text from outside for a message. Control characters are escaped, and text beyond 80 characters is cut off. */
export const quoteText = (text: string): string => JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)
