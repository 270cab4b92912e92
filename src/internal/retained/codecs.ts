import * as Hash from "effect/Hash"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { EventPayload } from "../../Event.js"

/** One entry with series or events of the store. */
export interface Page {
  readonly slot: number
  /** Start of the bucket, in milliseconds since the epoch. `null` for events. */
  readonly start: number | null
  /** Number of points or events. */
  readonly count: number
}

/** Encodes an entry. A checksum goes in front, so that a truncated or overwritten entry is recognized. */
export const seal = (content: unknown): string => {
  const json = JSON.stringify(content)
  return `${(Hash.string(json) >>> 0).toString(16)} ${json}`
}

/** Makes the decoder of an entry. It returns none if the checksum or the shape is wrong. */
const open = <A, I>(schema: Schema.Schema<A, I>) => {
  const decode = Schema.decodeUnknownOption(Schema.parseJson(schema), { onExcessProperty: "preserve" })
  return (text: string): Option.Option<A> => {
    const space = text.indexOf(" ")
    const json = text.slice(space + 1)
    return text.slice(0, space) === (Hash.string(json) >>> 0).toString(16) ? decode(json) : Option.none()
  }
}

/** Makes the decoders together with a store: a client without one must not pay for schemas. */
export const makeCodecs = () => {
  const positive = Schema.Int.pipe(Schema.positive())
  const notNegative = Schema.Int.pipe(Schema.nonNegative())
  const values = Schema.NonEmptyArray(Schema.Finite)
  const common = {
    name: Schema.NonEmptyString,
    host: Schema.NullOr(Schema.String),
    tags: Schema.Array(Schema.String),
    start: Schema.Int,
    recorded: positive
  }
  return {
    metrics: open(Schema.Array(Schema.Union(
      Schema.Struct({ kind: Schema.Literal("counter", "gauge"), ...common, state: Schema.Finite }),
      Schema.Struct({
        kind: Schema.Literal("set"),
        ...common,
        state: Schema.Array(Schema.Union(Schema.Finite, Schema.String))
      }),
      Schema.Struct({ kind: Schema.Literal("distribution"), ...common, state: values }),
      Schema.Struct({
        kind: Schema.Literal("histogram", "timing"),
        ...common,
        state: Schema.Union(
          values,
          Schema.Struct({
            min: Schema.Finite,
            max: Schema.Finite,
            sum: Schema.Finite,
            count: positive,
            sample: values
          })
        )
      })
    ))),
    events: open(Schema.Array(EventPayload)),
    index: open(Schema.Struct({
      generation: Schema.Int,
      pages: Schema.Array(
        Schema.Struct({ slot: notNegative, start: Schema.NullOr(Schema.Int), count: notNegative })
      )
    }))
  }
}

export type Codecs = ReturnType<typeof makeCodecs>
