/** The command `effect-threadstats intake`: a local Datadog intake for development, and for checks in the CI of a project. */
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as FileSystem from "@effect/platform/FileSystem"
import * as HttpServer from "@effect/platform/HttpServer"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import { spawn } from "node:child_process"
import { createServer } from "node:http"
import { isIP } from "node:net"
import { toPrintable } from "../../internal/model/printableText.js"
import * as LocalIntake from "../../LocalIntake.js"
import { isLoss } from "../verdict.js"

/** Failure of the command. Its message is printed as one line. */
export class CommandError extends Data.TaggedError("CommandError")<{ readonly message: string }> {}

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

const portOption = (name: string, description: string, defaultPort: number) =>
  Options.integer(name).pipe(
    Options.filterMap(
      (value) => value >= 0 && value < 65_536 ? Option.some(value) : Option.none(),
      `--${name} is a number from 0 to 65535`
    ),
    Options.withDescription(description),
    Options.withDefault(defaultPort)
  )

const faultOption = Options.text("fault").pipe(
  Options.repeated,
  Options.mapEffect(Effect.forEach((words) =>
    Either.mapLeft(
      LocalIntake.parseFault(words),
      (reason) => ValidationError.invalidValue(HelpDoc.p(`--fault ${reason}`))
    )
  )),
  Options.withDescription(
    "Injects a fault into requests: status=503, delay=2s, hang, reset or rate-limit. " +
      "Optional: rate=0.2 for its probability, and path=/api/v1/series for the requests it affects. Can be repeated."
  )
)

const options = {
  port: portOption("port", "Port for HTTP. 0 chooses a free port.", 8127),
  host: Options.text("host").pipe(
    Options.withDescription(
      "Address or name to listen on. Other machines can reach every address except those of the loopback interface."
    ),
    Options.withDefault("127.0.0.1")
  ),
  allowHost: Options.text("allow-host").pipe(
    Options.repeated,
    Options.withDescription(
      "Host name under which clients reach this intake, such as the name of a container. Can be repeated."
    )
  ),
  apiKey: Options.redacted("api-key").pipe(
    Options.optional,
    Options.withDescription("The only valid API key. Without this option every key is valid.")
  ),
  strict: Options.boolean("strict").pipe(
    Options.withDescription(
      "Answers 400 to payloads that Datadog would drop in part, and exits with 1 if anything was dropped or refused."
    )
  ),
  fault: faultOption,
  seed: Options.integer("seed").pipe(
    Options.optional,
    Options.withDescription("Seed for the probability of faults. The same seed injects the same faults.")
  ),
  save: Options.file("save", { exists: "either" }).pipe(
    Options.optional,
    Options.withDescription("Writes everything that was received, with its verdicts, to this file as JSON on exit.")
  ),
  open: Options.boolean("open").pipe(Options.withDescription("Opens the page in a browser.")),
  dogstatsdPort: portOption("dogstatsd-port", "UDP port for DogStatsD. 0 chooses a free port.", 8125),
  noDogstatsd: Options.boolean("no-dogstatsd").pipe(Options.withDescription("Does not listen for DogStatsD datagrams."))
}

type IntakeCommandConfig = Command.Command.ParseConfig<typeof options>

const logLine = (message: string) => Console.error(toPrintable(`effect-threadstats: ${message}`))

const isLoopback = (host: string): boolean => host === "localhost" || host === "::1" || /^127(?:\.\d+){3}$/.test(host)

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
    Layer.mapError(({ message, reason }) =>
      new CommandError({
        message: reason === "PortTaken"
          ? `${message}, perhaps an Agent. ` +
            "Choose another port with --dogstatsd-port (0 for a free one), or use --no-dogstatsd"
          : message
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
    child.once("error", (error) => resume(logLine(`Cannot open a browser: ${error.message}. Open the address by hand`)))
    child.once("spawn", () => {
      child.unref()
      resume(Effect.void)
    })
  })

/** Fails at the start if the file cannot be written at the end. */
const checkFileWritable = (path: string) =>
  Effect.scoped(Effect.flatMap(FileSystem.FileSystem, (files) => files.open(path, { flag: "a" }))).pipe(
    Effect.mapError(({ message }) => new CommandError({ message: `Cannot write ${path}: ${message}` }))
  )

/** Prints the summary and saves the data. With `--strict` it fails if Datadog would drop or refuse data. */
const finish = ({ save, strict }: IntakeCommandConfig, intake: typeof LocalIntake.LocalIntake.Service) =>
  Effect.gen(function*() {
    const findings = yield* intake.findings
    const serviceChecks = yield* intake.serviceChecks
    const losses = findings.filter(isLoss)
    const summary = {
      ...yield* intake.summary,
      datagrams: yield* intake.datagrams,
      serviceChecks: serviceChecks.length,
      strict,
      ok: losses.length === 0,
      findings
    }
    if (Option.isSome(save)) {
      const all = {
        summary,
        series: yield* intake.series,
        distributions: yield* intake.distributions,
        events: yield* intake.events,
        serviceChecks,
        requests: yield* intake.requests
      }
      const files = yield* FileSystem.FileSystem
      yield* files.writeFileString(save.value, `${JSON.stringify(all, undefined, 2)}\n`).pipe(
        Effect.mapError(({ message }) => new CommandError({ message: `Cannot write ${save.value}: ${message}` }))
      )
    }
    yield* Console.log(toPrintable(JSON.stringify(summary)))
    if (strict && losses.length > 0) {
      const names = Array.from(new Set(losses.map(({ code }) => code))).join(", ")
      return yield* new CommandError({ message: `Datadog would not keep all data: ${names}` })
    }
  })

/** Serves until the process is interrupted, and runs `finish` through `onEnd` then. */
const serve = (
  config: IntakeCommandConfig,
  onEnd: (
    finish: Effect.Effect<void, CommandError, FileSystem.FileSystem>
  ) => Effect.Effect<void, never, FileSystem.FileSystem>
) =>
  Effect.gen(function*() {
    const intake = yield* LocalIntake.LocalIntake
    const datagrams = yield* Effect.serviceOption(LocalIntake.Datagrams)
    yield* Console.log(`DATADOG_HOST=${intake.url}`)
    if (Option.isSome(datagrams)) yield* Console.log(`DD_DOGSTATSD_URL=${datagrams.value.url}`)
    yield* logLine(
      `The page is at ${intake.url}. ${
        Option.isNone(config.apiKey) ? "Every API key is valid" : "Only one API key is valid"
      }`
    )
    if (!isLoopback(config.host)) {
      yield* logLine(`Other machines can reach ${config.host}: they can read and clear the received data`)
    }
    if (config.open) yield* openInBrowser(intake.url)
    return yield* Effect.never.pipe(Effect.ensuring(onEnd(finish(config, intake))))
  })

export const make = (
  onEnd: (
    finish: Effect.Effect<void, CommandError, FileSystem.FileSystem>
  ) => Effect.Effect<void, never, FileSystem.FileSystem>
) =>
  Command.make("intake", options, (config) => {
    const program = Option.match(config.save, { onNone: () => Effect.void, onSome: checkFileWritable }).pipe(
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
