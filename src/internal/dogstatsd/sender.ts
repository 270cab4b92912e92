import * as Array from "effect/Array"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { Scope } from "effect/Scope"
import type { Reason } from "../../Reporter.js"
import type { Packet, Refused } from "./encoder.js"
import { type Link, open, SocketFailure, type Target, type UnixDatagrams } from "./socket.js"

/** What became of a batch, item by item. */
export interface Sent {
  readonly fate: (index: number) => Fate
  readonly payloads: number
  readonly bytes: number
  readonly retries: number
  /** Why not everything was delivered, or will be; the first of them. */
  readonly trouble: Trouble | undefined
  readonly troubles: number
}

/** `Doubtful`: undelivered, as far as is known; some of it may have arrived, or all. */
export type Fate = "Delivered" | "Undelivered" | "Doubtful" | "Refused"

export interface Trouble {
  readonly reason: Reason
  readonly description: string
}

export interface Sender {
  /**
   * Sends the packets one after the other and stops at the first that does not leave until the deadline, or before:
   * a receiver that is not there is tried again for a moment, and once in the batches after that.
   */
  readonly send: (
    items: number,
    packets: Iterable<Packet | Refused>,
    deadline: number
  ) => Effect.Effect<Sent>
  /** Opens the socket, if it can be kept. */
  readonly warm: Effect.Effect<void>
  /** Runs one batch at a time. */
  readonly exclusively: <A>(effect: Effect.Effect<A>) => Effect.Effect<A>
}

/** How long one packet, or opening a socket, may take, in milliseconds, where there is more time. */
const longestStep = 3_000

/** The first pause before a socket is opened again, in milliseconds; each is up to twice the one before. */
const firstPause = 50

/**
 * How long a batch waits in all for a receiver that is not there, in milliseconds; and for room in a full buffer, where it has no
 * deadline.
 */
const patience = 1_000

/** How often a packet that met a full buffer is tried again at once, and the pauses after that, in milliseconds. */
const fullTurns = 3
const firstFullPause = 2
const longestFullPause = 100

/** What an error on a socket to another machine may be about, in milliseconds since it was sent. */
const recent = 1_000

/** How long the address of a name is taken for right, in milliseconds. */
const addressAge = 60_000

/** Lets the event loop go round, for whoever reads. */
const turn = Effect.async<void>((resume) => {
  setImmediate(() => setImmediate(() => resume(Effect.void)))
})

const isName = (target: Target): boolean => target._tag === "Udp" && !/^[\d.]+$|:/.test(target.host)

const noTime = new SocketFailure({
  kind: "Silent",
  description: "no time left in this flush",
  ambiguous: false,
  doubt: "nothing"
})

const silent = (description: string, ambiguous: boolean) => () =>
  new SocketFailure({ kind: "Silent", description, ambiguous, doubt: "nothing" })

const none = 0
const arrived = 1
const failed = 2
const doubted = 4
const refused = 8

const fateOf = (state: number): Fate =>
  (state & refused) !== 0
    ? "Refused"
    : (state & doubted) !== 0 || (state & (failed | arrived)) === (failed | arrived)
    ? "Doubtful"
    : (state & failed) !== 0
    ? "Undelivered"
    : "Delivered"

/** What was sent over the socket that is open, and when. */
interface Past {
  readonly first: number
  readonly last: number
  readonly bytes: number
  readonly time: number
}

export const make = (
  target: Target,
  unixDatagrams: UnixDatagrams | undefined
): Effect.Effect<Sender, never, Scope> =>
  Effect.gen(function*() {
    const gate = yield* Effect.makeSemaphore(1)
    let link: Link | undefined
    let opened = -Infinity
    /** In a row. */
    let absences = 0

    const drop = () => {
      link?.close()
      link = undefined
    }

    yield* Effect.addFinalizer(() => Effect.sync(drop))

    const within = (limit: number) => Duration.millis(Math.max(1, Math.min(limit, longestStep)))

    const reopen = (now: number, limit: number): Effect.Effect<Link, SocketFailure> =>
      Effect.uninterruptibleMask((restore) =>
        Effect.map(
          restore(Effect.timeoutFail(Effect.interruptible(open(target, unixDatagrams)), {
            duration: within(limit),
            onTimeout: silent("the socket could not be opened in time", false)
          })),
          (made) => {
            drop()
            link = made
            opened = now
            return made
          }
        )
      )

    /** The socket that is open, or a new one; a name is looked up again now and then, and may be wrong in between. */
    const connect = (now: number, limit: number): Effect.Effect<Link, SocketFailure> => {
      const current = link
      if (current === undefined || !current.isOpen()) return reopen(now, limit)
      if (!isName(target) || now - opened < addressAge) return Effect.succeed(current)
      return Effect.orElseSucceed(reopen(now, limit), () => {
        opened = now
        return current
      })
    }

    const send: Sender["send"] = (items, packets, deadline) =>
      Effect.flatMap(Clock.currentTimeMillis, (start) => {
        const states = new Uint8Array(items)
        let past: Array<Past> = []
        let payloads = 0
        let bytes = 0
        let retries = 0
        /** Who was not there the last time is tried once. */
        const isExpected = absences === 0
        /** There may be other batches. */
        const longestWait = Math.min(patience, (deadline - start) / 2)
        let waited = 0
        let waitedForRoom = 0
        let trouble: Trouble | undefined
        let troubles = 0

        const mark = (first: number, last: number, state: number) => {
          for (let i = first; i <= last; i++) states[i]! |= state
        }

        const note = (reason: Reason, description: string) => {
          troubles++
          trouble ??= { reason, description }
        }

        /** Takes back what was taken for arrived. */
        const doubt = ({ description, doubt }: SocketFailure, now: number) => {
          const [before, doubtful] = Array.partition(
            past,
            ({ time }) => doubt === "all" || (doubt === "recent" && time >= now - recent)
          )
          past = before
          if (doubtful.length > 0) note("Transport", description)
          for (const one of doubtful) {
            mark(one.first, one.last, doubted)
            payloads--
            bytes -= one.bytes
          }
        }

        /** A socket that broke since the last packet. */
        const leaveBroken = (now: number) => {
          if (link === undefined || link.isOpen()) return
          const failure = link.broken()
          if (failure !== undefined) doubt(failure, now)
          drop()
          past = []
        }

        const pause = (millis: number) => {
          retries++
          return Effect.sleep(millis)
        }

        /** One packet, again and again while that can help. A socket from before may have died unnoticed. */
        const transmit = (packet: Packet): Effect.Effect<void, SocketFailure> => {
          let full = 0
          let stale = false
          let before: SocketFailure | undefined
          const attempt: Effect.Effect<void, SocketFailure> = Effect.flatMap(Clock.currentTimeMillis, (now) => {
            const left = deadline - now
            if (left < 1) return Effect.fail(before ?? noTime)
            leaveBroken(now)
            stale = past.length === 0 && link !== undefined
            return Effect.flatMap(connect(now, left), (current) =>
              // inside the time limit, so that it holds where the caller cannot be interrupted
              Effect.timeoutFail(Effect.interruptible(current.send(packet.body)), {
                duration: within(left),
                onTimeout: silent("the receiver does not read", true)
              })).pipe(
                Effect.flatMap(() => Clock.currentTimeMillis),
                Effect.flatMap((time) => {
                  absences = 0
                  payloads++
                  bytes += packet.body.byteLength
                  mark(packet.first, packet.last, arrived)
                  past.push({ first: packet.first, last: packet.last, bytes: packet.body.byteLength, time })
                  return Effect.void
                }),
                Effect.catchAll(recover)
              )
          })
          const recover = (failure: SocketFailure): Effect.Effect<void, SocketFailure> =>
            Effect.flatMap(Effect.all([Clock.currentTimeMillis, Random.next]), ([now, random]) => {
              if (failure.kind === "TooLarge") return Effect.fail(failure)
              before = failure
              if (failure.kind === "Full") {
                if (full < fullTurns) {
                  full++
                  retries++
                  return Effect.zipRight(turn, attempt)
                }
                const millis = Math.min(longestFullPause, firstFullPause * 2 ** (full++ - fullTurns))
                waitedForRoom += millis
                return now + millis < deadline && (deadline < Infinity || waitedForRoom <= patience)
                  ? Effect.zipRight(pause(millis), attempt)
                  : Effect.fail(failure)
              }
              drop()
              doubt(failure, now)
              if (failure.kind === "Silent") return Effect.fail(failure)
              past = []
              if (stale) {
                retries++
                return attempt
              }
              const millis = firstPause * 2 ** absences * (0.5 + random / 2)
              absences++
              if (!isExpected || deadline === Infinity || waited + millis > longestWait || now + millis >= deadline) {
                return Effect.fail(failure)
              }
              waited += millis
              return Effect.zipRight(pause(millis), attempt)
            })
          return attempt
        }

        const settle = Effect.suspend(() => link === undefined || past.length === 0 ? Effect.void : link.settle)

        const all = Effect.gen(function*() {
          for (const packet of packets) {
            if (packet._tag === "Refused") {
              mark(packet.index, packet.index, refused)
              note(packet.reason, packet.description)
              continue
            }
            const failure = yield* Effect.match(transmit(packet), { onSuccess: () => undefined, onFailure: (e) => e })
            if (failure === undefined) continue
            if (failure.kind === "TooLarge") {
              mark(packet.first, packet.last, refused)
              note("PayloadTooLarge", failure.description)
              continue
            }
            mark(packet.first, items - 1, failed)
            if (failure.ambiguous) mark(packet.first, packet.last, doubted)
            note(failure.kind === "Silent" ? "Timeout" : "Transport", failure.description)
            return
          }
        })

        const last = Effect.catchAll(settle, (failure) =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            drop()
            doubt(failure, now)
          }))

        return Effect.zipRight(all, last).pipe(
          Effect.ensuring(Effect.sync(() => {
            if (link?.lasting === false) drop()
          })),
          Effect.map((): Sent => ({
            fate: (index) => fateOf(states[index] ?? none),
            payloads,
            bytes,
            retries,
            trouble,
            troubles
          }))
        )
      })

    return {
      send,
      warm: target._tag === "Unix" && target.framing !== "stream"
        ? Effect.void
        : Effect.flatMap(Clock.currentTimeMillis, (now) => connect(now, longestStep)).pipe(
          Effect.ignore,
          gate.withPermits(1)
        ),
      exclusively: gate.withPermits(1)
    }
  })
