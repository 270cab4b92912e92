/** Every answer of a receiver, or of something in its place, ends in delivered, pending or dropped points. None is lost. */
import { assert, describe } from "@effect/vitest"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http"
import { gzipSync } from "node:zlib"
import { sumOf } from "../hostile/payload.js"
import { sweepKeys } from "../support/keySweep.js"
import { connectAgentsTo } from "../support/memoryNetwork.js"
import { nextTurn } from "../support/wait.js"
import { apiKey, makeClient, record } from "./sockets/client.js"

const it = sweepKeys(apiKey)

type Outcome = "delivered" | "pending" | "dropped"

interface Behaviour {
  readonly outcome: Outcome
  /** Answers after the body of the request has arrived. */
  readonly answer: (response: ServerResponse, request: IncomingMessage) => void
}

const html = "<!doctype html><title>Sign in</title>"

const status = (code: number, outcome: Outcome, headers: Record<string, string> = {}, body: string | Buffer = "{}") =>
  [`answers ${code}`, {
    outcome,
    answer: (response) => response.writeHead(code, headers).end(body)
  }] as const satisfies readonly [string, Behaviour]

const behaviours: ReadonlyArray<readonly [name: string, Behaviour]> = [
  ...[200, 201, 202, 204].map((code) => status(code, "delivered", {}, "")),
  // A redirect to another server, which would get the key.
  ...[300, 301, 302, 303, 304, 305, 307, 308].map((code) =>
    status(code, "pending", { location: "http://elsewhere.memory/api/v1/series" })
  ),
  ...[401, 403, 404, 405, 407, 408, 409, 410, 418, 421, 425, 426, 428, 429, 431, 451].map((code) =>
    status(code, "pending")
  ),
  ...[500, 501, 502, 503, 504, 505, 507, 511, 520, 599].map((code) => status(code, "pending")),
  ...[400, 413, 415, 422].map((code) => status(code, "dropped", {}, `{"errors":["refused"]}`)),
  ["answers 429 and requests a pause of an hour", {
    outcome: "pending",
    answer: (response) => response.writeHead(429, { "retry-after": "3600", "x-ratelimit-reset": "3600" }).end()
  }],
  ...[200, 202, 400, 404, 503].flatMap((code) =>
    [["a web page", { "content-type": "text/html" }], ["a web page without a type", {}]].map(([what, headers]) =>
      [`answers ${code} with ${what as string}`, {
        outcome: "pending",
        answer: (response: ServerResponse) => response.writeHead(code, headers as Record<string, string>).end(html)
      }] as const
    )
  ),
  ["answers 200 with a packed web page", {
    outcome: "pending",
    answer: (response) =>
      response.writeHead(200, { "content-type": "text/html", "content-encoding": "gzip" }).end(gzipSync(html))
  }],
  ["answers 202 with packed JSON", {
    outcome: "delivered",
    answer: (response) =>
      response.writeHead(202, { "content-type": "application/json", "content-encoding": "gzip" })
        .end(gzipSync(`{"status":"ok"}`))
  }],
  ["answers 400 with packed JSON", {
    outcome: "dropped",
    answer: (response) =>
      response.writeHead(400, { "content-type": "application/json", "content-encoding": "gzip" })
        .end(gzipSync(`{"errors":["refused"]}`))
  }],
  ["answers 202 with plain text", { outcome: "delivered", answer: (response) => response.writeHead(202).end("OK") }],
  ["answers 202 with errors in JSON", {
    outcome: "delivered",
    answer: (response) => response.writeHead(202).end(`{"errors":["a warning"]}`)
  }],
  ["answers 100 before 202", {
    outcome: "delivered",
    answer: (response) => {
      response.writeContinue()
      response.writeHead(202).end("{}")
    }
  }],
  ["answers 102 and 103 before 202", {
    outcome: "delivered",
    answer: (response) => {
      response.writeProcessing()
      response.writeEarlyHints({ link: "</x>; rel=preload" })
      response.writeHead(202).end("{}")
    }
  }],
  ["answers 100 and nothing else", { outcome: "pending", answer: (response) => response.writeContinue() }],
  ["does not answer", { outcome: "pending", answer: () => {} }],
  ["answers 202 with half of its body", {
    outcome: "delivered",
    answer: (response) => response.writeHead(202, { "content-length": "100" }).write("{", () => response.destroy())
  }],
  ["answers 503 with half of its body", {
    outcome: "pending",
    answer: (response) => response.writeHead(503, { "content-length": "100" }).write("{", () => response.destroy())
  }],
  ["answers 202 with more than its length", {
    outcome: "delivered",
    answer: (response) => response.socket!.end("HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}{}{}{}")
  }],
  ["answers 202 with two lengths", {
    outcome: "pending",
    answer: (response) =>
      response.socket!.end("HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\ncontent-length: 4\r\n\r\n{}{}")
  }],
  ["answers 202 with the length -1", {
    outcome: "pending",
    answer: (response) => response.socket!.end("HTTP/1.1 202 Accepted\r\ncontent-length: -1\r\n\r\n{}")
  }],
  ["closes the connection without an answer", { outcome: "pending", answer: (response) => response.socket!.end() }],
  ["resets the connection without an answer", { outcome: "pending", answer: (response) => response.destroy() }],
  ["resets the connection within the status", {
    outcome: "pending",
    answer: (response) => response.socket!.write("HTTP/1.1 20", () => response.destroy())
  }]
]

/** Answers when the body of the request has arrived. */
const afterBody = ({ answer }: Behaviour): RequestListener => (request, response) => {
  request.resume().on("end", () => answer(response, request)).on("error", () => {})
  response.on("error", () => {})
}

/** Flushes. The clock of the test moves to the end of the flush if the network does nothing more. */
const flush = Effect.gen(function*() {
  const client = yield* ThreadStats.ThreadStats
  const fiber = yield* Effect.fork(client.flush())
  for (let turns = 0; turns < 300 && fiber.unsafePoll() === null; turns++) yield* nextTurn
  if (fiber.unsafePoll() === null) yield* TestClock.adjust(client.config.flushTimeout)
  const receipt = yield* Fiber.join(fiber)
  const { events, metrics } = yield* client.stats
  assert.deepStrictEqual([sumOf(metrics), sumOf(events)], [metrics.received, events.received])
  return { receipt, metrics, events }
})

/** Numbers of the two points and of the event that ended in each way. */
const countsOf = ({ events, metrics }: Pick<ThreadStats.Stats, "metrics" | "events">) => ({
  delivered: [metrics.delivered, events.delivered],
  pending: [metrics.pending, events.pending],
  dropped: [metrics.dropped, events.dropped]
})

const expectedCounts = (outcome: Outcome) => ({
  delivered: outcome === "delivered" ? [2, 1] : [0, 0],
  pending: outcome === "pending" ? [2, 1] : [0, 0],
  dropped: outcome === "dropped" ? [{ Refused: 2 }, { Refused: 1 }] : [{}, {}]
})

const accepting: Behaviour = { outcome: "delivered", answer: (response) => response.writeHead(202).end("{}") }

describe("ThreadStats over HTTP", () => {
  for (const [name, behaviour] of behaviours) {
    it.scoped(`leaves every point and event ${behaviour.outcome} when the receiver ${name}`, () =>
      Effect.gen(function*() {
        let current = behaviour
        const hosts = new Set<string | undefined>()
        yield* connectAgentsTo((request, response) => {
          hosts.add(request.headers.host)
          afterBody(current)(request, response)
        })
        yield* Effect.gen(function*() {
          yield* record
          const first = yield* flush
          assert.deepStrictEqual(countsOf(first), expectedCounts(behaviour.outcome))
          assert.strictEqual(first.receipt.errors.length, behaviour.outcome === "delivered" ? 0 : 3)
          for (const { description } of first.receipt.errors) assert.isNotEmpty(description)

          current = accepting
          const second = yield* flush
          assert.deepStrictEqual(
            countsOf(second),
            expectedCounts(behaviour.outcome === "pending" ? "delivered" : behaviour.outcome)
          )
          assert.deepStrictEqual(second.receipt.errors, [])
        }).pipe(Effect.provide(makeClient("http://intake.memory", ThreadStats.layerWith)))
        assert.deepStrictEqual(Array.from(hosts), ["intake.memory"])
      }))
  }
})
