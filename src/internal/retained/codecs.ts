import * as Hash from "effect/Hash"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { EventPayload } from "../../Event.js"
import { type Accumulation, type Kind, kinds, metricKinds } from "../model/metricKinds.js"

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
  const states = {
    sum: Schema.Finite,
    last: Schema.Finite,
    unique: Schema.Array(Schema.Union(Schema.Finite, Schema.String)),
    values,
    summary: Schema.Union(
      values,
      Schema.Struct({ min: Schema.Finite, max: Schema.Finite, sum: Schema.Finite, count: positive, sample: values })
    )
  } satisfies { readonly [A in Accumulation]: Schema.Schema.AnyNoContext }
  const seriesOf = (kind: Kind) =>
    Schema.Struct({
      kind: Schema.Literal(kind),
      name: Schema.NonEmptyString,
      host: Schema.NullOr(Schema.String),
      tags: Schema.Array(Schema.String),
      start: Schema.Int,
      recorded: positive,
      state: states[metricKinds[kind]]
    })
  return {
    metrics: open(Schema.Array(Schema.Union(...kinds.map(seriesOf)))),
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
