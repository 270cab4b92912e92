/** A function that streams its response. */
import * as Lambda from "effect-threadstats/Lambda"
import * as LambdaExtension from "effect-threadstats/LambdaExtension"
import * as LambdaStream from "effect-threadstats/LambdaStream"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

interface Event {
  /** Recorded with the first piece. */
  readonly record: string
  /** The pieces; at `null` it fails. */
  readonly pieces: ReadonlyArray<string | null>
  /** Milliseconds before each. */
  readonly wait?: number
  readonly options?: LambdaStream.Options
}

class Torn extends Error {
  override readonly name = "Torn"
}

export const handler = Lambda.streamHandler({
  flush: process.env["FLUSH"] === "after-response" ? LambdaExtension.afterResponse : "before-response",
  handler: ({ options, pieces, record, wait }: Event) =>
    LambdaStream.make(
      Stream.fromIterable(pieces).pipe(
        Stream.mapEffect((piece) =>
          Effect.delay(piece === null ? Effect.fail(new Torn("on its way")) : Effect.succeed(piece), wait ?? 0)
        ),
        Stream.onStart(ThreadStats.distribution(record, 1))
      ),
      options
    ),
  layer: ThreadStats.layerFetch
})
