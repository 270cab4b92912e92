import { Writable } from "node:stream"
import { names, recordAll, type Recorder } from "../children/workload.js"
import type { HotShots } from "../peers.js"
import type { MakeSubject } from "./subject.js"

const { StatsD }: HotShots = require("hot-shots")

/**
 * DogStatsD over a transport that counts and throws away, with aggregation and datagrams of 8 kB. Histograms and
 * distributions are not aggregated by it: each goes out at once, while it is recorded.
 */
export const make: MakeSubject = async () => {
  const sent = Buffer.allocUnsafe(256 * 1024 * 1024)
  let [bytes, counts, gauges, histograms, distributions] = [0, 0, 0, 0, 0]
  const kinds = new Map(names.map(({ kind, name }) => [name, kind]))
  const gaugeValues = new Map<string, number>()
  const read = (text: string) => {
    for (const line of text.split("\n")) {
      const [name, value] = line.split(/[:|]/) as [string, string]
      switch (kinds.get(name)) {
        case "count":
          counts += Number(value)
          break
        case "gauge":
          gaugeValues.set(line.slice(line.indexOf("|#")) + name, Number(value))
          break
        case "histogram":
          histograms++
          break
        case "distribution":
          distributions++
      }
    }
  }
  const client = new StatsD({
    aggregation: { flushInterval: 1_000_000, maxContexts: 1_000_000 },
    maxBufferSize: 8192,
    bufferFlushInterval: 1_000_000,
    stream: new Writable({
      decodeStrings: false,
      write: (data: string, _, callback) => {
        bytes += sent.write(data, bytes)
        callback()
      }
    }),
    protocol: "stream"
  })
  const recorder: Recorder = {
    count: ({ name, tags: [a, b, c] }, value) => client.increment(name, value, [a, b, c]),
    gauge: ({ name, tags: [a, b, c] }, value) => client.gauge(name, value, [a, b, c]),
    histogram: ({ name, tags: [a, b, c] }, value) => client.histogram(name, value, [a, b, c]),
    distribution: ({ name, tags: [a, b, c] }, value) => client.distribution(name, value, [a, b, c])
  }
  return {
    record: (workload) => recordAll(recorder, workload),
    flush: async () => {
      await new Promise<void>((resolve) => client.flush(() => resolve()))
      return {
        bytes,
        check: () => {
          read(sent.toString("utf8", 0, bytes))
          for (const value of gaugeValues.values()) gauges += value
          return { totals: { counts, gauges, histograms, distributions } }
        }
      }
    }
  }
}
