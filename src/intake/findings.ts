/** Findings: verdicts other than `accepted`, counted by outcome, code and metric. */
import type { Health } from "./feedProtocol.js"
import type { Finding, Writable } from "./model.js"
import type { Verdict } from "./verdict.js"

/** Maximum number of findings. The oldest one is evicted first. */
const maxFindings = 1000

export class Findings {
  private readonly byKey = new Map<string, Writable<Finding>>()
  private readonly health: Writable<Health>

  constructor(health: Writable<Health>) {
    this.health = health
  }

  /** Counts the verdicts. */
  add(verdicts: ReadonlyArray<Verdict>): void {
    const totals: Record<string, number> = { ...this.health.verdicts }
    for (const verdict of verdicts) {
      if (verdict.outcome === "accepted") continue
      totals[verdict.code] = (totals[verdict.code] ?? 0) + 1
      const key = JSON.stringify([verdict.outcome, verdict.code, verdict.metric])
      const finding = this.byKey.get(key)
      if (finding === undefined) this.byKey.set(key, { ...verdict, count: 1 })
      else finding.count++
      if (this.byKey.size > maxFindings) this.byKey.delete(this.byKey.keys().next().value!)
    }
    this.health.verdicts = totals
  }

  /** Returns a copy of the findings, oldest first. */
  all(): ReadonlyArray<Finding> {
    return Array.from(this.byKey.values(), (finding) => ({ ...finding }))
  }

  clear(): void {
    this.byKey.clear()
  }
}
