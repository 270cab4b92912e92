/** Checks of the payloads and counters that a client produces from hostile input. */
import { Schema } from "effect"
import { Event, Series } from "effect-threadstats"
import type { ThreadStats } from "effect-threadstats"
import { inspect } from "node:util"
import { assert } from "vitest"
import * as hostile from "../support/hostile.js"

/** A key that is in no error message. */
export const key = "h0stile-k3y-0123456789abcdef"

/** The time of the test's clock, in milliseconds. */
export const start = 1_700_000_000_000

/** Adds up everything that was delivered, is pending, or was dropped. */
export const sumOf = (counts: ThreadStats.Counts<string>) =>
  counts.delivered + counts.pending + Object.values(counts.dropped).reduce<number>((a, b) => a + (b ?? 0), 0)

const decodeSeries = Schema.decodeUnknownSync(Series.SeriesPayload)
const decodeDistributions = Schema.decodeUnknownSync(Series.DistributionPayload)
const decodeEvent = Schema.decodeUnknownSync(Event.EventPayload)

/** Times in seconds. A bucket may begin one roll-up interval before the window. */
const isPointTime = (time: number, now: number) => time >= now - 3600 - 10 && time <= now + 600
const isEventTime = (time: number, now: number) => time >= now - 18 * 3600 - 1 && time <= now + 2 * 3600

const isShort = (text: unknown, limit: number) => typeof text === "string" && text.length <= limit

/** Fails if Datadog would refuse or change a part of the payload. `now` is in seconds. */
export const assertValid = (path: string, body: unknown, now: number | undefined) => {
  assert.isTrue(hostile.isInterchangeable(body), `${path}: ${inspect(body, { depth: 6 }).slice(0, 2000)}`)
  if (path.endsWith("/events")) {
    const event = decodeEvent(body)
    assert.isTrue(Number.isInteger(event.date_happened))
    if (now !== undefined) assert.isTrue(isEventTime(event.date_happened!, now))
    assert.isTrue((event.tags ?? []).every((tag) => isShort(tag, 200)))
    assert.isTrue((event.host?.length ?? 0) <= 255)
    return
  }
  const { series } = path.endsWith("/series") ? decodeSeries(body) : decodeDistributions(body)
  assert.isAbove(series.length, 0)
  for (const { host, metric, points, tags } of series) {
    assert.match(metric, /^[A-Za-z]/)
    assert.isTrue(isShort(metric, 200))
    assert.isTrue((tags ?? []).every((tag) => isShort(tag, 200) && tag !== ""))
    assert.isTrue((host?.length ?? 0) <= 255)
    assert.strictEqual(points.length, 1)
    if (now !== undefined) assert.isTrue(points.every(([time]) => isPointTime(time, now)), `${points[0]![0]} at ${now}`)
  }
}
