/** One setting: an option, else the first of its variables that is set. */
import * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type { Decoder } from "./decoders.js"
import { variable } from "./environment.js"
import { findUnknownOption } from "./unknownOption.js"

export interface Setting<out A> {
  /** Variables that set it, in order of precedence. */
  readonly variables: ReadonlyArray<string>
  readonly decodeVariable: Decoder<string, A>
  readonly decodeOption: Decoder<unknown, A>
}

/** Makes a setting that parses the text of its variables and validates it like the value of its option. */
export const make = <I, A>(
  variables: string | ReadonlyArray<string>,
  parse: Decoder<string, I>,
  decode: Decoder<unknown, A>
): Setting<A> => ({
  variables: typeof variables === "string" ? [variables] : variables,
  decodeVariable: (text) => Either.flatMap(parse(text), decode),
  decodeOption: decode
})

/** Decodes a value. A decoder relies on the declared type of the value, so it may throw at a value of another type. */
const decodeAs = <I, A>(name: string, decode: Decoder<I, A>, input: I): Either.Either<A, ConfigError.ConfigError> =>
  Either.try({ try: () => decode(input), catch: () => "expected a value of another type" }).pipe(
    Either.flatMap((decoded) => decoded),
    Either.mapLeft((message) => ConfigError.InvalidData([name], message))
  )

/** Reads an option. A getter or a proxy may throw. */
const readOption = (options: object | undefined, name: string): Either.Either<unknown, ConfigError.ConfigError> =>
  Either.try({
    try: (): unknown => (options as { readonly [name: string]: unknown } | undefined)?.[name],
    catch: () => ConfigError.InvalidData([name], "reading the option failed; expected a plain value")
  })

type Resolution<A> = Either.Either<Option.Option<A>, ConfigError.ConfigError>

const decodeOption = <A>(options: object | undefined, name: string, decode: Decoder<unknown, A>): Resolution<A> =>
  Either.flatMap(
    readOption(options, name),
    (value) =>
      value === undefined ? Either.right(Option.none()) : Either.map(decodeAs(name, decode, value), Option.some)
  )

/** Resolves the option of this name, or none if it is absent. */
export const resolveOption = <A>(
  options: object | undefined,
  name: string,
  decode: Decoder<unknown, A>
): Effect.Effect<Option.Option<A>, ConfigError.ConfigError> => Effect.suspend(() => decodeOption(options, name, decode))

/** Resolves the first of the variables that is set, or none if all are absent or blank. */
export const resolveVariable = <A>(
  [name, ...others]: ReadonlyArray<string>,
  decode: Decoder<string, A>
): Effect.Effect<Option.Option<A>, ConfigError.ConfigError> =>
  name === undefined ? Effect.succeed(Option.none()) : Effect.flatMap(variable(name), (text): Effect.Effect<
    Option.Option<A>,
    ConfigError.ConfigError
  > =>
    Option.isSome(text)
      ? Either.map(decodeAs(name, decode, text.value), Option.some)
      : resolveVariable(others, decode))

/** Resolves a setting. An option hides its variables, so that an invalid variable has no effect then. */
export const resolve = <A>(
  options: object | undefined,
  name: string,
  setting: Setting<A>
): Effect.Effect<Option.Option<A>, ConfigError.ConfigError> =>
  Effect.suspend(() => {
    const option = decodeOption(options, name, setting.decodeOption)
    return Either.isLeft(option) || Option.isSome(option.right)
      ? option
      : resolveVariable(setting.variables, setting.decodeVariable)
  })

/** Fails if the options are not an object, or contain one of another name than these. */
export const checkNames = (
  options: object | undefined,
  known: ReadonlyArray<string>
): Effect.Effect<void, ConfigError.ConfigError> =>
  Effect.suspend(() => {
    const unknown = findUnknownOption(options, known)
    return unknown === undefined ? Effect.void : Effect.fail(ConfigError.InvalidData([unknown.name], unknown.expected))
  })
