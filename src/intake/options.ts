/** Validates the options of an intake. */
import type * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import { decodeBoolean, type Decoder, decodeText, decodeWholeNumber } from "../internal/config/decoders.js"
import * as Setting from "../internal/config/setting.js"
import { defaultLimits } from "./model.js"

const decodeWith = <A>(isValid: (value: unknown) => value is A, expected: string): Decoder<unknown, A> => (value) =>
  isValid(value) ? Either.right(value) : Either.left(`expected ${expected}`)

const isLimit = (value: unknown): value is number =>
  Predicate.isNumber(value) && value >= 0 && (Number.isInteger(value) || value === Number.POSITIVE_INFINITY)

const decodeLimit = decodeWith(isLimit, "a whole number from 0, or Infinity")

const isKey = (value: unknown): value is Redacted.Redacted =>
  Redacted.isRedacted(value) && Predicate.isString(Redacted.value(value)) && Redacted.value(value) !== ""

const isArrayOf = <A>(isElement: Predicate.Refinement<unknown, A>) => (value: unknown): value is ReadonlyArray<A> =>
  Array.isArray(value) && value.every(isElement)

const isFault = (value: unknown): value is object =>
  Predicate.hasProperty(value, "action") && Predicate.hasProperty(value, "delay")

type Decoders = { readonly [name: string]: Decoder<unknown, unknown> }

const intakeDecoders: Decoders = {
  apiKey: decodeWith(isKey, "Redacted.make(key)"),
  maxBodyBytes: decodeLimit,
  maxUnpackedBytes: decodeLimit,
  strict: decodeBoolean,
  faults: decodeWith(isArrayOf(isFault), "faults, such as Either.getOrThrow(LocalIntake.parseFault(\"status=503\"))"),
  limits: decodeWith(Predicate.isRecord, "numbers by name, such as { requests: 1000 }"),
  hosts: decodeWith(isArrayOf(Predicate.isString), "names, such as [\"intake\"]")
}

const limitDecoders: Decoders = Object.fromEntries(Object.keys(defaultLimits).map((name) => [name, decodeLimit]))

const datagramDecoders: Decoders = { port: decodeWholeNumber(0, 65_535), host: decodeText }

/** Fails with an error that names an option that does not exist, or has an invalid value. */
const check = (options: object | undefined, decoders: Decoders): Effect.Effect<void, ConfigError.ConfigError> =>
  Effect.zipRight(
    Setting.checkNames(options, Object.keys(decoders)),
    Effect.forEach(Object.entries(decoders), ([name, decode]) => Setting.resolveOption(options, name, decode), {
      discard: true
    })
  )

/** Validates the options of the intake. */
export const checkIntakeOptions = (
  options: { readonly limits?: object | undefined } | undefined
): Effect.Effect<void, ConfigError.ConfigError> =>
  Effect.zipRight(check(options, intakeDecoders), Effect.suspend(() => check(options?.limits, limitDecoders)))

/** Validates the options of the UDP socket. */
export const checkDatagramOptions = (options: object | undefined): Effect.Effect<void, ConfigError.ConfigError> =>
  check(options, datagramDecoders)
