/** The one way to read environment variables, by Effect's `Config`. */
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { parseBoolean } from "./decoders.js"

const trim = (text: string): Option.Option<string> => {
  const trimmed = text.trim()
  return trimmed === "" ? Option.none() : Option.some(trimmed)
}

/** Returns the text of a variable without the space around it, or none if the variable is absent or blank. */
export const variable = (name: string): Config.Config<Option.Option<string>> =>
  Config.string(name).pipe(Config.map(trim), Config.withDefault(Option.none<string>()))

/** Returns true or false, or none if the variable is absent or blank. */
export const flag = (name: string): Config.Config<Option.Option<boolean>> =>
  Config.mapOrFail(
    variable(name),
    Option.match({
      onNone: () => Either.right(Option.none<boolean>()),
      onSome: (text) =>
        Either.mapBoth(parseBoolean(text), {
          onLeft: (message) => ConfigError.InvalidData([name], message),
          onRight: Option.some
        })
    })
  )

/** Name of the Lambda function, or none outside AWS Lambda. */
export const functionName: Config.Config<Option.Option<string>> = /*#__PURE__*/ variable("AWS_LAMBDA_FUNCTION_NAME")

/** Whether FIPS endpoints are required: `DD_LAMBDA_FIPS_MODE`, which is true by default in us-gov regions. */
export const fipsMode: Config.Config<boolean> = /*#__PURE__*/ Config.zipWith(
  /*#__PURE__*/ flag("DD_LAMBDA_FIPS_MODE"),
  /*#__PURE__*/ variable("AWS_REGION"),
  (mode, region) => Option.getOrElse(mode, () => Option.exists(region, (name) => name.startsWith("us-gov-")))
)
