import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as TestClock from "effect/TestClock"
import type { SendResult } from "../../src/internal/dogstatsd/batchProgress.js"
import type { RefusedItem } from "../../src/internal/dogstatsd/format.js"
import type { Packet } from "../../src/internal/dogstatsd/packets.js"
import * as Sender from "../../src/internal/dogstatsd/sender.js"
import type { UnixDatagrams } from "../../src/internal/dogstatsd/unixDatagram.js"
import { makeSettableClock } from "../support/settableClock.js"

/** Answer of a fake socket: the packet leaves, the system returns an error code, or the callback never runs. */
type Answer = "sent" | "silent" | { readonly code: string }

/** A fake of the package unix-dgram, and a sender over it. */
const makeSender = Effect.gen(function*() {
  const attempts = yield* Queue.unbounded<string>()
  const self = {
    /** Texts of the packets that left. */
    packets: [] as Array<string>,
    openSockets: 0,
    onConnect: (): { readonly code: string } | undefined => undefined,
    onSend: (_: string): Answer => "sent",
    /** Waits for the next try to connect or to send: `connect`, or the text of a packet. */
    nextAttempt: Queue.take(attempts),
    attempts: Queue.takeAll(attempts)
  }
  const unixDatagrams: UnixDatagrams = {
    createSocket: () => {
      let onError = (_: Error) => {}
      self.openSockets++
      return {
        on: (_, listener) => {
          onError = listener
        },
        connect: () => {
          attempts.unsafeOffer("connect")
          const error = self.onConnect()
          if (error !== undefined) onError(Object.assign(new Error("connect"), error))
        },
        send: (packet, callback) => {
          attempts.unsafeOffer(packet.toString())
          const answer = self.onSend(packet.toString())
          if (answer === "silent") return
          if (answer !== "sent") return callback(Object.assign(new Error("send"), answer))
          self.packets.push(packet.toString())
          callback()
        },
        close: () => {
          self.openSockets--
        }
      }
    }
  }
  const sender = yield* Sender.make({ _tag: "Unix", path: "/dsd.socket", framing: "datagram" }, unixDatagrams, Infinity)
  return { ...sender, fake: self }
})

const packet = (text: string, first: number, last = first): Packet => ({
  _tag: "Packet",
  body: Buffer.from(text),
  first,
  last
})

/** One item in each of these packets. */
const packets = (...texts: ReadonlyArray<string>) => texts.map((text, i) => packet(text, i))

const statusOf = (result: SendResult, items: number) => Array.from({ length: items }, (_, i) => result.statusOf(i))

const gone = { code: "ENOENT" }
const full = { code: "EAGAIN" }

describe("sender", () => {
  it.scoped("sends packets in order, and counts packets and bytes", () =>
    Effect.gen(function*() {
      const { fake, send } = yield* makeSender
      const sent = yield* send(3, packets("a\n", "bb\n", "c\n"), Infinity)
      assert.deepStrictEqual(fake.packets, ["a\n", "bb\n", "c\n"])
      assert.deepInclude(sent, { payloads: 3, bytes: 7, retries: 0, problem: undefined, problems: 0 })
      assert.deepStrictEqual(statusOf(sent, 3), ["Delivered", "Delivered", "Delivered"])
      assert.strictEqual(fake.openSockets, 0)
    }))

  it.scoped("stops at the first packet that does not leave, and marks a partly sent item as ambiguous", () =>
    Effect.gen(function*() {
      const { fake, send } = yield* makeSender
      fake.onSend = (text) => text === "1c" ? { code: "EACCES" } : "sent"
      const all = [packet("0", 0), packet("1a", 1), packet("1b", 1), packet("1c", 1), packet("2", 2), packet("3", 3)]
      const sent = yield* send(4, all, Infinity)
      assert.deepStrictEqual(fake.packets, ["0", "1a", "1b"])
      assert.deepStrictEqual(statusOf(sent, 4), ["Delivered", "Ambiguous", "Undelivered", "Undelivered"])
      assert.deepStrictEqual(sent.problem, {
        reason: "Transport",
        description: "this process may not write to the socket (EACCES)"
      })
    }))

  it.scoped("counts refused items, and a packet that the system refuses, and sends the rest", () =>
    Effect.gen(function*() {
      const { fake, send } = yield* makeSender
      fake.onSend = (text) => text === "big" ? { code: "EMSGSIZE" } : "sent"
      const refused: RefusedItem = { _tag: "Refused", index: 0, reason: "Encoding", description: "no name" }
      const sent = yield* send(3, [refused, packet("big", 1), packet("next", 2)], Infinity)
      assert.deepStrictEqual(fake.packets, ["next"])
      assert.deepStrictEqual(statusOf(sent, 3), ["Refused", "Refused", "Delivered"])
      assert.deepStrictEqual([sent.problem, sent.problems], [{ reason: "Encoding", description: "no name" }, 2])
    }))

  it.scoped("sends nothing when the deadline has passed", () =>
    Effect.gen(function*() {
      const { fake, send } = yield* makeSender
      yield* TestClock.setTime(1000)
      const sent = yield* send(1, packets("a"), 1000)
      assert.deepStrictEqual(Array.from(yield* fake.attempts), [])
      assert.deepStrictEqual(statusOf(sent, 1), ["Undelivered"])
      assert.deepStrictEqual(sent.problem, { reason: "Timeout", description: "no time left in this flush" })
    }))

  for (const [deadline, seconds] of [[500, 0.5], [60_000, 3]] as const) {
    it.scoped(`gives up a packet that does not leave within ${seconds} s when the deadline is ${deadline} ms away`, () =>
      Effect.gen(function*() {
        const { fake, send } = yield* makeSender
        fake.onSend = () => "silent"
        const fiber = yield* Effect.fork(Effect.uninterruptible(send(2, packets("a", "b"), deadline)))
        assert.deepStrictEqual([yield* fake.nextAttempt, yield* fake.nextAttempt], ["connect", "a"])
        yield* TestClock.adjust(seconds * 1000 - 1)
        assert.isNull(fiber.unsafePoll())
        yield* TestClock.adjust(1)
        const sent = yield* Fiber.join(fiber)
        assert.deepStrictEqual(statusOf(sent, 2), ["Ambiguous", "Undelivered"])
        assert.deepStrictEqual(sent.problem, { reason: "Timeout", description: "the receiver does not read" })
      }))
  }
})

describe("sender with a full buffer", () => {
  it.scoped("retries three times at once, then after pauses that double up to 100 ms, and loses nothing", () =>
    Effect.gen(function*() {
      const { fake, send } = yield* makeSender
      fake.onSend = () => full
      const fiber = yield* Effect.fork(send(2, packets("a", "b"), 60_000))
      assert.strictEqual(yield* fake.nextAttempt, "connect")
      for (let i = 0; i < 4; i++) assert.strictEqual(yield* fake.nextAttempt, "a")
      for (const pause of [2, 4, 8, 16, 32, 64, 100, 100]) {
        yield* TestClock.adjust(pause - 1)
        assert.deepStrictEqual(Array.from(yield* fake.attempts), [])
        yield* TestClock.adjust(1)
        assert.strictEqual(yield* fake.nextAttempt, "a")
      }
      fake.onSend = () => "sent"
      yield* TestClock.adjust(100)
      const sent = yield* Fiber.join(fiber)
      assert.deepStrictEqual(fake.packets, ["a", "b"])
      assert.deepInclude(sent, { payloads: 2, bytes: 2, retries: 12, problem: undefined })
    }))

  it.scoped("fails when the next pause would end after the deadline", () =>
    Effect.gen(function*() {
      const { fake, send } = yield* makeSender
      fake.onSend = (text) => text === "a" ? "sent" : full
      const fiber = yield* Effect.fork(send(3, packets("a", "b", "c"), 50))
      for (const text of ["connect", "a", "b", "b", "b", "b"]) assert.strictEqual(yield* fake.nextAttempt, text)
      // 2, 4, 8 and 16 ms; the next pause of 32 ms ends after the deadline
      for (const pause of [2, 4, 8, 16]) {
        yield* TestClock.adjust(pause)
        assert.strictEqual(yield* fake.nextAttempt, "b")
      }
      const sent = yield* Fiber.join(fiber)
      assert.strictEqual(yield* Clock.currentTimeMillis, 30)
      assert.deepStrictEqual(statusOf(sent, 3), ["Delivered", "Undelivered", "Undelivered"])
      assert.deepStrictEqual(sent.problem, { reason: "Transport", description: "the buffer is full (EAGAIN)" })
    }))

  for (const [direction, hours] of [["back", -6], ["forward", 6]] as const) {
    it.scoped(`keeps its deadline when the machine's clock is set ${direction} during the retries`, () =>
      Effect.gen(function*() {
        const settable = yield* makeSettableClock
        const { fake, send } = yield* makeSender
        fake.onSend = (text) => {
          if (text === "a") return "sent"
          settable.offset = hours * 3_600_000
          return full
        }
        const fiber = yield* Effect.fork(Effect.withClock(send(2, packets("a", "b"), 50), settable.clock))
        for (const text of ["connect", "a", "b", "b", "b", "b"]) assert.strictEqual(yield* fake.nextAttempt, text)
        for (const pause of [2, 4, 8, 16]) {
          yield* TestClock.adjust(pause)
          assert.strictEqual(yield* fake.nextAttempt, "b")
        }
        const sent = yield* Fiber.join(fiber)
        assert.deepStrictEqual(statusOf(sent, 2), ["Delivered", "Undelivered"])
        assert.strictEqual(sent.problem?.description, "the buffer is full (EAGAIN)")
      }))
  }
})

describe("sender without a receiver", () => {
  /** Random numbers that make each pause half of its longest. */
  const shortestPauses = Effect.withRandom(Random.fixed([0]))

  it.scoped("retries after pauses that double, for up to a second, and once in each batch after that", () =>
    Effect.gen(function*() {
      const { fake, send } = yield* makeSender
      fake.onConnect = () => gone
      const fiber = yield* Effect.fork(shortestPauses(send(1, packets("a"), 60_000)))
      assert.strictEqual(yield* fake.nextAttempt, "connect")
      for (const pause of [25, 50, 100, 200, 400]) {
        yield* TestClock.adjust(pause - 1)
        assert.deepStrictEqual(Array.from(yield* fake.attempts), [])
        yield* TestClock.adjust(1)
        assert.strictEqual(yield* fake.nextAttempt, "connect")
      }
      const first = yield* Fiber.join(fiber)
      assert.strictEqual(yield* Clock.currentTimeMillis, 775)
      assert.strictEqual(first.retries, 5)
      assert.deepStrictEqual(statusOf(first, 1), ["Undelivered"])
      assert.deepStrictEqual(first.problem, { reason: "Transport", description: "the socket does not exist (ENOENT)" })

      for (let i = 0; i < 3; i++) {
        assert.strictEqual((yield* send(1, packets("a"), 60_000)).retries, 0)
        assert.deepStrictEqual(Array.from(yield* fake.attempts), ["connect"])
      }
      assert.strictEqual(yield* Clock.currentTimeMillis, 775)

      fake.onConnect = () => undefined
      assert.strictEqual((yield* send(1, packets("a"), 60_000)).payloads, 1)
      assert.deepStrictEqual(fake.packets, ["a"])
    }))

  it.scoped("waits for half of the time that is left when the deadline is near", () =>
    Effect.gen(function*() {
      const { fake, send } = yield* makeSender
      fake.onConnect = () => gone
      const fiber = yield* Effect.fork(shortestPauses(send(1, packets("a"), 200)))
      for (const pause of [25, 50]) {
        yield* fake.nextAttempt
        yield* TestClock.adjust(pause)
      }
      assert.strictEqual((yield* Fiber.join(fiber)).retries, 2)
      assert.strictEqual(yield* Clock.currentTimeMillis, 75)
    }))

  it.scoped("tries once when a batch has no deadline", () =>
    Effect.gen(function*() {
      const { fake, send } = yield* makeSender
      fake.onConnect = () => gone
      assert.strictEqual((yield* send(1, packets("a"), Infinity)).retries, 0)
    }))

  it.scoped("delivers the batch when the receiver appears between two retries", () =>
    Effect.gen(function*() {
      const { fake, send } = yield* makeSender
      fake.onConnect = () => gone
      const fiber = yield* Effect.fork(shortestPauses(send(1, packets("a"), 60_000)))
      yield* fake.nextAttempt
      fake.onConnect = () => undefined
      yield* TestClock.adjust(25)
      assert.deepInclude(yield* Fiber.join(fiber), { payloads: 1, retries: 1, problem: undefined })
      assert.deepStrictEqual(fake.packets, ["a"])
    }))
})

describe("sender.exclusively", () => {
  it.scoped("runs one batch at a time", () =>
    Effect.gen(function*() {
      const { exclusively, fake, send } = yield* makeSender
      fake.onSend = (text) => text === "a" ? full : "sent"
      const first = yield* Effect.fork(exclusively(send(1, packets("a"), 50)))
      const second = yield* Effect.fork(exclusively(send(1, packets("b"), 50)))
      for (const text of ["connect", "a", "a", "a", "a"]) assert.strictEqual(yield* fake.nextAttempt, text)
      fake.onSend = () => "sent"
      yield* TestClock.adjust(2)
      yield* Fiber.join(first)
      yield* Fiber.join(second)
      assert.deepStrictEqual(fake.packets, ["a", "b"])
    }))
})
