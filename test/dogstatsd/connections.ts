/** Reporters and clients over real sockets, for io tests. */
import * as DogStatsDReporter from "effect-threadstats/DogStatsDReporter"
import type { Event } from "effect-threadstats/Event"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import type * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { bundle } from "../support/childProcess.js"
import * as Servers from "../support/dogstatsd.js"
import { toWire, type WireReporter } from "../support/wireReporter.js"

const environment = (variables: Record<string, string>) => ConfigProvider.fromMap(new Map(Object.entries(variables)))

/** A container would make the lines depend on the machine. */
const common = { originDetection: false }

export const makeService = (
  options: DogStatsDReporter.DogStatsDReporterOptions,
  variables: Record<string, string> = {}
) => Effect.withConfigProvider(DogStatsDReporter.make({ ...common, ...options }), environment(variables))

export const makeReporter = (
  options: DogStatsDReporter.DogStatsDReporterOptions,
  variables: Record<string, string> = {}
): Effect.Effect<WireReporter, ConfigError.ConfigError, Scope.Scope> =>
  Effect.map(makeService(options, variables), toWire)

export const layerClient = (
  dogstatsd: DogStatsDReporter.DogStatsDReporterOptions,
  options: ThreadStats.DogStatsDOptions = {}
): Layer.Layer<ThreadStats.ThreadStats, ConfigError.ConfigError> =>
  ThreadStats.layerDogStatsDWith({ periodicFlush: false, ...options, dogstatsd: { ...common, ...dogstatsd } }).pipe(
    Layer.provide(Layer.setConfigProvider(environment({})))
  )

/** A batch of one event. */
export const event: ReadonlyArray<Event> = [{ title: "t", text: "", tags: [] }]

/** A way to a receiver: an address that is free, and a server at this address. */
export interface Transport {
  readonly name: string
  /** True if the package unix-dgram is needed and does not load here. */
  readonly isSkipped: boolean
  readonly address: Effect.Effect<string, never, Scope.Scope>
  readonly listen: (url: string) => Effect.Effect<Servers.Receiver, never, Scope.Scope>
}

const { unixDatagrams } = Servers

const noDatagrams = unixDatagrams instanceof Error

if (unixDatagrams instanceof Error) {
  console.warn(`Tests of Unix datagrams are skipped: unix-dgram does not load here (${unixDatagrams.message})`)
}

const unix = (scheme: string, listen: (path: string) => ReturnType<Transport["listen"]>) => ({
  address: Effect.map(Servers.socketPath, (path) => `${scheme}://${path}`),
  listen: (url: string) => listen(url.slice(`${scheme}://`.length))
})

export const transports: ReadonlyArray<Transport> = [
  {
    name: "UDP",
    isSkipped: false,
    address: Effect.map(Servers.freePort, (port) => `udp://localhost:${port}`),
    listen: (url) => Servers.udpServer({ port: Number(new URL(url).port) })
  },
  { name: "unixstream://", isSkipped: false, ...unix("unixstream", Servers.streamServer) },
  { name: "unixgram://", isSkipped: noDatagrams, ...unix("unixgram", Servers.datagramServer) },
  { name: "unix:// to a stream", isSkipped: false, ...unix("unix", Servers.streamServer) },
  { name: "unix:// to datagrams", isSkipped: noDatagrams, ...unix("unix", Servers.datagramServer) }
]

/** A program in one file, as functions are deployed. Its client is never closed. */
export const bundledProgram: Effect.Effect<string> = Effect.runSync(
  Effect.cached(Effect.promise(() => bundle("test/dogstatsd/program.ts")))
)
