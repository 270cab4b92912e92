import type { Handler } from "../children/warm.js"
import type { DatadogLambda } from "../peers.js"

const { datadog }: DatadogLambda = require("datadog-lambda-js")

/** Nothing is recorded, and it is told to write what is to its log. It traces only where dd-trace is there. */
export const make = async (): Promise<Handler> =>
  datadog(async () => "done", { logForwarding: true, enhancedMetrics: false }) as Handler
