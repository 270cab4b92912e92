/** The command `effect-threadstats intake`: a local Datadog intake for development, and for checks in the CI of a project. */
import * as Command from "@effect/cli/Command"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import type * as HttpServer from "@effect/platform/HttpServer"
import type * as ConfigError from "effect/ConfigError"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import { spawn } from "node:child_process"
import { createServer } from "node:http"
import { isIP } from "node:net"
import * as LocalIntake from "../../LocalIntake.js"
import { CommandError } from "./commandError.js"
import { finish } from "./finish.js"
import { type IntakeCommandConfig, options } from "./options.js"
import { checkWritable } from "./save.js"

/** Limits of the memory of an intake that runs for days. */
const limits: LocalIntake.IntakeLimits = {
  series: 5000,
  pointsPerSeries: 720,
  accepted: 20_000,
  events: 1000,
  requests: 1000,
  bytes: 128 * 1024 * 1024
}

/** Time for connections to receive their last answer when the command stops. */
const shutdownGrace = "250 millis"

const isLoopback = (host: string): boolean => host === "localhost" || host === "::1" || /^127(?:\.\d+){3}$/.test(host)

/** Returns the message of an error, and the text of a `ConfigError`, which has the name of the option too. */
const messageOf = (error: LocalIntake.DatagramsError | ConfigError.ConfigError): string =>
  error._tag === "DatagramsError" ? error.message : String(error)

/** Server that destroys open connections when it closes. A client could keep the process alive otherwise. */
const layerServer = ({ host, port }: IntakeCommandConfig): Layer.Layer<HttpServer.HttpServer, CommandError> =>
  Layer.suspend(() => {
    const server = createServer()
    const destroyConnections = Effect.sync(() => server.closeAllConnections()).pipe(
      Effect.delay(shutdownGrace),
      Effect.forkDaemon
    )
    return Layer.scopedDiscard(Effect.addFinalizer(() => destroyConnections)).pipe(
      Layer.provideMerge(NodeHttpServer.layerServer(() => server, { port, host })),
      Layer.mapError(({ cause }) => {
        const { code, message } = cause as NodeJS.ErrnoException
        return new CommandError({
          message: code === "EADDRINUSE"
            ? `Cannot listen on port ${port} of ${host}: another process uses it. ` +
              "Choose another port with --port (0 for a free one)"
            : `Cannot listen on port ${port} of ${host}: ${message}`
        })
      })
    )
  })

const layerDatagrams = (
  { dogstatsdPort, host }: IntakeCommandConfig
): Layer.Layer<LocalIntake.Datagrams, CommandError> =>
  LocalIntake.layerDatagrams({ port: dogstatsdPort, host }).pipe(
    Layer.mapError((error) =>
      new CommandError({
        message: error._tag === "DatagramsError" && error.reason === "PortTaken"
          ? `${error.message}, perhaps an Agent. ` +
            "Choose another port with --dogstatsd-port (0 for a free one), or use --no-dogstatsd"
          : messageOf(error)
      })
    )
  )

const layerIntake = (config: IntakeCommandConfig) => {
  const { allowHost, apiKey, fault, host, noDogstatsd, strict } = config
  return LocalIntake.layer({
    apiKey: Option.getOrUndefined(apiKey),
    strict,
    faults: fault,
    limits,
    hosts: isIP(host) === 0 ? [host, ...allowHost] : allowHost
  }).pipe(
    Layer.mapError((error) => new CommandError({ message: messageOf(error) })),
    Layer.provideMerge(noDogstatsd ? Layer.empty : layerDatagrams(config)),
    Layer.provide(layerServer(config))
  )
}

/** Opens an address in the browser of the system. */
const openInBrowser = (url: string): Effect.Effect<void> =>
  Effect.async((resume) => {
    const [command, ...args] = process.platform === "darwin"
      ? ["open", url]
      : process.platform === "win32"
      ? ["cmd", "/c", "start", "", url]
      : ["xdg-open", url]
    const child = spawn(command!, args, { detached: true, stdio: "ignore" })
    child.once("error", (error) =>
      resume(Console.error(`Cannot open a browser: ${error.message}. Open the address by hand`)))
    child.once("spawn", () => {
      child.unref()
      resume(Effect.void)
    })
  })

/** Prints the variables for clients and how to reach the page. */
const announce = (config: IntakeCommandConfig, { url }: typeof LocalIntake.LocalIntake.Service) =>
  Effect.gen(function*() {
    const datagrams = yield* Effect.serviceOption(LocalIntake.Datagrams)
    yield* Console.log(`DATADOG_HOST=${url}`)
    // A key that is the only valid one is a secret, which the reader has chosen.
    if (Option.isNone(config.apiKey)) yield* Console.log("DD_API_KEY=local")
    if (Option.isSome(datagrams)) yield* Console.log(`DD_DOGSTATSD_URL=${datagrams.value.url}`)
    yield* Console.error(
      `The page is at ${url}. ${
        Option.isNone(config.apiKey) ? "Every API key is valid" : "Only the key of --api-key is valid"
      }`
    )
    if (!isLoopback(config.host)) {
      yield* Console.error(`Other machines can reach ${config.host}: they can read and clear the received data`)
    }
  })

/** Serves until the process is interrupted, and runs `finish` through `onEnd` then. */
const serve = (config: IntakeCommandConfig, onEnd: (end: Effect.Effect<void, CommandError>) => Effect.Effect<void>) =>
  Effect.gen(function*() {
    const intake = yield* LocalIntake.LocalIntake
    yield* announce(config, intake)
    if (config.open) yield* openInBrowser(intake.url)
    return yield* Effect.ensuring(Effect.never, onEnd(finish(config, intake)))
  })

export const make = (onEnd: (end: Effect.Effect<void, CommandError>) => Effect.Effect<void>) =>
  Command.make("intake", options, (config) => {
    const program = Effect.transposeMapOption(config.save, checkWritable).pipe(
      Effect.zipRight(serve(config, onEnd)),
      Effect.provide(layerIntake(config))
    )
    return Option.match(config.seed, {
      onNone: () => program,
      onSome: (seed) => Effect.withRandom(program, Random.make(seed))
    })
  }).pipe(
    Command.withDescription("Runs a Datadog intake on this machine, with a page that shows the received data.")
  )
