import * as Effect from "effect/Effect"

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
): Effect.Effect<void, E> => {
  const drained = Effect.async<void>((resume) => {
    const onDrain = () => resume(Effect.void)
    writer.on("drain", onDrain)
    return Effect.sync(() => writer.off("drain", onDrain))
  })
  return Effect.suspend(() => writer.write(chunk) ? Effect.void : Effect.raceFirst(drained, ended))
}
