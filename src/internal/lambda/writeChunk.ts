import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"

/** The part of Node.js's `Writable` that a write with backpressure needs. */
interface ChunkWriter<Chunk> {
  /** Writes a chunk. Returns false if the caller should wait for `drain`. */
  readonly write: (chunk: Chunk) => boolean
  readonly on: (event: "drain", listener: () => void) => unknown
  readonly off: (event: "drain", listener: () => void) => unknown
}

/** Writes a chunk, and waits while the writer is full. Stops waiting with the exit of `ended`. */
export const writeChunk = <Chunk, E>(
  writer: ChunkWriter<Chunk>,
  chunk: Chunk,
  ended: Effect.Effect<never, E>
): Effect.Effect<void, E> =>
  Effect.suspend(() => {
    if (writer.write(chunk)) return Effect.void
    // Listens at once: the writer may drain before a fiber that waits for it begins.
    const drained = Deferred.unsafeMake<void>(FiberId.none)
    const onDrain = () => Deferred.unsafeDone(drained, Effect.void)
    writer.on("drain", onDrain)
    return Effect.raceFirst(Deferred.await(drained), ended).pipe(
      Effect.ensuring(Effect.sync(() => writer.off("drain", onDrain)))
    )
  })
