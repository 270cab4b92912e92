/** The form in which a secret, a parameter or a plaintext contains the API key. */
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import { isUsable } from "../config/decoders.js"

/** Fields that the Datadog extension reads, in its order. AWS's managed rotation writes the second one. */
const defaultFields: ReadonlyArray<string> = ["dd_api_key", "apiKey"]

/**
 * Decodes the key: the text itself, or a field of a JSON object. Fails with a text that continues "the secret …" and shows nothing of
 * the secret.
 */
export const decodeSecret = (
  secret: string | Uint8Array,
  field: string | undefined
): Either.Either<Redacted.Redacted, string> => {
  const text = (typeof secret === "string" ? secret : new TextDecoder().decode(secret)).trim()
  if (text === "") return Either.left("is empty")
  const isJson = text.startsWith("{") || field !== undefined
  return Either.filterOrLeft(
    Either.map(
      isJson ? decodeField(text, field === undefined ? defaultFields : [field]) : Either.right(text),
      Redacted.make
    ),
    isUsable,
    () => "contains no valid key: a key has printable characters and no spaces"
  )
}

/** Returns the first of the fields that contains text. */
const decodeField = (text: string, fields: ReadonlyArray<string>): Either.Either<string, string> => {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return Either.left("contains malformed JSON")
  }
  const found = fields
    .map((name) => Predicate.hasProperty(parsed, name) ? parsed[name] : undefined)
    .map((value) => typeof value === "string" ? value.trim() : "")
    .find((value) => value !== "")
  return found === undefined
    ? Either.left(`contains JSON without text in the field ${fields.map((name) => JSON.stringify(name)).join(" or ")}`)
    : Either.right(found)
}
