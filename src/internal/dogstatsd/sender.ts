import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { Scope } from "effect/Scope"
import { monotonicMillis } from "../model/time.js"
import { BatchProgress, type SendResult } from "./batchProgress.js"
import { afterPoll, type Target } from "./connection.js"
import * as CurrentConnection from "./currentConnection.js"
import type { RefusedItem } from "./format.js"
import type { Packet } from "./packets.js"
import { type SocketError, timeout } from "./socketError.js"
import type { UnixDatagrams } from "./unixDatagram.js"

export interface Sender {
  /**
   * Sends the packets one after the other, and stops at the first that does not leave before the deadline, in milliseconds of the
   * monotonic time. Retries a receiver that is absent for a moment, but only once in each of the following batches.
   */
  readonly send: (
    items: number,
    packets: Iterable<Packet | RefusedItem>,
    deadline: number
  ) => Effect.Effect<SendResult>
  /** Opens the socket if it can stay open. */
  readonly warm: Effect.Effect<void>
  /** Runs one batch at a time. */
  readonly exclusively: <A>(effect: Effect.Effect<A>) => Effect.Effect<A>
}

/** First pause before a reconnect, in milliseconds. Later pauses are up to twice as long as the one before. */
const firstReconnectPause = 50

/** Total time that a batch without a deadline waits for a full buffer, and any batch for an absent receiver, in milliseconds. */
const waitBudget = 1_000

/** Retries of a full buffer after a turn of the event loop, and the pauses in milliseconds after these. */
const retriesWithoutPause = 3
const firstFullPause = 2
const longestFullPause = 100

/** Lets the event loop turn, so that a receiver in this process can read. */
const yieldToEventLoop = Effect.async<void>((resume) => afterPoll(() => resume(Effect.void)))

/** Time of the monotonic clock, in milliseconds. Durations must not change with the machine's clock. */
const currentMillis = Effect.clockWith((clock) => Effect.sync(() => monotonicMillis(clock)))

/** State that outlives a batch. */
interface SenderState {
  readonly connection: CurrentConnection.CurrentConnection
  /** Failures in a row to reach the receiver. */
  connectFailures: number
}

export const make = (
  target: Target,
  unixDatagrams: UnixDatagrams | undefined,
  socketLifetime: number
): Effect.Effect<Sender, never, Scope> =>
  Effect.gen(function*() {
    const lock = yield* Effect.makeSemaphore(1)
    const connection = yield* CurrentConnection.make(target, unixDatagrams, socketLifetime)
    const state: SenderState = { connection, connectFailures: 0 }
    // A datagram socket keeps the process alive, so it opens for a batch only.
    const canStayOpen = target._tag === "Udp" || target.framing === "stream"
    const open = Effect.flatMap(
      Clock.currentTimeMillis,
      (now) => connection.connect(now, CurrentConnection.longestStepMillis)
    )
    return {
      send: (items, packets, deadline) =>
        Effect.flatMap(
          currentMillis,
          (start) => new BatchSender(state, new BatchProgress(items), start, deadline).sendAll(packets)
        ),
      warm: canStayOpen ? Effect.ignore(lock.withPermits(1)(open)) : Effect.void,
      exclusively: lock.withPermits(1)
    }
  })

/** Progress of one packet. */
interface PacketAttempts {
  /** Attempts that met a full buffer. */
  full: number
  /** Whether the connection is from an earlier batch. Such a connection may have broken unnoticed. */
  usesOldConnection: boolean
  lastError: SocketError | undefined
}

class BatchSender {
  private readonly state: SenderState
  private readonly progress: BatchProgress
  private readonly deadline: number
  /** A receiver that was absent in the last batch gets one attempt. */
  private readonly mayReconnect: boolean
  /** Half of the time is left for other batches of the flush. */
  private readonly reconnectBudget: number
  private reconnectWait = 0
  private fullWait = 0

  constructor(state: SenderState, progress: BatchProgress, start: number, deadline: number) {
    this.state = state
    this.progress = progress
    this.deadline = deadline
    this.mayReconnect = state.connectFailures === 0 && deadline !== Infinity
    this.reconnectBudget = Math.min(waitBudget, (deadline - start) / 2)
  }

  sendAll(packets: Iterable<Packet | RefusedItem>): Effect.Effect<SendResult> {
    return this.sendEach(packets).pipe(
      Effect.zipRight(this.checkDelivered()),
      Effect.ensuring(Effect.sync(() => {
        if (this.state.connection.get()?.isPersistent === false) this.state.connection.close()
      })),
      Effect.map(() => this.progress.result())
    )
  }

  private sendEach(packets: Iterable<Packet | RefusedItem>): Effect.Effect<void> {
    const { progress } = this
    const sendPacket = (packet: Packet) =>
      Effect.match(this.sendPacket(packet), { onSuccess: () => undefined, onFailure: (error) => error })
    return Effect.gen(function*() {
      for (const packet of packets) {
        if (packet._tag === "Refused") {
          progress.addRefused(packet.index, packet.index, packet.reason, packet.description)
          continue
        }
        const error = yield* sendPacket(packet)
        if (error === undefined) continue
        if (error.kind !== "TooLarge") return progress.addFailure(packet, error)
        progress.addRefused(packet.first, packet.last, "PayloadTooLarge", error.description)
      }
    })
  }

  /** Waits for the reports of the system about the last packets. */
  private checkDelivered(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const connection = this.state.connection.get()
      return connection === undefined || !this.progress.hasSent() ? Effect.void : connection.checkDelivered
    }).pipe(
      Effect.catchAll((error) =>
        Effect.map(currentMillis, (now) => {
          this.state.connection.close()
          this.progress.revokeLost(error, now)
        })
      )
    )
  }

  private sendPacket(packet: Packet): Effect.Effect<void, SocketError> {
    const attempts: PacketAttempts = { full: 0, usesOldConnection: false, lastError: undefined }
    const attempt: Effect.Effect<void, SocketError> = Effect.catchAll(
      this.attempt(packet, attempts),
      (error) => Effect.zipRight(this.recover(error, attempts), attempt)
    )
    return attempt
  }

  private attempt(packet: Packet, attempts: PacketAttempts): Effect.Effect<void, SocketError> {
    return Effect.clockWith((clock) => {
      const now = monotonicMillis(clock)
      const left = this.deadline - now
      if (left < 1) return Effect.fail(attempts.lastError ?? timeout("no time left in this flush", false))
      this.closeBrokenConnection(now)
      attempts.usesOldConnection = false
      const { connection } = this.state
      const isFirst = !this.progress.hasSent()
      const before = connection.get()
      const wallTime = clock.unsafeCurrentTimeMillis()
      return (isFirst ? connection.connectBatch(wallTime, left) : connection.connect(wallTime, left)).pipe(
        Effect.flatMap((current) => {
          attempts.usesOldConnection = isFirst && current === before
          return current.send(packet.body, CurrentConnection.stepLimit(left))
        }),
        Effect.zipRight(currentMillis),
        Effect.map((time) => {
          this.state.connectFailures = 0
          this.progress.addSent(packet, time)
        })
      )
    })
  }

  /** Closes a connection that broke since the last packet. */
  private closeBrokenConnection(now: number): void {
    const connection = this.state.connection.get()
    if (connection === undefined || connection.isOpen()) return
    const error = connection.closeError()
    if (error !== undefined) this.progress.revokeLost(error, now)
    this.state.connection.close()
    this.progress.forgetSent()
  }

  /** Waits before the next attempt, or fails if another attempt cannot help. */
  private recover(error: SocketError, attempts: PacketAttempts): Effect.Effect<void, SocketError> {
    return Effect.flatMap(Effect.all([currentMillis, Random.next]), ([now, random]) => {
      if (error.kind === "TooLarge") return Effect.fail(error)
      attempts.lastError = error
      if (error.kind === "BufferFull") return this.waitForRoom(error, attempts, now)
      this.state.connection.close()
      this.progress.revokeLost(error, now)
      if (error.kind === "Timeout") return Effect.fail(error)
      this.progress.forgetSent()
      if (attempts.usesOldConnection) {
        this.progress.retries++
        return Effect.void
      }
      return this.waitForReceiver(error, now, random)
    })
  }

  private waitForRoom(error: SocketError, attempts: PacketAttempts, now: number): Effect.Effect<void, SocketError> {
    const retry = attempts.full++
    if (retry < retriesWithoutPause) {
      this.progress.retries++
      return yieldToEventLoop
    }
    const millis = Math.min(longestFullPause, firstFullPause * 2 ** (retry - retriesWithoutPause))
    this.fullWait += millis
    return now + millis < this.deadline && (this.deadline < Infinity || this.fullWait <= waitBudget)
      ? this.pause(millis)
      : Effect.fail(error)
  }

  private waitForReceiver(error: SocketError, now: number, random: number): Effect.Effect<void, SocketError> {
    const millis = firstReconnectPause * 2 ** this.state.connectFailures * (0.5 + random / 2)
    this.state.connectFailures++
    if (!this.mayReconnect || this.reconnectWait + millis > this.reconnectBudget || now + millis >= this.deadline) {
      return Effect.fail(error)
    }
    this.reconnectWait += millis
    return this.pause(millis)
  }

  private pause(millis: number): Effect.Effect<void> {
    this.progress.retries++
    return Effect.sleep(millis)
  }
}
