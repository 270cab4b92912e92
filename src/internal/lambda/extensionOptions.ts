/** The options of the extension: validated, never ignored. */
import * as Either from "effect/Either"
import { findUnknownOption, type InvalidOption } from "../config/unknownOption.js"

export interface ExtensionSettings {
  readonly name: string
  readonly blocking: boolean
}

const invalid = (name: string, expected: string): Either.Either<never, InvalidOption> => Either.left({ name, expected })

/** Decodes the options of the extension. Its name is the value of a header. Source: AWS, Extensions API, register. */
export const decodeExtensionOptions = (options: unknown): Either.Either<ExtensionSettings, InvalidOption> => {
  const unknown = findUnknownOption(options, ["name", "blocking"])
  if (unknown !== undefined) return Either.left(unknown)
  const { blocking = true, name = "effect-threadstats" } = (options ?? {}) as { readonly [name: string]: unknown }
  if (typeof name !== "string" || !/^[\x21-\x7e]{1,128}$/.test(name)) {
    return invalid("name", "expected 1 to 128 visible ASCII characters")
  }
  return typeof blocking === "boolean"
    ? Either.right({ name, blocking })
    : invalid("blocking", "expected true or false")
}
