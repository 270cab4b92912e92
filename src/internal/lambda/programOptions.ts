/** The options of an invocation: validated, never ignored. */
import * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import { decodeFlushInterval } from "../config/decoders.js"
import { findUnknownOption, type InvalidOption } from "../config/unknownOption.js"
import type { InvocationSettings } from "./Invocation.js"

type Decoded<A> = Either.Either<A, InvalidOption>

const invalid = (name: string, expected: string): Decoded<never> => Either.left({ name, expected })

const isNegative = (input: unknown): boolean =>
  typeof input === "number" ? !(input >= 0) : typeof input === "bigint" ? input < 0 : String(input).startsWith("-")

/** Decodes a duration from zero to infinity, in milliseconds. */
const decodeMargin = (input: unknown): Decoded<number> => {
  if (input === undefined) return Either.right(500)
  const duration = isNegative(input) ? Option.none() : Duration.decodeUnknown(input)
  return Option.isNone(duration)
    ? invalid("deadlineMargin", "expected a duration from zero, such as \"1 second\"")
    : Either.right(Duration.toMillis(duration.value))
}

const decodeInterval = (input: unknown): Decoded<number | undefined> =>
  input === undefined ? Either.right(undefined) : Either.mapBoth(decodeFlushInterval(input), {
    onLeft: (expected) => ({ name: "flushInterval", expected }),
    onRight: Duration.toMillis
  })

const decodeFlush = (flush: unknown): Decoded<boolean> => {
  if (flush === undefined || flush === "before-response") return Either.right(false)
  return Predicate.hasProperty(flush, "layer") && Layer.isLayer(flush.layer)
    ? Either.right(true)
    : invalid("flush", "expected \"before-response\" or LambdaExtension.afterResponse")
}

const programOptions = ["flushInterval", "deadlineMargin", "flush"]

/** Names of the options of a handler. */
export const handlerOptions = ["handler", "layer", "enhancedMetrics", ...programOptions]

/** Decodes the options of an invocation. They may have the given names only. */
export const decode = (
  options: unknown,
  names: ReadonlyArray<string> = programOptions
): Decoded<InvocationSettings> => {
  const unknown = findUnknownOption(options, names)
  if (unknown !== undefined) return Either.left(unknown)
  const { deadlineMargin, flush, flushInterval } = (options ?? {}) as { readonly [name: string]: unknown }
  return Either.all({
    flushInterval: decodeInterval(flushInterval),
    deadlineMargin: decodeMargin(deadlineMargin),
    afterResponse: decodeFlush(flush)
  })
}

/** Validates the handler and the layer of a function. */
export const validateFunction = (options: unknown): Decoded<void> => {
  if (!Predicate.isObject(options)) return invalid("options", "expected an object")
  const { handler, layer } = options as { readonly [name: string]: unknown }
  if (typeof handler !== "function") return invalid("handler", "expected a function that returns an effect")
  return Layer.isLayer(layer) ? Either.void : invalid("layer", "expected a Layer, such as ThreadStats.layer")
}

/** Returns a decoded value, or throws a `TypeError` that names the option. */
export const orThrow = <A>(decoded: Decoded<A>): A =>
  Either.getOrThrowWith(decoded, ({ expected, name }) => new TypeError(`Invalid option ${name}: ${expected}`))

/** Succeeds with a decoded value, or fails with a `ConfigError` that names the option. */
export const orFail = <A>(decoded: Decoded<A>): Effect.Effect<A, ConfigError.ConfigError> =>
  Either.mapLeft(decoded, ({ expected, name }) => ConfigError.InvalidData([name], expected))
