/** Documentation of an environment variable. */
export interface VariableDescription {
  readonly name: string
  readonly description: string
}

/** Environment variables of the client. Tests compare them with the settings and with `docs/settings.md`. */
export const clientVariables: ReadonlyArray<VariableDescription> = [
  { name: "DD_THREADSTATS_NAMESPACE", description: "Prefix of every metric name, joined with a dot." },
  { name: "DD_HOSTNAME", description: "Host name of the client." },
  {
    name: "DD_THREADSTATS_ATTACH_HOST",
    description: "Whether points recorded without a host carry the client's host."
  },
  { name: "DD_THREADSTATS_DEVICE", description: "Device of every metric." },
  { name: "DD_THREADSTATS_ROLL_UP_INTERVAL", description: "Length of a roll-up bucket, in seconds." },
  {
    name: "DD_THREADSTATS_FLUSH_INTERVAL",
    description: "Time between periodic flushes, in seconds; off disables them."
  },
  { name: "DD_THREADSTATS_PERIODIC_FLUSH", description: "Whether the layer flushes periodically." },
  { name: "DD_THREADSTATS_FLUSH_TIMEOUT", description: "Time limit of one flush, in seconds." },
  { name: "DD_THREADSTATS_REQUEST_TIMEOUT", description: "Time limit of one request, in seconds." },
  { name: "DD_THREADSTATS_DISABLED", description: "Whether the client records and sends nothing." },
  { name: "DD_THREADSTATS_COMPRESS", description: "Whether HTTP bodies are compressed." },
  { name: "DD_THREADSTATS_SERIES_VERSION", description: "Version of Datadog's endpoint for series." },
  { name: "DD_THREADSTATS_UNITS", description: "Units by metric name, for series v2." },
  { name: "DD_THREADSTATS_PERCENTILES", description: "Percentiles of histograms and timings." },
  { name: "DD_THREADSTATS_AGGREGATES", description: "Aggregates of histograms and timings." },
  { name: "DD_THREADSTATS_SUBMIT_AS", description: "Form in which counters, histograms and timings are sent." },
  { name: "DD_THREADSTATS_SAMPLE_SIZE", description: "Number of values that a histogram samples for its percentiles." },
  { name: "DD_THREADSTATS_MAX_SERIES", description: "Limit of pending series." },
  { name: "DD_THREADSTATS_MAX_VALUES", description: "Limit of pending distribution values." },
  { name: "DD_THREADSTATS_MAX_EVENTS", description: "Limit of pending events." },
  { name: "DD_THREADSTATS_MAX_BYTES", description: "Limit of the memory that pending data takes, in bytes." },
  {
    name: "DD_THREADSTATS_DELIVERY",
    description: "Whether distributions and events that may have arrived are sent again."
  },
  { name: "DD_THREADSTATS_SELF_METRICS", description: "Whether the client reports its own stats as metrics." },
  { name: "DD_THREADSTATS_TIMER_UNIT", description: "Unit of timers." },
  { name: "DD_THREADSTATS_ACCEPTED_TIMESTAMPS", description: "Times that the client accepts." },
  { name: "DD_SITE", description: "Datadog site." },
  { name: "DATADOG_HOST", description: "Base URL of Datadog's API." },
  { name: "DATADOG_API_KEY", description: "API key." },
  { name: "DD_ENV", description: "Value of the env tag." },
  { name: "DD_SERVICE", description: "Value of the service tag." },
  { name: "DD_VERSION", description: "Value of the version tag." },
  { name: "DD_API_KEY", description: "API key if DATADOG_API_KEY is absent." },
  { name: "DATADOG_TAGS", description: "Tags of every metric and event, separated by commas." },
  {
    name: "DD_TAGS",
    description: "Tags of every metric and event, separated by commas, or by spaces without any comma."
  }
]
