/** Server of the feed: publishes the changes of the store to its readers as server-sent events. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Hello, Messages } from "./feedProtocol.js"
import type { Store } from "./store.js"

/** Time between two updates. */
const updateInterval = "250 millis"

/** Number of intervals without an update after which a heartbeat is sent, so that proxies keep the connection: 15 seconds. */
const heartbeatIntervals = 60

/** Maximum number of messages that a reader may be behind: ten seconds. Beyond it the reader is disconnected and starts over. */
const maxBacklog = 40

/** Maximum bytes that a reader may be behind, besides one message. */
const maxBacklogBytes = 16 * 1024 * 1024

/** Maximum number of readers. Each one costs a copy of every message in the buffers of the system. */
export const maxReaders = 32

interface Reader {
  readonly queue: Queue.Queue<Uint8Array>
  /** Bytes in the queue. */
  backlog: number
  /** Destroys the connection, which may be blocked in a write. */
  readonly disconnect: () => void
}

/** The readers of the feed. */
class Readers {
  private readonly all = new Set<Reader>()
  private isClosed = false

  get isEmpty(): boolean {
    return this.all.size === 0
  }

  get isFull(): boolean {
    return this.isClosed || this.all.size >= maxReaders
  }

  add(disconnect: () => void): Effect.Effect<Reader> {
    return Effect.map(Queue.dropping<Uint8Array>(maxBacklog), (queue) => {
      const reader: Reader = { queue, disconnect, backlog: 0 }
      this.all.add(reader)
      return reader
    })
  }

  remove(reader: Reader): Effect.Effect<void> {
    return Effect.zipRight(Effect.sync(() => this.all.delete(reader)), Queue.shutdown(reader.queue))
  }

  /** Sends a message to all readers, and disconnects those that are too far behind. */
  broadcast(message: Uint8Array): void {
    for (const reader of this.all) {
      if (reader.backlog <= maxBacklogBytes && reader.queue.unsafeOffer(message)) {
        reader.backlog += message.byteLength
        continue
      }
      this.all.delete(reader)
      reader.disconnect()
    }
  }

  /** Disconnects all readers, and takes no more. */
  close(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.isClosed = true
      const all = Array.from(this.all)
      this.all.clear()
      return Effect.forEach(
        all,
        ({ disconnect, queue }) => Effect.zipRight(Queue.shutdown(queue), Effect.sync(disconnect)),
        { discard: true }
      )
    })
  }
}

const utf8 = /*#__PURE__*/ new TextEncoder()

const encodeMessage = <Name extends keyof Messages>(name: Name, data: Messages[Name]): Uint8Array =>
  utf8.encode(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`)

/** A comment, which readers ignore. */
const heartbeat = utf8.encode(":\n\n")

/** Makes a browser reconnect one second after it lost the connection. */
const retry = utf8.encode("retry: 1000\n\n")

export interface FeedServer {
  /** Returns whether the feed has as many readers as it takes. */
  readonly isFull: () => boolean
  /** Streams the feed to a new reader until the stream or the scope ends. */
  readonly open: (disconnect: () => void) => Stream.Stream<Uint8Array>
  /** Announces that the store was cleared. */
  readonly announceClear: Effect.Effect<void>
}

const readQueue = (reader: Reader): Stream.Stream<Uint8Array> =>
  Stream.mapChunks(Stream.fromQueue(reader.queue), (messages) => {
    for (const message of messages) reader.backlog -= message.byteLength
    return messages
  })

/** Creates a feed server that runs until the scope closes. A fiber publishes updates while the feed has readers. */
export const make = (
  store: Store,
  hello: Omit<Hello, "now">
): Effect.Effect<FeedServer, never, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const readers = new Readers()
    let isPublishing = false
    let quietIntervals = 0
    /** Snapshot for readers that come before the next update, which contains the changes after it. */
    let snapshot: Uint8Array | undefined

    const publishNext = Effect.gen(function*() {
      yield* Effect.sleep(updateInterval)
      const update = store.drainChanges(yield* Clock.currentTimeMillis)
      snapshot = undefined
      quietIntervals = update === undefined ? quietIntervals + 1 : 0
      if (update !== undefined) readers.broadcast(encodeMessage("update", update))
      else if (quietIntervals % heartbeatIntervals === 0) readers.broadcast(heartbeat)
    })

    const hasReaders = () => {
      isPublishing = !readers.isEmpty
      if (!isPublishing) {
        store.changes.stop()
        snapshot = undefined
      }
      return isPublishing
    }

    const subscribe = (disconnect: () => void) =>
      Effect.gen(function*() {
        const now = yield* Clock.currentTimeMillis
        const reader = yield* readers.add(disconnect)
        store.changes.start()
        if (!isPublishing) {
          isPublishing = true
          // The acquisition of a resource is uninterruptible, and the fiber would inherit that.
          yield* Effect.forkIn(Effect.interruptible(Effect.repeat(publishNext, { while: hasReaders })), scope)
        }
        snapshot ??= encodeMessage("snapshot", store.snapshot(now))
        return { reader, start: [retry, encodeMessage("hello", { ...hello, now }), snapshot] }
      })

    yield* Effect.addFinalizer(() => readers.close())

    return {
      isFull: () => readers.isFull,
      open: (disconnect) =>
        Stream.unwrapScoped(Effect.suspend(() =>
          readers.isFull
            ? Effect.succeed(Stream.empty)
            : Effect.map(
              Effect.acquireRelease(subscribe(disconnect), ({ reader }) => readers.remove(reader)),
              ({ reader, start }) => Stream.concat(Stream.fromIterable(start), readQueue(reader))
            )
        )),
      announceClear: Effect.map(Clock.currentTimeMillis, (now) => {
        snapshot = undefined
        readers.broadcast(encodeMessage("clear", { now }))
      })
    }
  })
