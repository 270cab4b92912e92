/** `effect-threadstats intake`: a local Datadog intake that people keep open, and that judges what a project sends in its CI. */
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
import * as LocalIntake from "../../LocalIntake.js"
import { isLoss } from "../validate.js"

/** Why the command ends, in the one line that it prints. */
export class Failed extends Data.TaggedError("Failed")<{ readonly message: string }> {}

/** What is kept of what arrives while the page is open for days. */
const limits: LocalIntake.Limits = {
  series: 5000,
  pointsPerSeries: 720,
  accepted: 20_000,
  events: 1000,
  requests: 1000,
  bodyBytes: 64 * 1024 * 1024
}

/** How long connections have to take their last answer when the command is stopped. */
const grace = "250 millis"

const port = (name: string, description: string, otherwise: number) =>
  Options.integer(name).pipe(
    Options.filterMap(
      (value) => value >= 0 && value < 65_536 ? Option.some(value) : Option.none(),
      `--${name} is a number from 0 to 65535`
    ),
    Options.withDescription(description),
    Options.withDefault(otherwise)
  )

const fault = Options.text("fault").pipe(
  Options.repeated,
  Options.mapEffect(Effect.forEach((words) =>
    Either.mapLeft(
      LocalIntake.fault(words),
      (why) => ValidationError.invalidValue(HelpDoc.p(`--fault ${why}`))
    )
  )),
  Options.withDescription(
    "What goes wrong: status=503, delay=2s, hang, reset or rate-limit, with rate=0.2 and path=/api/v1/series if you like. " +
      "Can be given again."
  )
)

const options = {
  port: port("port", "Where HTTP is listened for; 0 is a free port.", 8127),
  host: Options.text("host").pipe(
    Options.withDescription(
      "The address or name to listen on. All others than those of this machine can be reached by others."
    ),
    Options.withDefault("127.0.0.1")
  ),
  allowHost: Options.text("allow-host").pipe(
    Options.repeated,
    Options.withDescription(
      "A name under which clients find this intake, such as that of a container. Can be given again."
    )
  ),
  apiKey: Options.redacted("api-key").pipe(
    Options.optional,
    Options.withDescription("The one key that is good. Without it every key is.")
  ),
  strict: Options.boolean("strict").pipe(
    Options.withDescription(
      "Answer 400 to what Datadog would drop in silence, and end with 1 if anything was dropped or refused."
    )
  ),
  fault,
  seed: Options.integer("seed").pipe(
    Options.optional,
    Options.withDescription("For the chance in faults: the same seed, the same faults.")
  ),
  save: Options.file("save", { exists: "either" }).pipe(
    Options.optional,
    Options.withDescription("Write all that was received, and the verdicts, to this file at the end, as JSON.")
  ),
  open: Options.boolean("open").pipe(Options.withDescription("Show the page in a browser.")),
  dogstatsdPort: port("dogstatsd-port", "Where datagrams are listened for; 0 is a free port.", 8125),
  noDogstatsd: Options.boolean("no-dogstatsd").pipe(Options.withDescription("Listen for no datagrams."))
}

type Config = Command.Command.ParseConfig<typeof options>

const say = (message: string) => Console.error(`effect-threadstats: ${message}`)

const isLoopback = (host: string): boolean => host === "localhost" || host === "::1" || /^127(?:\.\d+){3}$/.test(host)

/** A server that is not kept by a connection that somebody else keeps. */
const layerServer = ({ host, port }: Config): Layer.Layer<HttpServer.HttpServer, Failed> =>
  Layer.suspend(() => {
    const server = createServer()
    const cut = Effect.sync(() => server.closeAllConnections()).pipe(Effect.delay(grace), Effect.forkDaemon)
    return Layer.scopedDiscard(Effect.addFinalizer(() => cut)).pipe(
      Layer.provideMerge(NodeHttpServer.layerServer(() => server, { port, host })),
      Layer.mapError(({ cause }) => {
        const { code, message } = cause as NodeJS.ErrnoException
        return new Failed({
          message: code === "EADDRINUSE"
            ? `port ${port} of ${host} is taken by another process; another one: --port (0 for any that is free)`
            : `cannot listen on port ${port} of ${host}: ${message}`
        })
      })
    )
  })

const layerDatagrams = ({ dogstatsdPort, host }: Config): Layer.Layer<LocalIntake.Datagrams, Failed> =>
  LocalIntake.layerDatagrams({ port: dogstatsdPort, host }).pipe(
    Layer.mapError(({ message, reason }) =>
      new Failed({
        message: reason === "PortTaken"
          ? `${message}, an Agent perhaps; another one: --dogstatsd-port (0 for any that is free), or none: --no-dogstatsd`
          : message
      })
    )
  )

const layerIntake = (config: Config) => {
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

/** Hands an address to what the system shows pages with. */
const show = (url: string): Effect.Effect<void> =>
  Effect.async((resume) => {
    const [command, ...args] = process.platform === "darwin"
      ? ["open", url]
      : process.platform === "win32"
      ? ["cmd", "/c", "start", "", url]
      : ["xdg-open", url]
    const child = spawn(command!, args, { detached: true, stdio: "ignore" })
    child.once("error", (error) => resume(say(`no browser could be started: ${error.message}`)))
    child.once("spawn", () => {
      child.unref()
      resume(Effect.void)
    })
  })

/** Fails early where a file could not be written at the end. */
const checkFile = (path: string) =>
  Effect.scoped(Effect.flatMap(FileSystem.FileSystem, (files) => files.open(path, { flag: "a" }))).pipe(
    Effect.mapError(({ message }) => new Failed({ message: `cannot write ${path}: ${message}` }))
  )

/** Prints the numbers, and saves the rest. Fails where the project that was watched does. */
const finish = ({ save, strict }: Config, intake: typeof LocalIntake.LocalIntake.Service) =>
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
        Effect.mapError(({ message }) => new Failed({ message: `cannot write ${save.value}: ${message}` }))
      )
    }
    yield* Console.log(JSON.stringify(summary))
    if (strict && losses.length > 0) {
      const names = Array.from(new Set(losses.map(({ code }) => code))).join(", ")
      return yield* new Failed({ message: `Datadog would not keep all of this: ${names}` })
    }
  })

/** Serves until the process is told to stop. `end` is what there is to do then. */
const serve = (
  config: Config,
  end: (finish: Effect.Effect<void, Failed, FileSystem.FileSystem>) => Effect.Effect<void, never, FileSystem.FileSystem>
) =>
  Effect.gen(function*() {
    const intake = yield* LocalIntake.LocalIntake
    const datagrams = yield* Effect.serviceOption(LocalIntake.Datagrams)
    yield* Console.log(`DATADOG_HOST=${intake.url}`)
    if (Option.isSome(datagrams)) yield* Console.log(`DD_DOGSTATSD_URL=${datagrams.value.url}`)
    yield* say(`the page is at ${intake.url}; ${Option.isNone(config.apiKey) ? "any key is good" : "one key is good"}`)
    if (!isLoopback(config.host)) {
      yield* say(`${config.host} can be reached from other machines: whoever does can see, and clear, what arrived`)
    }
    if (config.open) yield* show(intake.url)
    return yield* Effect.never.pipe(Effect.ensuring(end(finish(config, intake))))
  })

export const make = (
  end: (finish: Effect.Effect<void, Failed, FileSystem.FileSystem>) => Effect.Effect<void, never, FileSystem.FileSystem>
) =>
  Command.make("intake", options, (config) => {
    const program = Option.match(config.save, { onNone: () => Effect.void, onSome: checkFile }).pipe(
      Effect.zipRight(serve(config, end)),
      Effect.provide(layerIntake(config))
    )
    return Option.match(config.seed, {
      onNone: () => program,
      onSome: (seed) => Effect.withRandom(program, Random.make(seed))
    })
  }).pipe(
    Command.withDescription("A Datadog intake on this machine, with a page that shows what arrives.")
  )
