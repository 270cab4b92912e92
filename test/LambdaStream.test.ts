import { assert, describe, it } from "@effect/vitest"
import * as LambdaStream from "effect-threadstats/LambdaStream"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

const chunksOf = (stream: LambdaStream.LambdaStream) =>
  Effect.suspend(() => {
    const chunks: Array<LambdaStream.Chunk> = []
    return Effect.as(LambdaStream.runForEach(stream, (chunk) => Effect.sync(() => chunks.push(chunk))), chunks)
  })

describe("LambdaStream.make", () => {
  class Greeting extends Context.Tag("test/Greeting")<Greeting, string>() {}

  it.effect("provides the stream with the services of the effect that makes it", () =>
    Effect.gen(function*() {
      const stream = yield* Effect.provideService(LambdaStream.make(Stream.fromEffect(Greeting)), Greeting, "hello")
      assert.isTrue(LambdaStream.isLambdaStream(stream))
      assert.deepStrictEqual(yield* chunksOf(stream), ["hello"])
    }))
})

describe("LambdaStream.fromResult", () => {
  it.effect("returns streams and LambdaStreams, and none for other results", () =>
    Effect.gen(function*() {
      const stream = yield* LambdaStream.make(Stream.make("a"), { statusCode: 404 })
      assert.deepStrictEqual(LambdaStream.fromResult(stream), Option.some(stream))
      const fromStream = Option.getOrThrow(LambdaStream.fromResult(Stream.make("a", "b")))
      assert.deepStrictEqual(yield* chunksOf(fromStream), ["a", "b"])
      for (const result of [undefined, null, "text", { body: "text" }, Effect.succeed("text")]) {
        assert.isTrue(Option.isNone(LambdaStream.fromResult(result)))
      }
    }))
})

describe("LambdaStream.head", () => {
  it.effect("returns the content type without a prelude when the stream has no metadata", () =>
    Effect.gen(function*() {
      const plain = yield* LambdaStream.make(Stream.empty)
      const typed = yield* LambdaStream.make(Stream.empty, { contentType: "text/html" })
      assert.deepStrictEqual(yield* LambdaStream.head(plain), {
        contentType: "application/octet-stream",
        prelude: Option.none()
      })
      assert.deepStrictEqual(yield* LambdaStream.head(typed), { contentType: "text/html", prelude: Option.none() })
    }))

  it.effect("returns a prelude of JSON and eight zero bytes when the stream has metadata", () =>
    Effect.gen(function*() {
      const stream = yield* LambdaStream.make(Stream.empty, { statusCode: 302, headers: { location: "/" } })
      assert.deepStrictEqual(yield* LambdaStream.head(stream), {
        contentType: "application/vnd.awslambda.http-integration-response",
        prelude: Option.some(`{"statusCode":302,"headers":{"location":"/"}}\0\0\0\0\0\0\0\0`)
      })
    }))

  it.effect("returns the content type as a header of the prelude when the headers have none", () =>
    Effect.gen(function*() {
      const preludeOf = (options: LambdaStream.StreamOptions) =>
        Effect.flatMap(LambdaStream.make(Stream.empty, options), LambdaStream.head).pipe(
          Effect.map(({ prelude }) => JSON.parse(Option.getOrThrow(prelude).replaceAll("\0", "")))
        )
      assert.deepStrictEqual(yield* preludeOf({ statusCode: 200, contentType: "text/html" }), {
        statusCode: 200,
        headers: { "content-type": "text/html" }
      })
      const headers = { "Content-Type": "text/csv" }
      assert.deepStrictEqual(yield* preludeOf({ headers, contentType: "text/html" }), { headers })
    }))

  for (
    const [name, value] of [
      ["statusCode", 1n],
      ["statusCode", "200"],
      ["statusCode", 99],
      ["statusCode", 600],
      ["statusCode", Number.NaN],
      ["headers", { count: 1 }],
      ["headers", "content-type: text/html"],
      ["cookies", "a=1"],
      ["cookies", [1]],
      ["contentType", 7],
      ["status", 200]
    ] as const
  ) {
    it.effect(`fails with a LambdaStreamError that names the option when ${name} is ${typeof value} ${String(value)}`, () =>
      Effect.gen(function*() {
        const stream = yield* LambdaStream.make(Stream.empty, { [name]: value } as LambdaStream.StreamOptions)
        const error = yield* Effect.flip(LambdaStream.head(stream))
        assert.instanceOf(error, LambdaStream.LambdaStreamError)
        assert.include(error.message, name)
      }))
  }
})

describe("LambdaStream.runForEach", () => {
  it.effect("fails with a LambdaStreamError that names the type of a chunk that is neither text nor bytes", () =>
    Effect.gen(function*() {
      const stream = yield* LambdaStream.make(Stream.make("a", 1 as unknown as string))
      const error = yield* Effect.flip(chunksOf(stream))
      assert.instanceOf(error, LambdaStream.LambdaStreamError)
      assert.include(error.message, "number")
    }))
})
