import { assert, describe, it } from "@effect/vitest"
import * as Lambda from "effect-threadstats/Lambda"
import * as LambdaStream from "effect-threadstats/LambdaStream"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { Writable } from "node:stream"
import { emptyLambdaContext, rejectionOf } from "./lambdaContext.js"
import { layerNoting } from "./observedClient.js"

describe("streamHandler", () => {
  /** A response as the runtime client offers it. It notes content type, writes and end in the log. */
  const makeResponse = (
    log: Array<string>,
    { isSlow = false, onWrite = () => {}, ...options }: {
      readonly highWaterMark?: number
      readonly isSlow?: boolean
      readonly onWrite?: (response: Writable) => void
    } = {}
  ) =>
    Object.assign(
      new Writable({
        ...options,
        write(chunk, _, done) {
          log.push(`write ${String(chunk).replaceAll("\0", "0")}`)
          onWrite(this)
          if (isSlow) setImmediate(done)
          else done()
        },
        final(done) {
          log.push("end")
          done()
        }
      }),
      { setContentType: (type: string) => log.push(type) }
    )

  const makeStreamHandler = <E>(
    log: Array<string>,
    program: () =>
      | Effect.Effect<unknown, E, ThreadStats.ThreadStats>
      | Stream.Stream<LambdaStream.Chunk, E, ThreadStats.ThreadStats>
  ) => Lambda.streamHandler({ handler: (_: unknown) => program(), layer: layerNoting(log) })

  it("returns a function of three parameters with the mark of streaming handlers", () => {
    const handler = makeStreamHandler([], () => Effect.void)
    assert.strictEqual(Reflect.get(handler, Symbol.for("aws.lambda.runtime.handler.streaming")), "response")
    assert.strictEqual(handler.length, 3)
  })

  it("sends the chunks of a stream, ends the response, and then flushes", async () => {
    const log: Array<string> = []
    const handler = makeStreamHandler(log, () =>
      Stream.make("a", "b").pipe(
        Stream.concat(Stream.make(new TextEncoder().encode("é"))),
        Stream.tap(() => ThreadStats.increment("parts")),
        Stream.ensuring(Effect.sync(() => log.push("closed")))
      ))
    const response = makeResponse(log)
    await handler({}, response, emptyLambdaContext)
    assert.deepStrictEqual(log, [
      "application/octet-stream",
      "write a",
      "write b",
      "write é",
      "closed",
      "end",
      "flush all"
    ])
    assert.strictEqual(response.listenerCount("close"), 0)
  })

  for (const [stream, chunks] of [["has a chunk", ["x"]], ["is empty", []]] as const) {
    it(`sends status, headers and cookies before the body when the stream ${stream}`, async () => {
      const log: Array<string> = []
      const metadata = { statusCode: 201, headers: { a: "b" }, cookies: ["c=d"] }
      const handler = makeStreamHandler(log, () => LambdaStream.make(Stream.fromIterable(chunks), metadata))
      await handler({}, makeResponse(log), emptyLambdaContext)
      assert.deepStrictEqual(log, [
        "application/vnd.awslambda.http-integration-response",
        `write {"statusCode":201,"headers":{"a":"b"},"cookies":["c=d"]}00000000`,
        ...chunks.map((chunk) => `write ${chunk}`),
        "end",
        "flush all"
      ])
    })
  }

  for (
    const [name, result, json] of [["an object", { ok: true }, `{"ok":true}`], [
      "undefined",
      undefined,
      "null"
    ]] as const
  ) {
    it(`sends JSON when the result is ${name}`, async () => {
      const log: Array<string> = []
      const handler = makeStreamHandler(log, () => Effect.succeed(result))
      await handler({}, makeResponse(log), emptyLambdaContext)
      assert.deepStrictEqual(log, ["application/json", `write ${json}`, "end", "flush all"])
    })
  }

  it("pulls the next chunk when the response has drained, and not before", async () => {
    const log: Array<string> = []
    const handler = makeStreamHandler(
      log,
      () =>
        Stream.make("a", "b", "c").pipe(
          Stream.rechunk(1),
          Stream.tap((chunk) => Effect.sync(() => log.push(`pull ${chunk}`)))
        )
    )
    await handler({}, makeResponse(log, { highWaterMark: 1, isSlow: true }), emptyLambdaContext)
    assert.deepStrictEqual(log.filter((entry) => /^(?:pull|write)/.test(entry)), [
      "pull a",
      "write a",
      "pull b",
      "write b",
      "pull c",
      "write c"
    ])
  })

  const error = new TypeError("error of the program")
  for (
    const [end, program] of [
      ["stream fails", () => Stream.concat(Stream.make("a"), Stream.fail(error))],
      ["stream dies", () => Stream.concat(Stream.make("a"), Stream.die(error))],
      ["effect fails", () => Effect.fail(error)]
    ] as const
  ) {
    it(`leaves the response open and rejects with the program's own error when the ${end}`, async () => {
      const log: Array<string> = []
      const response = makeResponse(log)
      const rejected = await rejectionOf(makeStreamHandler(log, program)({}, response, emptyLambdaContext))
      assert.strictEqual(rejected, error)
      assert.isFalse(response.writableEnded)
      assert.strictEqual(log.at(-1), "flush all")
    })
  }

  const cyclic: { self?: unknown } = {}
  cyclic.self = cyclic
  for (
    const [result, program] of [
      ["a chunk is neither text nor bytes", () => Stream.make(1 as unknown as string)],
      ["its metadata are not JSON", () => LambdaStream.make(Stream.empty, { statusCode: 1n as unknown as number })],
      ["its result is not JSON", () => Effect.succeed(cyclic)]
    ] as const
  ) {
    it(`rejects with a LambdaStreamError and flushes when ${result}`, async () => {
      const log: Array<string> = []
      const handler = makeStreamHandler<unknown>(log, program)
      const rejected = await rejectionOf(handler({}, makeResponse(log), emptyLambdaContext))
      assert.instanceOf(rejected, LambdaStream.LambdaStreamError)
      assert.strictEqual(log.at(-1), "flush all")
    })
  }

  it("interrupts the stream, rejects with ResponseClosed and flushes when the client disconnects", async () => {
    const log: Array<string> = []
    const response = makeResponse(log, { onWrite: (self) => self.destroy(new Error("disconnected")) })
    const handler = makeStreamHandler(log, () =>
      Stream.concat(Stream.make("a"), Stream.never).pipe(
        Stream.ensuring(Effect.sync(() => log.push("interrupted")))
      ))
    const rejected = await rejectionOf(handler({}, response, emptyLambdaContext))
    assert.instanceOf(rejected, Lambda.ResponseClosed)
    assert.deepStrictEqual(log, ["application/octet-stream", "write a", "interrupted", "flush all"])
  })
})
