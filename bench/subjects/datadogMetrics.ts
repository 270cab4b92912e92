import { recordAll, type Recorder, totalsOfBodies } from "../children/workload.js"
import type { DatadogMetrics } from "../peers.js"
import type { MakeSubject } from "./subject.js"

const { BufferedMetricsLogger }: DatadogMetrics = require("datadog-metrics")

export const make: MakeSubject = async () => {
  let bodies: ReadonlyArray<string> = []
  const logger = new BufferedMetricsLogger({
    apiKey: "0123456789abcdef0123456789abcdef",
    flushIntervalSeconds: 0,
    histogram: { aggregates: ["min", "max", "count", "avg"], percentiles: [0.75, 0.85, 0.95, 0.99] },
    reporter: {
      /** Sends distributions apart, like the client's own reporter. */
      report: async (series) => {
        const distributions = series.filter(({ type }) => type === "distribution")
        const others = series.filter(({ type }) => type !== "distribution")
        bodies = [others, distributions].map((series) => JSON.stringify({ series }))
      }
    }
  })
  const recorder: Recorder = {
    count: ({ name, tags: [a, b, c] }, value) => logger.increment(name, value, [a, b, c]),
    gauge: ({ name, tags: [a, b, c] }, value) => logger.gauge(name, value, [a, b, c]),
    histogram: ({ name, tags: [a, b, c] }, value) => logger.histogram(name, value, [a, b, c]),
    distribution: ({ name, tags: [a, b, c] }, value) => logger.distribution(name, value, [a, b, c])
  }
  return {
    record: (workload) => recordAll(recorder, workload),
    flush: async () => {
      await logger.flush()
      const bytes = bodies.reduce((sum, body) => sum + Buffer.byteLength(body), 0)
      return { bytes, check: () => ({ totals: totalsOfBodies(bodies), jsonBytes: bytes }) }
    }
  }
}
