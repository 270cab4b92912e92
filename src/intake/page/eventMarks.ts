/** Marks of events on a plot. */

/** Position of a mark, and the alert type of its event. */
export type EventMark = readonly [x: number, alertType: string]

/** Alert types from the least to the most severe. */
const severities: ReadonlyArray<string> = ["info", "success", "warning", "error"]

/**
 * Merges marks that are closer than `minGap` to the one before them: many events would hide the plot. A merged mark has the most
 * severe type of its events.
 */
export const mergeMarks = (marks: ReadonlyArray<EventMark>, minGap: number): ReadonlyArray<EventMark> => {
  const merged: Array<EventMark> = []
  for (const [x, alertType] of [...marks].sort(([a], [b]) => a - b)) {
    const last = merged.at(-1)
    if (last === undefined || x - last[0] >= minGap) merged.push([x, alertType])
    else if (severities.indexOf(alertType) > severities.indexOf(last[1])) {
      merged[merged.length - 1] = [last[0], alertType]
    }
  }
  return merged
}
