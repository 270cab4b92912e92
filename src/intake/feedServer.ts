/** Tells those who look at an intake what happens there, as server-sent events. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Hello, Messages } from "./feedProtocol.js"
import type { Memory } from "./store.js"

/** How long changes are gathered before they are told. */
const pace = "250 millis"

/** After how many quiet turns something is said all the same, so that no proxy takes the connection for dead: 15 seconds. */
const quietTurns = 60

/** How many messages a reader may be behind, which is ten seconds; then it is let go, and begins anew when it comes back. */
const backlog = 40

interface Reader {
  readonly queue: Queue.Queue<Uint8Array>
  /** Cuts the connection, whatever it is waiting for. */
  readonly cut: () => void
}

const utf8 = /*#__PURE__*/ new TextEncoder()

const encode = <Name extends keyof Messages>(name: Name, data: Messages[Name]): Uint8Array =>
  utf8.encode(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`)

/** Says nothing. */
const heartbeat = utf8.encode(":\n\n")

/** Comes back a second after a connection was lost. */
const retry = utf8.encode("retry: 1000\n\n")

export interface FeedServer {
  /** All that happens, from the beginning, for as long as it is read. */
  readonly open: (cut: () => void) => Stream.Stream<Uint8Array>
  /** To be called when everything was forgotten. */
  readonly cleared: Effect.Effect<void>
}

export const make = (
  memory: Memory,
  hello: Omit<Hello, "now">
): Effect.Effect<FeedServer, never, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const readers = new Set<Reader>()
    let isTurning = false
    let isOver = false

    const tell = (message: Uint8Array): void => {
      for (const reader of readers) {
        if (reader.queue.unsafeOffer(message)) continue
        readers.delete(reader)
        reader.cut()
      }
    }

    let quiet = 0
    const turn = Effect.gen(function*() {
      yield* Effect.sleep(pace)
      const update = memory.takeChanges(yield* Clock.currentTimeMillis)
      quiet = update === undefined ? quiet + 1 : 0
      if (update !== undefined) tell(encode("update", update))
      else if (quiet % quietTurns === 0) tell(heartbeat)
    })

    /** Whether there is somebody to tell. With the last one the turns end, in the same moment. */
    const goesOn = () => {
      isTurning = readers.size > 0
      if (!isTurning) memory.ignoreChanges()
      return isTurning
    }

    const enter = (cut: () => void) =>
      Effect.gen(function*() {
        const queue = yield* Queue.dropping<Uint8Array>(backlog)
        const reader: Reader = { queue, cut }
        const now = yield* Clock.currentTimeMillis
        readers.add(reader)
        memory.noteChanges()
        if (!isTurning) {
          isTurning = true
          // where a reader enters, nothing can be interrupted
          yield* Effect.forkIn(Effect.interruptible(Effect.repeat(turn, { while: goesOn })), scope)
        }
        const beginning = [retry, encode("hello", { ...hello, now }), encode("snapshot", memory.snapshot(now))]
        return { reader, beginning }
      })

    const leave = ({ reader }: { readonly reader: Reader }) =>
      Effect.zipRight(Effect.sync(() => readers.delete(reader)), Queue.shutdown(reader.queue))

    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        isOver = true
        const all = Array.from(readers)
        readers.clear()
        return Effect.forEach(all, ({ cut, queue }) => Effect.zipRight(Queue.shutdown(queue), Effect.sync(cut)))
      })
    )

    return {
      open: (cut) =>
        Stream.unwrapScoped(Effect.suspend(() =>
          isOver
            ? Effect.succeed(Stream.empty)
            : Effect.map(
              Effect.acquireRelease(enter(cut), leave),
              ({ beginning, reader }) => Stream.concat(Stream.fromIterable(beginning), Stream.fromQueue(reader.queue))
            )
        )),
      cleared: Effect.map(Clock.currentTimeMillis, (now) => {
        // what was noted of the time before is in nobody's interest
        tell(encode("clear", { now }))
      })
    }
  })
