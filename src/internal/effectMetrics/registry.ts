/** Publishes the metrics of Effect's registry. */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as MetricKey from "effect/MetricKey"
import * as MutableHashMap from "effect/MutableHashMap"
import * as Option from "effect/Option"
import * as DropCounters from "../model/DropCounters.js"
import { decodeTags, makeCutTag } from "../model/tags.js"
import { logFrom } from "../runtime/log.js"
import { metricName, metricTags } from "./names.js"
import type { EffectMetricsOptions } from "./options.js"
import * as Publishers from "./publishers.js"
import type { Sink } from "./sink.js"

export interface RegistryPublisher {
  /** Records the changes of all metrics since the last call. */
  readonly publish: (sink: Sink) => void
  readonly hasProblems: () => boolean
  /** Logs one warning per kind of problem since the last call. It succeeds even if the logger throws. */
  readonly logProblems: Effect.Effect<void>
}

type MappingProblem = "OptionFailed" | "SharedName" | "TagTooLong"

export const make = (
  { filter, rename, tags }: Pick<EffectMetricsOptions, "filter" | "rename" | "tags">,
  context: Publishers.PublisherContext
): RegistryPublisher => {
  const publishers = MutableHashMap.empty<MetricKey.MetricKey.Untyped, Publishers.Publisher>()
  const problems = DropCounters.make<MappingProblem>()
  const nameOf = makeNames((name) => problems.count("SharedName", name))
  let lastCause: unknown

  const tagsOf = (key: MetricKey.MetricKey.Untyped): ReadonlyArray<string> => {
    const labels = metricTags(key.tags)
    const result = decodeTags(
      tags === undefined ? labels : tags(labels, key),
      makeCutTag(() => problems.count("TagTooLong", key.name))
    )
    if (typeof result === "string") throw new TypeError(`The tags of ${key.name} are invalid: ${result}`)
    return result
  }

  const getPublisher = (key: MetricKey.MetricKey.Untyped): Publishers.Publisher => {
    const known = Option.getOrUndefined(MutableHashMap.get(publishers, key))
    if (known !== undefined) return known
    const made = filter !== undefined && !filter(key)
      ? Publishers.noopPublisher
      : Publishers.make(key, nameOf(rename === undefined ? key.name : rename(key.name, key)), tagsOf(key), context)
    MutableHashMap.set(publishers, key, made)
    return made
  }

  return {
    publish: (sink) => {
      for (const { metricKey, metricState } of Metric.unsafeSnapshot()) {
        try {
          getPublisher(metricKey)(metricState, sink)
        } catch (cause) {
          // A function of the options failed, or the metric is not readable. All others are published.
          MutableHashMap.set(publishers, metricKey, Publishers.noopPublisher)
          problems.count("OptionFailed", metricKey.name)
          lastCause = cause
        }
      }
    },
    hasProblems: problems.hasUnreported,
    logProblems: Effect.suspend(() => {
      const cause = lastCause
      lastCause = undefined
      return Effect.forEach(
        problems.drainUnreported(),
        (problem) => logFrom("EffectMetrics")(logProblem(problem, cause)),
        { discard: true }
      )
    })
  }
}

const logProblem = (
  { count, names, reason }: DropCounters.UnreportedDrops<MappingProblem>,
  cause: unknown
): Effect.Effect<void> =>
  reason === "OptionFailed"
    ? Effect.logWarning(
      `Left out ${count} of Effect's metrics (${
        names.join(", ")
      }): reading a metric, or a function of the options, failed`,
      cause
    )
    : reason === "TagTooLong"
    ? Effect.logWarning(
      `Tags of Effect's metrics cut to 200 characters, Datadog's limit: ${count} (${names.join(", ")}). Shorten them`
    )
    : Effect.logWarning(
      `Reported ${count} of Effect's metrics under the name of another one (${names.join(", ")}). Use the option rename`
    )

/** Returns the name at Datadog, and reports an original name whose name at Datadog belongs to another one. */
const makeNames = (onSharedName: (originalName: string) => void) => {
  const names = new Map<string, string>()
  const owned = new Set<string>()
  return (originalName: string): string => {
    const known = names.get(originalName)
    if (known !== undefined) return known
    const name = metricName(originalName)
    names.set(originalName, name)
    if (owned.has(name)) onSharedName(originalName)
    owned.add(name)
    return name
  }
}
