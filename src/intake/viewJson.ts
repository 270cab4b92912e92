/** JSON of everything that the intake keeps, in pieces: as one text it could exceed the maximum length of a string. */
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Stream from "effect/Stream"

const stringify = (value: unknown, indent: number | undefined): string => {
  try {
    return JSON.stringify(value, undefined, indent) ?? "null"
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return JSON.stringify({ error: `This part cannot be written as JSON: ${reason}` }, undefined, indent)
  }
}

/**
 * Writes an object as JSON in pieces. The elements of arrays are pieces of their own: one that cannot be written is replaced by an
 * object with the field `error`, and the others stay.
 */
export function* jsonPieces(fields: { readonly [name: string]: unknown }, indent?: number): Generator<string> {
  const lineBreak = indent === undefined ? "" : "\n"
  let separator = "{"
  for (const [name, value] of Object.entries(fields)) {
    yield `${separator}${lineBreak}${JSON.stringify(name)}:`
    separator = ","
    if (!Array.isArray(value)) {
      yield stringify(value, indent)
      continue
    }
    let elementSeparator = "["
    for (const element of value) {
      yield `${elementSeparator}${lineBreak}${stringify(element, indent)}`
      elementSeparator = ","
    }
    yield elementSeparator === "[" ? "[]" : "]"
  }
  yield separator === "{" ? "{}" : `${lineBreak}}${lineBreak}`
}

/** Length of the chunks of a response, in characters. */
const chunkLength = 65_536

function* joinPieces(pieces: Iterable<string>): Generator<string> {
  let chunk = ""
  for (const piece of pieces) {
    chunk += piece
    if (chunk.length < chunkLength) continue
    yield chunk
    chunk = ""
  }
  yield chunk
}

/** Creates a response with an object as JSON. */
export const toResponse = (
  fields: object,
  headers: { readonly [name: string]: string }
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.stream(
    Stream.encodeText(Stream.fromIterable(joinPieces(jsonPieces(fields as { readonly [name: string]: unknown })))),
    { contentType: "application/json", headers }
  )
