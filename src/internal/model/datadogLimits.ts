/**
 * Datadog's limits. Sources: Datadog API reference (v1 metrics and events) and documentation ("Custom metrics",
 * "Getting started with tags").
 */

/** Maximum length of a metric's name with namespace and suffix, in characters. */
export const nameLength = 200

/** Maximum length of a tag, in characters. */
export const tagLength = 200

/** Maximum number of tags of a point or event. Datadog publishes no limit; its Lambda extension drops metrics above 100. */
export const maxTags = 1000

/** Maximum length of a host name, in characters (RFC 1123). */
export const hostLength = 255

/** Maximum lengths of an event's text and aggregation key, in characters. */
export const event = { text: 4000, aggregationKey: 100 }

const hour = 3_600_000

/** Maximum distance of a point's time from now, in milliseconds. */
export const pointWindow = { past: hour, future: hour / 6 }

/** Maximum distance of an event's time from now, in milliseconds. */
export const eventWindow = { past: 18 * hour, future: 2 * hour }
