import { keys, names, recordAll, type Recorder, type WorkloadSeries } from "../children/workload.js"
import type { PromClient } from "../peers.js"
import type { MakeSubject } from "./subject.js"

const { Counter, Gauge, Histogram, Registry }: PromClient = require("prom-client")

/** It has no distributions: they are histograms, too. */
export const make: MakeSubject = async () => {
  const registry = new Registry()
  const named = (name: string) => ({
    name: name.replaceAll(".", "_"),
    help: name,
    labelNames: [...keys],
    registers: [registry]
  })
  const instruments = <A>(kinds: ReadonlyArray<string>, make: (name: string) => A) =>
    new Map(names.filter(({ kind }) => kinds.includes(kind)).map(({ name }) => [name, make(name)]))
  const counters = instruments(["count"], (name) => new Counter(named(name)))
  const gauges = instruments(["gauge"], (name) => new Gauge(named(name)))
  const histograms = instruments(
    ["histogram", "distribution"],
    (name) => new Histogram({ ...named(name), buckets: [1, 10, 100, 1000] })
  )
  const labelsOf = ({ labels: [service, route, customer] }: WorkloadSeries) => ({ service, route, customer })
  const recorder: Recorder = {
    count: (series, value) => counters.get(series.name)!.inc(labelsOf(series), value),
    gauge: (series, value) => gauges.get(series.name)!.set(labelsOf(series), value),
    histogram: (series, value) => histograms.get(series.name)!.observe(labelsOf(series), value),
    distribution: (series, value) => histograms.get(series.name)!.observe(labelsOf(series), value)
  }
  const isOf = (kind: string) => {
    const wanted = names.filter((name) => name.kind === kind).map(({ name }) => name.replaceAll(".", "_"))
    return (line: string) => wanted.some((name) => line.startsWith(`${name}{`) || line.startsWith(`${name}_count{`))
  }
  return {
    record: (workload) => recordAll(recorder, workload),
    flush: async () => {
      const text = await registry.metrics()
      const sumOf = (kind: string) =>
        text.split("\n").filter(isOf(kind)).reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0)
      return {
        bytes: Buffer.byteLength(text),
        check: () => ({
          totals: {
            counts: sumOf("count"),
            gauges: sumOf("gauge"),
            histograms: sumOf("histogram"),
            distributions: sumOf("distribution")
          }
        })
      }
    }
  }
}
