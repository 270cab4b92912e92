/** Every function that records, as a call with hostile arguments. */
import { Effect } from "effect"
import { ThreadStats } from "effect-threadstats"
import * as hostile from "../support/hostile.js"
import { eventOptions, unsafeKinds } from "./calls.js"

const { lie } = hostile

type Client = ThreadStats.ThreadStats["Type"]

/** Records once with a name or title, a value or text, and options. */
export type Call = (...given: Arguments) => unknown

export type Arguments = readonly [name: unknown, value: unknown, options: unknown]

export interface RecordingFunction {
  readonly label: string
  readonly records: "metrics" | "events"
  /** Names of its options. */
  readonly options: ReadonlyArray<string>
  /** The value of a call whose other arguments are hostile. */
  readonly value: unknown
  /** Returns an effect, or records at once. */
  readonly call: Call
}

const effectKinds = ["gauge", "increment", "decrement", "histogram", "distribution", "timing", "set"] as const

const pointOptions = ["tags", "host", "timestamp"]

/** Bound instruments, each with one of its functions. */
const boundCalls = (
  bind: {
    readonly [K in "bindCounter" | "bindGauge" | "bindHistogram" | "bindDistribution" | "bindTiming" | "bindSet"]: (
      name: string,
      options?: ThreadStats.InstrumentOptions
    ) => unknown
  }
): ReadonlyArray<readonly [label: string, call: Call]> =>
  ([
    ["bindCounter", "increment"],
    ["bindCounter", "decrement"],
    ["bindCounter", "unsafeIncrement"],
    ["bindCounter", "unsafeDecrement"],
    ["bindGauge", "set"],
    ["bindGauge", "unsafeSet"],
    ["bindHistogram", "record"],
    ["bindHistogram", "unsafeRecord"],
    ["bindDistribution", "record"],
    ["bindDistribution", "unsafeRecord"],
    ["bindTiming", "record"],
    ["bindTiming", "unsafeRecord"],
    ["bindSet", "add"],
    ["bindSet", "unsafeAdd"]
  ] as const).map(([instrument, method]) => [
    `${instrument}.${method}`,
    (name, value, options) => {
      const use = (bound: unknown) => lie<Record<string, (value: unknown) => unknown>>(bound)[method]!(value)
      const bound = bind[instrument](lie(name), lie(options))
      return Effect.isEffect(bound)
        ? Effect.flatMap(bound, (bound) => {
          const result = use(bound)
          return Effect.isEffect(result) ? result : Effect.void
        })
        : use(bound)
    }
  ])

const work = Effect.succeed("done")

const isEffect = (value: unknown): boolean => {
  try {
    return Effect.isEffect(value)
  } catch {
    return false
  }
}

/** All functions of the client and of the module that record a point or an event. */
export const recordingFunctions = (client: Client): ReadonlyArray<RecordingFunction> => {
  const points: ReadonlyArray<readonly [label: string, call: Call]> = [
    ...unsafeKinds.map((kind) => [kind, lie<Call>(client[kind])] as const),
    ...effectKinds.map((kind) => [kind, lie<Call>(client[kind])] as const),
    ...effectKinds.map((kind) => [`ThreadStats.${kind}`, lie<Call>(ThreadStats[kind])] as const),
    ...boundCalls(client),
    ...boundCalls(ThreadStats).map(([label, call]) => [`ThreadStats.${label}`, call] as const)
  ]
  const timers: ReadonlyArray<readonly [label: string, call: Call]> = [
    ["timer", (name, _, options) => client.timer(work, lie(name), lie(options))],
    ["bindTiming.timer", (name, _, options) => client.bindTiming(lie(name), lie(options)).timer(work)],
    ["ThreadStats.timer", (name, _, options) => ThreadStats.timer(work, lie(name), lie(options))],
    [
      "ThreadStats.timer in a pipe",
      (name, _, options) =>
        // With an effect as its first argument, this is the other form.
        isEffect(name)
          ? ThreadStats.timer(work, lie(name), lie(options))
          : work.pipe(ThreadStats.timer(lie(name), lie<object>(options)))
    ],
    ["ThreadStats.timed", (name, _, options) => ThreadStats.timed(lie(name), lie<object>(options))(work)]
  ]
  const events: ReadonlyArray<readonly [label: string, call: Call]> = [
    ["event", lie<Call>(client.event)],
    ["unsafeEvent", lie<Call>(client.unsafeEvent)],
    ["ThreadStats.event", lie<Call>(ThreadStats.event)]
  ]
  return [
    ...points.map(([label, call]) => ({ label, call, records: "metrics", options: pointOptions, value: 7 } as const)),
    ...timers.map(([label, call]) => ({
      label,
      call,
      records: "metrics",
      options: ["tags", "host", "unit"],
      value: 7
    } as const)),
    ...events.map(([label, call]) => ({
      label,
      call,
      records: "events",
      options: eventOptions,
      value: "text"
    } as const))
  ]
}

const huge = "h".repeat(10_000_000)

type Values = ReadonlyArray<readonly [label: string, make: () => unknown]>

/** Tags that take some tens of milliseconds each. */
export const hugeTags: Values = [
  ["a text of ten megabytes", () => huge],
  ["an array with a tag of ten megabytes", () => [huge]],
  ["a record with a value of ten megabytes", () => ({ key: huge })],
  ["a record with a key of ten megabytes", () => ({ [huge]: "value" })],
  ["a million tags", () => new Array<string>(1_000_000).fill("tag")]
]

/** Tags beyond {@link hostile.pool}. */
export const oddTags: Values = [
  ["a thousand tags", () => Array.from({ length: 1000 }, (_, i) => `tag:${i}`)],
  ["an array with a symbol", () => [Symbol("tag")]],
  ["an array with a bigint", () => [1n]],
  ["a record with a symbol as key", () => ({ [Symbol("tag")]: "value" })],
  ["a record with a bigint", () => ({ key: 1n })],
  ["a frozen array without prototype", () => Object.freeze(Object.setPrototypeOf(["a:b"], null))],
  ["a frozen record without prototype", () => Object.freeze(Object.assign(Object.create(null), { a: "b" }))],
  ["a sealed cycle", () => {
    const tags: Array<unknown> = []
    tags.push(tags)
    return Object.seal(tags)
  }],
  ["a record whose keys cannot be listed", () =>
    new Proxy({}, {
      ownKeys: () => {
        throw new Error("ownKeys")
      }
    })],
  ["a subclass of Array", () => class extends Array {}.from(["a:b"])]
]
