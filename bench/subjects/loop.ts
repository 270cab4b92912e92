/** The loop itself, and the clock and the tags that every client needs: what no client can be faster than. */
import { recordAll, type Workload } from "../children/workload.js"
import type { MakeSubject } from "./subject.js"

/** Only the loop: every value is added to a sum. */
export const make: MakeSubject = async () => {
  let [counts, gauges, histograms, distributions] = [0, 0, 0, 0]
  return {
    record: (workload: Workload) =>
      recordAll({
        count: (_, value) => {
          counts += value
        },
        gauge: (_, value) => {
          gauges += value
        },
        histogram: () => {
          histograms++
        },
        distribution: () => {
          distributions++
        }
      }, workload),
    flush: async () => ({ check: () => ({ totals: { counts, histograms, distributions } }), gauges })
  }
}
