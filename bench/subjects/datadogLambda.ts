import { recordAll, type WorkloadSeries } from "../children/workload.js"
import type { DatadogLambdaBatcher, DatadogLambdaModel } from "../peers.js"
import type { MakeSubject } from "./subject.js"

const { Batcher }: DatadogLambdaBatcher = require("datadog-lambda-js/dist/metrics/batcher.js")
const { Distribution }: DatadogLambdaModel = require("datadog-lambda-js/dist/metrics/model.js")

/** Keeps the points of its processor between two flushes. It has distributions only; a call copies all points of its series. */
export const make: MakeSubject = async () => {
  const batcher = new Batcher()
  const record = ({ name, tags: [a, b, c] }: WorkloadSeries, value: number) =>
    batcher.add(new Distribution(name, [{ timestamp: new Date(), value }], a, b, c))
  return {
    record: (workload) =>
      recordAll({ count: record, gauge: record, histogram: record, distribution: record }, workload),
    flush: async () => {
      const series = batcher.toAPIMetrics()
      const body = JSON.stringify({ series })
      return {
        bytes: Buffer.byteLength(body),
        check: () => {
          const values = series.filter(({ metric }) => metric.startsWith("http."))
            .flatMap(({ points }) => points.flatMap(([, values]) => values))
          return {
            totals: { distributions: values.length, sum: values.reduce((sum, value) => sum + value, 0) }
          }
        }
      }
    }
  }
}
