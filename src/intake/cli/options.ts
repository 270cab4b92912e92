/** Options of the command `effect-threadstats intake`. */
import type * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as LocalIntake from "../../LocalIntake.js"

const portOption = (name: string, description: string, defaultPort: number) =>
  Options.integer(name).pipe(
    Options.withPseudoName("number"),
    Options.filterMap(
      (value) => value >= 0 && value < 65_536 ? Option.some(value) : Option.none(),
      `--${name} is a number from 0 to 65535`
    ),
    Options.withDescription(`${description} 0 chooses a free port. Default: ${defaultPort}.`),
    Options.withDefault(defaultPort)
  )

const flag = (name: string, description: string) =>
  Options.boolean(name).pipe(Options.withDescription(`${description} Default: off.`))

/** Returns false for an empty text, as in `--host "$HOST"` without that variable. */
const isGiven = (text: string): boolean => text.trim() !== ""

const faultOption = Options.text("fault").pipe(
  Options.withPseudoName("words"),
  Options.repeated,
  Options.mapEffect(Effect.forEach((words) =>
    Either.mapLeft(
      LocalIntake.parseFault(words),
      (reason) => ValidationError.invalidValue(HelpDoc.p(`--fault ${reason}`))
    )
  )),
  Options.withDescription(
    "Injects a fault into requests: status=503, delay=2s, hang, reset or rate-limit. " +
      "Optional: rate=0.2 for its probability, and path=/api/v1/series for the requests it affects. " +
      "Can be repeated. Default: no fault."
  ),
  Options.withDefault([])
)

export const options = {
  port: portOption("port", "Port for HTTP.", 8127),
  host: Options.text("host").pipe(
    Options.withPseudoName("name"),
    Options.filterMap(Option.liftPredicate(isGiven), "--host is empty"),
    Options.withDescription(
      "Address or name to listen on. Other machines can reach every address except those of the loopback interface. " +
        "Default: 127.0.0.1."
    ),
    Options.withDefault("127.0.0.1")
  ),
  allowHost: Options.text("allow-host").pipe(
    Options.withPseudoName("name"),
    Options.repeated,
    Options.withDescription(
      "Host name under which clients reach this intake, such as the name of a container. Can be repeated. " +
        "Default: localhost and addresses alone."
    ),
    Options.withDefault([])
  ),
  apiKey: Options.redacted("api-key").pipe(
    Options.withPseudoName("key"),
    Options.filterMap(
      Option.liftPredicate((key) => isGiven(Redacted.value(key))),
      "--api-key is empty. Give a key, or leave the option out: every key is valid without it"
    ),
    Options.withDescription("The only valid API key. Default: every key is valid."),
    Options.optional
  ),
  strict: flag(
    "strict",
    "Answers 400 to payloads that Datadog would drop in part. Exits with 1 if nothing was received, " +
      "or if anything was dropped, refused or lost to a fault."
  ),
  allowEmpty: flag("allow-empty", "With --strict: exits with 0 even if nothing was received."),
  allowRefused: flag("allow-refused", "With --strict: exits with 0 even if requests were refused."),
  allowFaults: flag("allow-faults", "With --strict: exits with 0 even if requests were lost to a fault."),
  fault: faultOption,
  seed: Options.integer("seed").pipe(
    Options.withPseudoName("number"),
    Options.withDescription(
      "Seed for the probability of faults. The same seed injects the same faults. Default: a random seed."
    ),
    Options.optional
  ),
  save: Options.file("save", { exists: "either" }).pipe(
    Options.withDescription(
      "Writes everything that was received, with its verdicts, to this file as JSON on exit. " +
        "The file cannot be a symbolic link. Default: nothing is written."
    ),
    Options.optional
  ),
  open: flag("open", "Opens the page in a browser."),
  dogstatsdPort: portOption("dogstatsd-port", "UDP port for DogStatsD.", 8125),
  noDogstatsd: flag("no-dogstatsd", "Does not listen for DogStatsD datagrams.")
}

/** Values of the options. */
export type IntakeCommandConfig = Command.Command.ParseConfig<typeof options>
