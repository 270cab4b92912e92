/** The groups of measurements, their yardsticks and their goals. */

export type Mode = "full" | "quick"

/** A child process: a function of a module in `children`, applied to an export of a module in `subjects`. */
export interface Program {
  readonly _tag: "Program"
  readonly child: string
  /** Function of the child that measures. Default: `run`. */
  readonly main?: string
  readonly module: string
  readonly value: string
  /** Whether the program delivers to the receivers of the benchmark, which then compare the number of metrics. Datagrams may be lost. */
  readonly delivers?: "requests" | "datagrams" | "lines"
  readonly args: { readonly [K in Mode]: object }
  readonly node?: ReadonlyArray<string>
}

/** A function, bundled for deployment, and invoked once in a process of its own. */
export interface Function {
  readonly _tag: "Function"
  readonly name: string
  /** True if one request with the recorded metric must arrive. */
  readonly posts: boolean
  /** True to build it with V8's code cache. */
  readonly cached?: boolean
}

export interface Run {
  readonly id: string
  readonly title: string
  /** True if only the full run has it. */
  readonly peer: boolean
  readonly spawn: Program | Function
}

/** One line of goals: a measure of all runs of its group. */
export interface Row {
  readonly id: string
  readonly title: string
  readonly measure: string
  /** The same measure in CPU time. */
  readonly cpu?: string
  readonly unit: string
  /** The yardstick: the run by which the others are divided, or which is subtracted from them. The guard always uses the ratio, if there is a yardstick. */
  readonly base?: string
  readonly compare: "ratio" | "over" | "absolute"
  /** True if the goal applies to wall time, because other threads have a part in it. */
  readonly wall?: boolean
  /** At most, by run: a ratio, a difference, or the measure itself. */
  readonly goals: { readonly [run: string]: number }
  /** Runs that the guard compares with the baseline. Default: every run with a goal. */
  readonly guards?: ReadonlyArray<string>
}

export interface Group {
  readonly id: string
  /** Rounds of a mode. A mode with zero rounds leaves the group out. */
  readonly rounds: { readonly [K in Mode]: number }
  readonly runs: ReadonlyArray<Run>
  readonly rows: ReadonlyArray<Row>
}

const program = (
  child: string,
  module: string,
  value: string,
  args: Program["args"],
  node: ReadonlyArray<string> = ["--expose-gc"]
): Program => ({ _tag: "Program", child, module: `subjects/${module}`, value, args, node })

const own = (id: string, title: string, spawn: Program | Function): Run => ({ id, title, peer: false, spawn })
const peer = (id: string, title: string, spawn: Program | Function): Run => ({ id, title, peer: true, spawn })

const yardstick = "bare-threadstats (yardstick)"
const lifecycle = "floor: the lifecycle in Effect"

const clients = (args: Program["args"], lambda: Program["args"], heavy: Program["args"]): ReadonlyArray<Run> => {
  const shared = { full: { ...args.full, shared: true }, quick: { ...args.quick, shared: true } }
  const sharedHeavy = { full: { ...heavy.full, shared: true }, quick: { ...heavy.quick, shared: true } }
  return [
    peer("prom-client", "prom-client", program("record", "promClient", "make", args)),
    peer("datadog-metrics", "datadog-metrics", program("record", "datadogMetrics", "make", args)),
    peer("opentelemetry", "OpenTelemetry sdk-metrics", program("record", "openTelemetry", "make", args)),
    peer("hot-shots", "hot-shots, with aggregation", program("record", "hotShots", "make", heavy)),
    peer("datadog-lambda-js", "datadog-lambda-js batcher", program("record", "datadogLambda", "make", lambda)),
    peer("metric-unsafe", "Effect Metric, bound, unsafe", program("record", "effectMetric", "makeUnsafe", shared)),
    peer("metric-bound", "Effect Metric, bound, yield*", program("record", "effectMetric", "makeTagged", shared)),
    peer("metric-tagged", "Effect Metric, tags per call", program("record", "effectMetric", "makePerCall", sharedHeavy))
  ]
}

const few = { full: { series: 100, calls: 2_000_000 }, quick: { series: 100, calls: 400_000 } }
/** Slow clients make fewer calls. The time of a call does not depend on their number. */
const fewHeavy = { full: { series: 100, calls: 500_000 }, quick: few.quick }
/** Calls of this client get slower with their number. */
const fewLambda = { full: { series: 100, calls: 200_000 }, quick: few.quick }

const record100: Group = {
  id: "record-100",
  rounds: { full: 7, quick: 2 },
  runs: [
    own("bare", yardstick, program("record", "bare", "make", few)),
    own("unsafe", "ThreadStats, unsafe call", program("record", "threadstats", "makeUnsafe", few)),
    own("effect", "ThreadStats, yield*", program("record", "threadstats", "makeEffect", few)),
    own("bound", "ThreadStats, bound instrument", program("record", "threadstats", "makeBound", few)),
    peer("accessor", "ThreadStats, module function, yield*", program("record", "threadstats", "makeAccessor", few)),
    own("record", "ThreadStats, unsafe call, tags as a record", program("record", "threadstats", "makeRecord", few)),
    peer("built", "ThreadStats, unsafe call, tags built per call", program("record", "threadstats", "makeBuilt", few)),
    peer("bare-built", "bare-threadstats, tags built per call", program("record", "bare", "makeBuilt", few)),
    peer("found", "floor: accumulators found by their tags", program("record", "floor", "makeFound", few)),
    peer("held", "floor: accumulators held by the caller", program("record", "floor", "makeHeld", few)),
    peer("loop", "the loop itself", program("record", "loop", "make", few)),
    ...clients(few, fewLambda, fewHeavy)
  ],
  rows: [
    {
      id: "record-100",
      title: "record, 100 series",
      measure: "ns",
      cpu: "nsCpu",
      unit: "ns",
      base: "bare",
      compare: "ratio",
      goals: { unsafe: 0.18, record: 0.35, effect: 0.6, bound: 0.05 }
    },
    {
      id: "wire",
      title: "wire bytes over uncompressed JSON",
      measure: "wire",
      unit: "",
      compare: "absolute",
      goals: { unsafe: 0.15 }
    }
  ]
}

const many = {
  full: { series: 100_000, calls: 1_000_000, slow: true },
  quick: { series: 20_000, calls: 200_000, slow: true }
}
const manyHeavy = { full: { ...many.full, calls: 300_000 }, quick: many.quick }

const recordMany: Group = {
  id: "record-many",
  rounds: { full: 7, quick: 2 },
  runs: [
    own("bare", yardstick, program("record", "bare", "make", many)),
    own("unsafe", "ThreadStats, unsafe call", program("record", "threadstats", "makeUnsafe", many)),
    peer("bound", "ThreadStats, bound instrument", program("record", "threadstats", "makeBound", many)),
    peer("built", "ThreadStats, unsafe call, tags built per call", program("record", "threadstats", "makeBuilt", many)),
    peer("bare-built", "bare-threadstats, tags built per call", program("record", "bare", "makeBuilt", many)),
    peer("found", "floor: accumulators found by their tags", program("record", "floor", "makeFound", many)),
    peer("held", "floor: accumulators held by the caller", program("record", "floor", "makeHeld", many)),
    peer("plain", "ThreadStats, uncompressed", program("record", "threadstats", "makeUncompressed", many)),
    ...clients(many, manyHeavy, many)
  ],
  rows: [
    {
      id: "record-many",
      title: "record, many series",
      measure: "ns",
      cpu: "nsCpu",
      unit: "ns",
      base: "bare",
      compare: "ratio",
      goals: { unsafe: 0.6 }
    },
    {
      id: "heap",
      title: "heap of many series",
      measure: "heap",
      unit: "MB",
      base: "bare",
      compare: "ratio",
      goals: { unsafe: 1 }
    },
    {
      id: "flush",
      title: "flush of many series",
      measure: "flush",
      cpu: "flushCpu",
      wall: true,
      unit: "ms",
      base: "bare",
      compare: "ratio",
      goals: { unsafe: 0.7 }
    },
    {
      id: "pause",
      title: "longest pause in that flush",
      measure: "pause",
      cpu: "pauseCpu",
      unit: "ms",
      base: "bare",
      compare: "absolute",
      goals: { unsafe: 20 }
    }
  ]
}

const allocationNode = ["--expose-gc", "--min-semi-space-size=512", "--max-semi-space-size=512"]
const allocation = (module: string, value: string) =>
  program("allocation", module, value, { full: { calls: 50_000 }, quick: { calls: 20_000 } }, allocationNode)

const allocations: Group = {
  id: "allocation",
  rounds: { full: 3, quick: 1 },
  runs: [
    own("bare", yardstick, allocation("bare", "make")),
    own("unsafe", "ThreadStats, unsafe call", allocation("threadstats", "makeUnsafe")),
    own("effect", "ThreadStats, yield*", allocation("threadstats", "makeEffect")),
    own("bound", "ThreadStats, bound instrument", allocation("threadstats", "makeBound")),
    peer("prom-client", "prom-client", allocation("promClient", "make")),
    peer("datadog-metrics", "datadog-metrics", allocation("datadogMetrics", "make")),
    peer("opentelemetry", "OpenTelemetry sdk-metrics", allocation("openTelemetry", "make")),
    peer("loop", "the loop itself", allocation("loop", "make"))
  ],
  rows: [
    {
      id: "allocation",
      title: "allocated by a call, 100 series",
      measure: "bytes",
      unit: "B",
      base: "bare",
      compare: "ratio",
      goals: {},
      guards: ["unsafe", "effect", "bound"]
    }
  ]
}

const values = (full: number, quick: number) => ({ full: { values: full }, quick: { values: quick } })

const distributions: Group = {
  id: "distribution",
  rounds: { full: 7, quick: 2 },
  runs: [
    own("bare", yardstick, program("distribution", "bare", "make", values(1_000_000, 400_000))),
    own(
      "unsafe",
      "ThreadStats, unsafe call",
      program("distribution", "threadstats", "makeUnsafe", values(1_000_000, 400_000))
    ),
    peer(
      "bound",
      "ThreadStats, bound instrument",
      program("distribution", "threadstats", "makeBound", values(1_000_000, 400_000))
    ),
    peer(
      "datadog-metrics",
      "datadog-metrics",
      program("distribution", "datadogMetrics", "make", values(1_000_000, 400_000))
    ),
    peer(
      "datadog-lambda-js",
      "datadog-lambda-js batcher, 20,000 values",
      program("distribution", "datadogLambda", "make", values(20_000, 20_000))
    )
  ],
  rows: [
    {
      id: "distribution-bytes",
      title: "large distribution, size of a value",
      measure: "bytes",
      unit: "B",
      compare: "absolute",
      goals: { unsafe: 9 }
    },
    {
      id: "distribution-ns",
      title: "large distribution, recording a value",
      measure: "ns",
      cpu: "nsCpu",
      unit: "ns",
      base: "bare",
      compare: "ratio",
      goals: {},
      guards: ["unsafe"]
    },
    {
      id: "distribution-growth",
      title: "large distribution, over one of a quarter of its values",
      measure: "growth",
      cpu: "growthCpu",
      unit: "×",
      compare: "absolute",
      goals: { unsafe: 1.25 },
      guards: []
    }
  ]
}

const held = {
  full: { series: 100_000, values: 1_000_000 },
  quick: { series: 10_000, values: 100_000 }
}
const outage = (
  state: "up" | "holding" | "down",
  series: Record<Mode, number>,
  calls: Record<Mode, number>
): Program => ({
  _tag: "Program",
  child: "outage",
  module: "subjects/threadstats",
  value: "recordUnsafe",
  node: ["--expose-gc"],
  args: {
    full: { state, series: series.full, calls: calls.full, held: held.full },
    quick: { state, series: series.quick, calls: calls.quick, held: held.quick }
  }
})

const down = (id: string, title: string, series: Record<Mode, number>, calls: Record<Mode, number>): Group => ({
  id,
  rounds: { full: 7, quick: 0 },
  runs: [
    own("up", "ThreadStats, as ever", outage("up", series, calls)),
    peer("holding", "ThreadStats, as much held, but no limit near", outage("holding", series, calls)),
    own("down", "ThreadStats, breaker open, buffers full", outage("down", series, calls))
  ],
  rows: [{ id, title, measure: "ns", cpu: "nsCpu", unit: "ns", base: "up", compare: "ratio", goals: { down: 1.2 } }]
})

const lambda = (name: string, posts: boolean, cached = false): Function => ({ _tag: "Function", name, posts, cached })

const cold: Group = {
  id: "cold",
  rounds: { full: 21, quick: 7 },
  runs: [
    own("http", "bare, one POST by node:http (yardstick)", lambda("nodeHttp", true)),
    own("threadstats", "ThreadStats, one flush", lambda("threadstats", true)),
    peer("cached", "ThreadStats, one flush, compiled before", lambda("threadstats", true, true)),
    peer("bare", "bare", lambda("bare", false)),
    peer("fetch", "bare, one POST by fetch", lambda("fetch", true)),
    peer("disabled", "ThreadStats, disabled", lambda("threadstatsDisabled", false)),
    peer("effect", "Effect, runPromise only", lambda("effect", false)),
    peer("effect-fetch", "Effect, one POST by FetchHttpClient", lambda("effectFetch", true)),
    peer("effect-http", "Effect, the least that does the same by node:http", lambda("effectNodeHttp", true)),
    peer("effect-aws", "@effect-aws/lambda, no POST", lambda("effectAws", false)),
    peer("datadog-lambda-js", "datadog-lambda-js, no POST", lambda("datadogLambda", false)),
    peer("datadog-metrics", "datadog-metrics, no POST", lambda("datadogMetrics", false))
  ],
  rows: [
    {
      id: "cold",
      title: "cold start to the first answer",
      measure: "ms",
      cpu: "msCpu",
      unit: "ms",
      base: "http",
      compare: "over",
      goals: { threadstats: 20, cached: 20 }
    },
    {
      id: "bundle",
      title: "its bundle, gzip",
      measure: "gzip",
      unit: "kB",
      compare: "absolute",
      goals: { threadstats: 80 }
    },
    {
      id: "modules",
      title: "modules of Node.js that it loads",
      measure: "modules",
      unit: "",
      base: "http",
      compare: "over",
      goals: {},
      guards: ["threadstats"]
    }
  ]
}

const warming = { full: { before: 10_000, millis: 1500 }, quick: { before: 3000, millis: 300 } }
const recording = { full: { before: 2000, millis: 1500 }, quick: { before: 500, millis: 300 } }

const warm: Group = {
  id: "warm",
  rounds: { full: 7, quick: 0 },
  runs: [
    own("effect", "Effect, runPromise only (yardstick)", program("warm", "handlers", "makeEffect", warming)),
    own("threadstats", "ThreadStats, nothing recorded", program("warm", "handlers", "makeThreadStats", warming)),
    own(
      "recording",
      "ThreadStats, one count flushed to a body",
      program("warm", "handlers", "makeRecording", recording)
    ),
    peer("lifecycle", lifecycle, program("warm", "handlers", "makeFloor", warming)),
    peer("bare", "bare", program("warm", "handlers", "makeBare", warming)),
    peer("effect-aws", "@effect-aws/lambda", program("warm", "effectAws", "make", warming)),
    peer("datadog-lambda-js", "datadog-lambda-js", program("warm", "datadogLambdaHandler", "make", warming))
  ],
  rows: [
    {
      id: "warm",
      title: "warm invocation without I/O",
      measure: "us",
      cpu: "usCpu",
      unit: "µs",
      base: "effect",
      compare: "absolute",
      goals: { threadstats: 30 },
      guards: ["threadstats", "recording"]
    }
  ]
}

const lines = (value: string, quick = 400_000): Program =>
  program("readme", "readme", value, { full: { calls: 2_000_000 }, quick: { calls: quick } })

const readme: Group = {
  id: "readme",
  rounds: { full: 7, quick: 2 },
  runs: [
    own("bare", yardstick, lines("makeBare")),
    own("increment", "ThreadStats, yield* ThreadStats.increment, tags as a record", lines("makeIncrement")),
    own("timer", "ThreadStats, ThreadStats.timer", lines("makeTimer", 100_000)),
    own("bound", "ThreadStats, bound counter, yield*", lines("makeBound")),
    own("unsafe", "ThreadStats, unsafe call, tags as a record", lines("makeUnsafe")),
    peer("datadog-metrics", "datadog-metrics", lines("makeDatadogMetrics"))
  ],
  rows: [
    {
      id: "readme",
      title: "lines of the README, one series",
      measure: "ns",
      cpu: "nsCpu",
      unit: "ns",
      base: "bare",
      compare: "ratio",
      goals: {},
      guards: ["increment", "bound", "unsafe"]
    }
  ]
}

const invocation = (
  measure: string,
  value: string,
  delivers: Program["delivers"] & string,
  quick = { before: 1000, invocations: 100 }
): Program => ({
  _tag: "Program",
  child: "invocation",
  module: "subjects/invocations",
  value,
  delivers,
  args: { full: { measure, before: 1000, invocations: 1000 }, quick: { measure, ...quick } }
})

const invocationGarbage = (value: string): Program => ({
  ...invocation("allocated", value, "requests"),
  args: {
    full: { measure: "allocated", before: 1000, invocations: 100 },
    quick: { measure: "allocated", before: 300, invocations: 100 }
  },
  main: "runAllocation",
  node: allocationNode
})

const cheap = { before: 2000, invocations: 1000 }

const invoke: Group = {
  id: "invoke",
  rounds: { full: 7, quick: 1 },
  runs: [
    own("post", "bare, one POST by node:http (yardstick)", invocation("one", "makePost", "requests")),
    own("one", "ThreadStats, a counter and a distribution", invocation("one", "makeOne", "requests")),
    peer(
      "effect",
      "floor: Effect, a scope, a finalizer, one POST by node:http",
      invocation("one", "makeEffect", "requests")
    ),
    peer("lifecycle", `${lifecycle}, one POST by node:http`, invocation("one", "makeLifecycleOne", "requests")),
    peer("fetch", "bare, one POST by fetch", invocation("one", "makeFetch", "requests")),
    own("two-posts", "bare, two POSTs by node:http (yardstick)", invocation("two", "makeTwoPosts", "requests")),
    own("two", "ThreadStats, a gauge and a distribution", invocation("two", "makeTwo", "requests")),
    peer("lifecycle-two", `${lifecycle}, two POSTs by node:http`, invocation("two", "makeLifecycleTwo", "requests")),
    own(
      "hundred",
      "ThreadStats, 100 series of all kinds",
      invocation("series", "makeHundred", "requests", { before: 200, invocations: 100 })
    ),
    peer(
      "hundred-posts",
      "bare, 100 series, two POSTs by node:http",
      invocation("series", "makeHundredPosts", "requests")
    ),
    peer(
      "hundred-lifecycle",
      `${lifecycle}, an effect for each point`,
      invocation("series", "makeLifecycleHundred", "requests")
    ),
    peer("after", "ThreadStats, a counter and a distribution, LambdaExtension.afterResponse", {
      ...invocation("response", "makeAfterResponse", "requests"),
      main: "runAfterResponse"
    }),
    own("garbage", "ThreadStats, a counter and a distribution", invocationGarbage("makeOne")),
    peer("garbage-post", "bare, one POST by node:http", invocationGarbage("makePost")),
    peer("garbage-lifecycle", `${lifecycle}, one POST by node:http`, invocationGarbage("makeLifecycleOne")),
    peer("datadog-lambda-js", "datadog-lambda-js, a distribution", invocation("tls", "makeDatadogLambda", "requests")),
    peer("tls", "ThreadStats, a distribution", invocation("tls", "makeTls", "requests")),
    peer("lifecycle-tls", `${lifecycle}, one POST by node:https`, invocation("tls", "makeLifecycleTls", "requests")),
    own("datagram", "bare, two lines by node:dgram (yardstick)", invocation("udp", "makeDatagram", "datagrams", cheap)),
    own("dogstatsd", "ThreadStats, layerDogStatsD", invocation("udp", "makeDogStatsD", "datagrams")),
    peer(
      "lifecycle-udp",
      `${lifecycle}, two lines by node:dgram`,
      invocation("udp", "makeLifecycleDatagram", "datagrams")
    ),
    own("lines", "bare, two lines to standard output (yardstick)", invocation("log", "makeLines", "lines", cheap)),
    own("log", "ThreadStats, log lines", invocation("log", "makeLog", "lines")),
    peer(
      "lifecycle-lines",
      `${lifecycle}, two lines to standard output`,
      invocation("log", "makeLifecycleLines", "lines")
    )
  ],
  rows: [
    {
      id: "invoke-one",
      title: "invocation with one request",
      measure: "one",
      cpu: "oneCpu",
      unit: "µs",
      base: "post",
      compare: "ratio",
      goals: { one: 2.5 }
    },
    {
      id: "invoke-two",
      title: "invocation with two requests",
      measure: "two",
      cpu: "twoCpu",
      unit: "µs",
      base: "two-posts",
      compare: "ratio",
      goals: { two: 2.5 }
    },
    {
      id: "invoke-series",
      title: "each further series of an invocation",
      measure: "series",
      cpu: "seriesCpu",
      unit: "µs",
      compare: "absolute",
      goals: { hundred: 3 }
    },
    {
      id: "invoke-before-response",
      title: "invocation before its response",
      measure: "response",
      cpu: "responseCpu",
      unit: "µs",
      compare: "absolute",
      goals: {}
    },
    {
      id: "invoke-after-response",
      title: "the same after its response",
      measure: "rest",
      cpu: "restCpu",
      unit: "µs",
      compare: "absolute",
      goals: {}
    },
    {
      id: "invoke-allocation",
      title: "allocated by an invocation with one request",
      measure: "allocated",
      unit: "kB",
      compare: "absolute",
      goals: { garbage: 60 }
    },
    {
      id: "invoke-tls",
      title: "invocation with one request over TLS",
      measure: "tls",
      cpu: "tlsCpu",
      unit: "µs",
      base: "datadog-lambda-js",
      compare: "ratio",
      goals: { tls: 1 }
    },
    {
      id: "invoke-dogstatsd",
      title: "invocation over DogStatsD",
      measure: "udp",
      cpu: "udpCpu",
      unit: "µs",
      base: "datagram",
      compare: "ratio",
      goals: { dogstatsd: 1.5 },
      // The yardstick takes 6 µs, and varies by half.
      guards: []
    },
    {
      id: "invoke-log",
      title: "invocation with log lines",
      measure: "log",
      cpu: "logCpu",
      unit: "µs",
      base: "lines",
      compare: "ratio",
      goals: { log: 1.5 },
      guards: []
    }
  ]
}

export const groups: ReadonlyArray<Group> = [
  invoke,
  readme,
  record100,
  allocations,
  recordMany,
  distributions,
  down(
    "down",
    "record while the intake is down, 100 series",
    { full: 100, quick: 100 },
    { full: 1_000_000, quick: 200_000 }
  ),
  down(
    "down-new",
    "record while the intake is down, new series",
    { full: 50_000, quick: 5_000 },
    { full: 250_000, quick: 50_000 }
  ),
  cold,
  warm
]
