import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Layer from "effect/Layer"
/** A function that streams its response. */
import * as Lambda from "effect-threadstats/Lambda"
import * as LambdaExtension from "effect-threadstats/LambdaExtension"
import * as LambdaStream from "effect-threadstats/LambdaStream"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

interface Event {
  /** Name of the distribution that is recorded with the first chunk. */
  readonly record: string
  /** Chunks of the response. The stream fails at `null`. */
  readonly pieces: ReadonlyArray<string | null>
  /** True if the chunks after the first one wait for SIGUSR2. */
  readonly hold?: boolean
  readonly options?: LambdaStream.StreamOptions
}

class Torn extends Error {
  override readonly name = "Torn"
}

const signaled = new Promise<void>((resolve) => {
  process.once("SIGUSR2", () => resolve())
})

export const handler = Lambda.streamHandler({
  flush: process.env["FLUSH"] === "after-response" ? LambdaExtension.afterResponse : "before-response",
  handler: ({ hold, options, pieces, record }: Event) =>
    LambdaStream.make(
      Stream.fromIterable(pieces.entries()).pipe(
        Stream.mapEffect(([index, piece]) =>
          Effect.zipRight(
            hold === true && index > 0 ? Effect.promise(() => signaled) : Effect.void,
            piece === null ? Effect.fail(new Torn("on its way")) : Effect.succeed(piece)
          )
        ),
        Stream.onStart(ThreadStats.distribution(record, 1))
      ),
      options
    ),
  layer: Layer.provide(ThreadStats.layerHttpClient, FetchHttpClient.layer)
})
