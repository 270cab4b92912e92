/** The DogStatsD encoder without a socket: lines and packets of a batch, and a client whose packets go to a callback. */
import * as Reporter from "effect-threadstats/Reporter"
import type { DistributionSeries, SampleSeries } from "effect-threadstats/Series"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import type * as ThreadStatsConfig from "effect-threadstats/ThreadStatsConfig"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { bufferSize, type LineFormat, type RefusedItem } from "../../src/internal/dogstatsd/format.js"
import * as Packets from "../../src/internal/dogstatsd/packets.js"
import * as SetMembers from "../../src/internal/dogstatsd/setMembers.js"
import * as TimestampAllocator from "../../src/internal/dogstatsd/timestampAllocator.js"
import { layerEventsAggregatorWith, layerMetricsAggregatorWith, layerReporterWith } from "../support/layers.js"
import { fromWire, type WireItem } from "../support/wireReporter.js"
import { parse } from "./lineParser.js"

/** Format for an Agent over UDP, without times. */
export const agentFormat: LineFormat = {
  profile: "agent",
  sets: "members",
  tagFormat: "dogstatsd",
  packed: true,
  timestamps: "never",
  packetSize: 1432,
  tags: [],
  origin: ""
}

/** Format for the Lambda extension. */
export const extensionFormat: LineFormat = {
  profile: "extension",
  sets: "count",
  tagFormat: "dogstatsd",
  packed: false,
  timestamps: "always",
  packetSize: bufferSize,
  tags: [],
  origin: ""
}

/** One encoded batch. */
export interface Encoded {
  readonly packets: ReadonlyArray<Packets.Packet>
  readonly refused: ReadonlyArray<RefusedItem>
  readonly lines: ReadonlyArray<string>
  /** Marks every item as sent. */
  readonly markSent: () => void
}

/** Returns a gauge or a count as the samples that a client reports for it. */
const toSamples = (item: WireItem) =>
  "title" in item || "weight" in item || item.type === "distribution" ? item : {
    ...item,
    type: item.type === "gauge" ? "gauge" as const : "counter" as const,
    points: item.points.map(([time, value]) => [time, [value]] as const),
    weight: 1
  }

/** An encoder that remembers the batches that were sent, as a reporter does. Times are in seconds. */
export const makeEncoder = (format: Partial<LineFormat> = {}) => {
  const timestamps = TimestampAllocator.make()
  const members = SetMembers.make()
  return (batch: ReadonlyArray<WireItem>, now = 0): Encoded => {
    const encoded = Packets.encode(batch.map(toSamples), {
      format: { ...agentFormat, ...format },
      timestamps,
      members,
      now
    })
    const results = Array.from(encoded.packets)
    const packets = results.filter((result) => result._tag === "Packet")
    const refused = results.filter((result) => result._tag === "Refused")
    return {
      packets,
      refused,
      lines: linesIn(packets.map(({ body }) => body)),
      markSent: () => {
        const refusedItems = new Set(refused.map(({ index }) => index))
        batch.forEach((_, index) => refusedItems.has(index) || encoded.markSent(index))
      }
    }
  }
}

/** The lines of packets. Each packet must end with a line feed, and each line must be valid. */
export const linesIn = (packets: ReadonlyArray<Uint8Array>): ReadonlyArray<string> =>
  packets.flatMap((packet) => {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(packet)
    if (!text.endsWith("\n")) throw new Error(`a packet ends within a line: ${JSON.stringify(text.slice(-200))}`)
    const lines = text.slice(0, -1).split("\n")
    lines.forEach(parse)
    return lines
  })

/** The lines of one batch that a new encoder writes. It fails if the encoder refuses an item. */
export const encodeLines = (
  batch: ReadonlyArray<WireItem>,
  format: Partial<LineFormat> = {},
  now = 0
): ReadonlyArray<string> => {
  const { lines, refused } = makeEncoder(format)(batch, now)
  if (refused.length > 0) throw new Error(refused.map(({ description }) => description).join())
  return lines
}

export const sample = (
  type: SampleSeries["type"],
  metric: string,
  values: ReadonlyArray<number | string>,
  more: Partial<SampleSeries> = {}
): SampleSeries => ({ metric, points: [[1_700_000_000, values]], weight: 1, type, tags: [], interval: 10, ...more })

/** One distribution of `n` different values. */
export const manyValues = (n: number): DistributionSeries => ({
  metric: "d",
  points: [[0, Array.from({ length: n }, (_, i) => i + 0.5)]],
  type: "distribution",
  tags: ["ü:ü"],
  interval: 10
})

/** A client over an encoder. Each packet goes to the callback, and counts as delivered. */
export const layerClient = (
  format: Partial<LineFormat>,
  onPacket: (packet: Buffer) => void,
  options: ThreadStatsConfig.ThreadStatsOptions = {}
): Layer.Layer<ThreadStats.ThreadStats> => {
  const encode = makeEncoder(format)
  const deliver = (batch: ReadonlyArray<WireItem>) =>
    Effect.map(Clock.currentTimeMillis, (now): Reporter.Receipt => {
      const { markSent, packets, refused } = encode(batch, Math.floor(now / 1000))
      if (refused.length > 0) throw new Error(refused.map(({ description }) => description).join())
      packets.forEach(({ body }) => onPacket(body))
      markSent()
      const bytes = packets.reduce((sum, { body }) => sum + body.byteLength, 0)
      return { items: batch.length, payloads: packets.length, bytes, retries: 0 }
    })
  return layerReporterWith({ periodicFlush: false, ...options }).pipe(
    Layer.provide(Layer.mergeAll(
      Layer.succeed(
        Reporter.Reporter,
        fromWire({
          temporality: "delta",
          flushMetrics: deliver,
          flushSamples: deliver,
          flushDistributions: deliver,
          flushEvents: deliver,
          warm: Effect.void
        })
      ),
      Layer.fresh(layerMetricsAggregatorWith(options)),
      Layer.fresh(layerEventsAggregatorWith(options))
    )),
    Layer.orDie
  )
}
