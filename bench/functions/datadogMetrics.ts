/** Its API address is always https, so it only gets as far as building its client: no request is sent. */
import type { DatadogMetrics } from "../peers.js"

const { BufferedMetricsLogger }: DatadogMetrics = require("datadog-metrics")

const logger = new BufferedMetricsLogger({
  apiKey: process.env.DD_API_KEY!,
  flushIntervalSeconds: 0
})
logger.increment("orders.received", 1, ["shop:eu"])

export const handler = async (): Promise<string> => "done"
