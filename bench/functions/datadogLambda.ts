/** Its API address is always https, so it writes to its log instead: no request is sent. */
import type { DatadogLambda } from "../peers.js"

const { datadog, sendDistributionMetric }: DatadogLambda = require("datadog-lambda-js")

export const handler = datadog(async () => {
  sendDistributionMetric("orders.received", 1, "shop:eu")
  return "done"
}, { logForwarding: true, enhancedMetrics: false })
