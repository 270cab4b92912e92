/**
 * What Datadog takes at most. Sources: Datadog API reference (v1 metrics and events) and documentation ("Custom
 * metrics", "Getting started with tags").
 */

/** Characters of a metric's whole name, namespace and suffix included. */
export const nameLength = 200

/** Characters of a tag. */
export const tagLength = 200

/** Tags of a point or event. Datadog publishes no limit; its Lambda extension drops a metric with more than 100. */
export const maxTags = 1000

/** Characters of a host name (RFC 1123). */
export const hostLength = 255

/** Characters of an event's text and aggregation key. */
export const event = { text: 4000, aggregationKey: 100 }

const hour = 3_600_000

/** How far from now a time may be, in milliseconds. */
export const pointWindow = { past: hour, future: hour / 6 }
export const eventWindow = { past: 18 * hour, future: 2 * hour }

/** From which part of one of our own limits on it is near. */
export const nearlyFull = 0.8

/** Sums of finite values can overflow; what goes on the wire has to be a JSON number. */
export const finite = (x: number): number => Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, x))
