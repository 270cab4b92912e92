/**
 * A network and an intake behind it, as an `HttpClient`: late, silent, twice, with every status, broken and lying.
 */
import { Headers, HttpClient, HttpClientError, HttpClientResponse, HttpIncomingMessage } from "@effect/platform"
import type { HttpBody, HttpClientRequest } from "@effect/platform"
import { Effect, FiberRef, Stream } from "effect"
import { inflateSync } from "node:zlib"
import type { WireItem } from "../support/wireReporter.js"
import type { Delivery, Flush, Oracle } from "./oracle.js"
import { isPoison } from "./oracle.js"
import type { Plan } from "./plan.js"
import type { Draw } from "./random.js"

/** Parts of a run that the network, the reporter and the oracle share. */
export interface World {
  readonly plan: Plan
  readonly draw: Draw
  readonly oracle: Oracle
  /** Time of the simulated clock, in milliseconds. Durations are measured with it. */
  readonly elapsed: () => number
  /** Time of day of the client, in milliseconds. It is ahead of the simulated clock after a freeze. */
  readonly now: () => number
  readonly trace: (what: string) => void
  weather: Weather
  /** Number of earlier processes. They have no connection any more. */
  generation: number
  /** Start of this process by its own time, in milliseconds. */
  bornAt: number
  /** Whether every request is answered correctly from now on. */
  healthy: boolean
}

export const currentFlush: FiberRef.FiberRef<Flush | undefined> = FiberRef.unsafeMake<Flush | undefined>(undefined)

/** Never ends. Unlike `Effect.never` it does not keep the process alive. */
export const silence = Effect.async<never>(() => {})

export type Weather = keyof typeof weathers

/** Weights of the faults in each weather. */
const weathers = {
  calm: { ok: 12, slow: 1, late: 1, busy: 1, reset: 1 },
  storm: {
    ok: 3,
    slow: 2,
    late: 2,
    never: 1,
    busy: 4,
    unauthorized: 1,
    reset: 2,
    noConnection: 1,
    defect: 1,
    body: 1,
    twice: 1,
    odd: 1,
    portal: 1
  },
  limits: { ok: 1, busy: 6 },
  down: { noConnection: 4, busy: 2, unauthorized: 1 },
  dead: { never: 6, slow: 1 }
} as const

const lossy = { gone: 2, liar: 2 } as const

type Fault = keyof typeof weathers.storm | keyof typeof lossy

/** Faults after which the client knows whether its request arrived. */
const clear: ReadonlySet<Fault> = new Set<Fault>(["ok", "unauthorized", "body", "twice", "odd", "gone", "liar"])

export const weatherNames = Object.keys(weathers) as ReadonlyArray<Weather>

const encoder = new TextEncoder()

/** Answers after which the same body must not be sent again in the same flush. */
const isFinal = (status: number): boolean => [400, 401, 403, 413, 415, 422].includes(status)

/** Number of answers that ask for halves in one flush, after which the client may give up. */
const splitLimit = 120

export const make = (world: World): HttpClient.HttpClient => {
  const { draw, generation, oracle, plan } = world
  const active = new Map<number, Flush | undefined>()
  const ended = new Map<Flush | undefined, Set<string>>()
  const notBefore = new Map<Flush, Map<string, number>>()
  let splits = { since: -Infinity, count: 0 }
  let requests = 0

  const spent = (): boolean => {
    if (world.elapsed() - splits.since > plan.flushTimeout) splits = { since: world.elapsed(), count: 0 }
    return ++splits.count > splitLimit
  }

  const headersOf = (now: number): { readonly headers: Record<string, string>; readonly pause: number | undefined } => {
    const seconds = draw.pick([0, 1, 1, 2, 30])
    switch (draw.upTo(9)) {
      case 0:
        return { headers: { "retry-after": `${seconds}` }, pause: seconds * 1000 }
      case 1: {
        const date = new Date(now + seconds * 1000).toUTCString()
        return { headers: { "retry-after": date }, pause: Date.parse(date) - now }
      }
      case 2:
        return { headers: { "x-ratelimit-reset": `${seconds}` }, pause: seconds * 1000 }
      case 3:
        return {
          headers: { "retry-after": "1", "x-ratelimit-reset": `${seconds}` },
          pause: Math.max(1, seconds) * 1000
        }
      case 4:
        return {
          headers: { "retry-after": draw.pick(["-1", "soon", "", "NaN", "Thu, 99 Foo 2023 GMT"]) },
          pause: undefined
        }
      case 5:
        return { headers: { "retry-after": "1000000000" }, pause: 1e12 }
      default:
        return { headers: {}, pause: undefined }
    }
  }

  const respond = (
    request: HttpClientRequest.HttpClientRequest,
    status: number,
    headers: Record<string, string> = {},
    text: Effect.Effect<string> | "breaks" = Effect.succeed("{\"status\":\"ok\"}")
  ): HttpClientResponse.HttpClientResponse => {
    const response = {
      [HttpClientResponse.TypeId]: HttpClientResponse.TypeId,
      [HttpIncomingMessage.TypeId]: HttpIncomingMessage.TypeId,
      request,
      status,
      headers: Headers.fromInput(headers)
    } as HttpClientResponse.HttpClientResponse
    const body = text === "breaks"
      ? Effect.fail(new HttpClientError.ResponseError({ request, response, reason: "Decode" }))
      : text
    return Object.assign(response, {
      text: body,
      stream: Stream.fromEffect(Effect.map(body, (content) => encoder.encode(content)))
    })
  }

  const broken = (request: HttpClientRequest.HttpClientRequest, code: string) =>
    Effect.fail(
      new HttpClientError.RequestError({
        request,
        reason: "Transport",
        cause: Object.assign(new Error(code), { code })
      })
    )

  return HttpClient.make((request, url, _signal, fiber) => {
    if (world.generation !== generation) return silence
    if (url.pathname.endsWith("/validate")) return Effect.succeed(respond(request, 200))
    const { body } = request.body as HttpBody.Uint8Array
    const text = (request.headers["content-encoding"] === "deflate" ? inflateSync(body) : Buffer.from(body)).toString()
    const json = JSON.parse(text)
    const batch: ReadonlyArray<WireItem> = Array.isArray(json.series) ? json.series : [json]
    const flush = fiber.getFiberRef(currentFlush)
    const now = world.now()
    const id = requests++
    const delivery: Delivery = { flush, at: world.elapsed(), answered: false }

    if (request.headers["dd-api-key"] !== "simulated") oracle.fault("a request without the key")
    oracle.checkSent(batch, flush, now)
    for (const other of active.values()) {
      if (other !== flush) oracle.fault("requests of two flushes at the same time")
    }
    if (flush !== undefined) {
      // Callers that join before it begins share it, and have as much time.
      if (flush.endedAt !== undefined && !flush.interrupted) oracle.fault("a request of a flush that was over")
      if (world.elapsed() > flush.startedAt + 2 * plan.flushTimeout) oracle.fault("a request after its flush's time")
      if (ended.get(flush)?.has(text) === true) oracle.fault("sent again what was refused for good")
      if ((notBefore.get(flush)?.get(text) ?? 0) > world.elapsed()) oracle.fault("sent again before the time asked for")
    }

    const answer = (
      status: number,
      headers?: Record<string, string>,
      body?: Effect.Effect<string> | "breaks"
    ): HttpClientResponse.HttpClientResponse => {
      if (status < 300) delivery.answered = true
      if (isFinal(status) && flush !== undefined) {
        const set = ended.get(flush) ?? new Set()
        ended.set(flush, set.add(text))
      }
      if ((status === 413 || status === 400) && (batch.length === 1 || spent())) oracle.refuse(batch)
      else if (isFinal(status) && status !== 413 && status !== 400 && status !== 401 && status !== 403) {
        oracle.refuse(batch)
      }
      world.trace(`${id} answers ${status}`)
      return respond(request, status, headers, body)
    }

    /** Answers as a working intake does. */
    const honest = (
      headers?: Record<string, string>,
      body?: Effect.Effect<string> | "breaks"
    ): Effect.Effect<HttpClientResponse.HttpClientResponse> =>
      Effect.suspend(() => {
        if (world.generation !== generation) return silence
        const status = statusOf(batch, text.length)
        if (status === 202) accept()
        return Effect.succeed(answer(status, headers, body))
      })

    const statusOf = (batch: ReadonlyArray<WireItem>, bytes: number) =>
      bytes > plan.bodyLimit ? 413 : batch.some((one) => isPoison("title" in one ? one.title : one.metric)) ? 400 : 202

    const accept = () => {
      world.trace(`${id} arrives`)
      oracle.accept(batch, delivery)
    }
    const takes = statusOf(batch, text.length) === 202

    const handle = (): Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError> => {
      const fault: Fault = world.healthy
        ? "ok"
        : plan.lossy && draw.chance(0.1)
        ? draw.weighted(lossy)
        : draw.weighted(weathers[world.weather])
      world.trace(`${id} ${flush?.id} ${world.elapsed()} ${fault} ${text}`)
      if (!clear.has(fault)) oracle.doubt(batch)
      switch (fault) {
        case "ok":
          return honest()
        case "slow": {
          // Arrives at once, and the answer may come too late.
          const wait = Effect.sleep(draw.upTo(6000))
          if (!takes) return Effect.zipRight(wait, honest())
          accept()
          return Effect.zipRight(
            wait,
            Effect.suspend(() => world.generation === generation ? Effect.succeed(answer(202)) : silence)
          )
        }
        case "late":
          return Effect.zipRight(Effect.sleep(draw.upTo(6000)), honest())
        case "never":
          if (takes && draw.chance(0.3)) accept()
          return silence
        case "busy": {
          const status = draw.pick([408, 429, 429, 500, 502, 503, 504])
          // A gateway gave up, and the intake accepted the request.
          if (takes && status >= 500 && draw.chance(0.3)) accept()
          const { headers, pause } = headersOf(now)
          if (pause !== undefined && flush !== undefined) {
            const times = notBefore.get(flush) ?? new Map()
            notBefore.set(flush, times.set(text, world.elapsed() + pause))
          }
          const response = answer(
            status,
            headers,
            draw.chance(0.1) ? "breaks" : Effect.succeed("{\"errors\":[\"busy\"]}")
          )
          // An HTTP client may be configured to fail on such statuses itself.
          return draw.chance(0.1)
            ? Effect.fail(new HttpClientError.ResponseError({ request, response, reason: "StatusCode" }))
            : Effect.succeed(response)
        }
        case "unauthorized":
          return Effect.sync(() => answer(draw.pick([401, 403])))
        case "reset":
          if (takes && draw.chance(0.5)) accept()
          return broken(request, draw.pick(["ECONNRESET", "EPIPE", "UND_ERR_SOCKET"]))
        case "noConnection":
          return Effect.zipRight(
            Effect.sleep(draw.pick([0, 0, 20, 900])),
            broken(request, draw.pick(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "CERT_HAS_EXPIRED", "ETIMEDOUT"]))
          )
        case "defect":
          if (draw.chance(0.5)) throw new Error("simulated defect")
          return Effect.die(draw.pick([new Error("simulated defect"), "no error at all", undefined]))
        case "body":
          return honest({ "content-length": "100" }, draw.chance(0.5) ? "breaks" : silence)
        case "twice":
          // A repeated series has no effect. Repeated values are a fault of the network, so the oracle ignores them.
          if (takes && url.pathname.endsWith("/series")) accept()
          return honest()
        case "odd":
          return takes
            ? Effect.sync(() => {
              accept()
              return answer(
                draw.pick([200, 201, 204, 299]),
                { "retry-after": "3600", "x-ratelimit-reset": "-1" },
                Effect.succeed(draw.pick(["{\"errors\":[\"not really\"]}", "", "null"]))
              )
            })
            : honest()
        case "gone":
          return Effect.sync(() => answer(draw.pick([415, 422])))
        case "portal": {
          // A proxy or a captive portal answers in place of the intake.
          const status = draw.pick([200, 301, 307, 404, 405, 407, 410, 418, 425])
          world.trace(`${id} answers ${status} from a portal`)
          return Effect.succeed(
            respond(request, status, { "content-type": "text/html" }, Effect.succeed("<!doctype html><html></html>"))
          )
        }
        case "liar":
          return Effect.sync(() => answer(400))
      }
    }

    active.set(id, flush)
    return Effect.ensuring(Effect.suspend(handle), Effect.sync(() => active.delete(id)))
  })
}
