/**
 * How the points of a kind become one value of a bucket.
 *
 * - `sum`: points add up
 * - `last`: the newest point counts
 * - `unique`: points are members of a set
 * - `summary`: points become aggregates and percentiles
 * - `values`: every point is sent
 */
export type Accumulation = "sum" | "last" | "unique" | "summary" | "values"

/** Table of the kinds of metric. A new kind is one entry here. The compiler names the other places. */
export const metricKinds = {
  counter: "sum",
  gauge: "last",
  set: "unique",
  histogram: "summary",
  timing: "summary",
  distribution: "values"
} as const satisfies { readonly [kind: string]: Accumulation }

export type Kind = keyof typeof metricKinds

/** Kinds whose points become a value in one of these ways. */
export type KindOf<A extends Accumulation> = { [K in Kind]: typeof metricKinds[K] extends A ? K : never }[Kind]

/** All kinds, in the order of the table. */
export const kinds = /*#__PURE__*/ Object.keys(metricKinds) as ReadonlyArray<Kind>

/** Returns the kinds whose points become a value in one of these ways. */
export const kindsOf = (...accumulations: ReadonlyArray<Accumulation>): ReadonlyArray<Kind> =>
  kinds.filter((kind) => accumulations.includes(metricKinds[kind]))

export type Aggregate = "min" | "max" | "count" | "avg" | "sum" | "median"

export type SubmissionType = "series" | "distributions"

/** Returns how a client accumulates points of a kind: with `submitAs: "distributions"` it sends every value of a summary. */
export const accumulationOf = (kind: Kind, submitAs: SubmissionType): Accumulation => {
  const accumulation = metricKinds[kind]
  return accumulation === "summary" && submitAs === "distributions" ? "values" : accumulation
}

/** Returns true if points of both kinds can share one roll-up: a timing is a histogram, as in the reference. */
export const isSameRollUp = (a: Kind, b: Kind): boolean => metricKinds[a] === metricKinds[b]

/** Returns true if points of this kind are sent as values of a distribution. A receiver adds such values up. */
export const isAdditive = (kind: Kind, submitAs: SubmissionType): boolean => {
  const accumulation = accumulationOf(kind, submitAs)
  return accumulation === "values" || (accumulation === "sum" && submitAs === "distributions")
}

/** Returns true if the content of a series is one number. */
export const isScalar = (accumulation: Accumulation): boolean => accumulation === "sum" || accumulation === "last"
