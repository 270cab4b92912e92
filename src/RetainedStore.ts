/**
 * Keeps undelivered series and events across restarts of a long-running process, in a directory or in any `KeyValueStore` of
 * `@effect/platform`.
 *
 * A client with a {@link RetainedStore} saves its pending data after every flush that did not deliver everything, and loads it when
 * it is built again. Points that were recorded before the last such flush survive `kill -9`. If the store needs longer than the flush
 * has, the client logs a warning and ends the save later. The client writes nothing while everything is delivered.
 *
 * One client uses a store at a time. {@link layerFileSystem} locks its directory.
 *
 * @since 0.1.0
 */
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as KeyValueStore from "@effect/platform/KeyValueStore"
import type * as Path from "@effect/platform/Path"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Loaded, PendingData } from "./internal/model/retained.js"
import * as DirectoryLock from "./internal/retained/DirectoryLock.js"
import { PageStore } from "./internal/retained/PageStore.js"

export type {
  /**
   * Contents of a retained store.
   *
   * @since 0.1.0
   * @category models
   */
  Loaded,
  /**
   * Pending data of a client.
   *
   * @since 0.1.0
   * @category models
   */
  PendingData
} from "./internal/model/retained.js"

/**
 * The store could not be read or written, or another client uses it. Pending data of the client is not affected.
 *
 * @since 0.1.0
 * @category errors
 */
export class RetainedStoreError extends /*#__PURE__*/ Data.TaggedError("RetainedStoreError")<{
  readonly cause: PlatformError
}> {
  override get message(): string {
    return `The retained store failed: ${this.cause.message}`
  }
}

/**
 * Keeps undelivered series and events across restarts. Provide it to a client to use it.
 *
 * {@link make} is one over a `KeyValueStore`; `RetainedStore.of` makes one of your own.
 *
 * @since 0.1.0
 * @category tags
 */
export class RetainedStore
  extends /*#__PURE__*/ Context.Tag("effect-threadstats/RetainedStore")<RetainedStore, Service>()
{}

/** Declared separately because the interface is recursive. */
interface Service {
  /** Loads the stored series and events. Skips and counts corrupt or incomplete entries. */
  readonly load: Effect.Effect<Loaded, RetainedStoreError>
  /**
   * Replaces the contents of the store. `take` receives the versions of the stored buckets by their start, and returns the
   * new contents. A process that dies during a save leaves the previous contents, or a part of the first ones. A save can be
   * interrupted while it waits for another one, and not from `take` on.
   */
  readonly save: (
    take: (known: ReadonlyMap<number, number>) => Effect.Effect<PendingData>
  ) => Effect.Effect<void, RetainedStoreError>
  /** Returns true if the store certainly is empty, and no save is running. */
  readonly isEmpty: () => boolean
  /**
   * Returns the store of another pipeline of the same client, counted from 1. The two share no data. With a combined
   * reporter the first pipeline uses this store itself, and so finds the data of a client with one reporter.
   */
  readonly pipeline: (index: number) => Service
}

/** Makes the service. `hold` runs before each use of the store, and fails while another client uses it. */
const makeService = (
  store: KeyValueStore.KeyValueStore,
  hold: Effect.Effect<void, PlatformError>
): RetainedStore["Type"] => {
  const pages = new PageStore(store)
  const semaphore = Effect.unsafeMakeSemaphore(1)
  const exclusively = <A>(use: Effect.Effect<A, PlatformError>): Effect.Effect<A, RetainedStoreError> =>
    Effect.mapError(
      semaphore.withPermits(1)(Effect.uninterruptible(Effect.zipRight(hold, use))),
      (cause) => new RetainedStoreError({ cause })
    )
  return RetainedStore.of({
    load: exclusively(pages.load),
    save: (take) => exclusively(pages.save(take)),
    isEmpty: () => pages.isEmpty(),
    pipeline: (index) => makeService(KeyValueStore.prefix(store, `threadstats-pipeline-${index}-`), hold)
  })
}

/**
 * Creates a store over a `KeyValueStore`. Whenever the process dies, the store holds the contents of the last complete save, or
 * of the save under way. If the entries with its index are missing or damaged, it loads the whole pages that it finds.
 *
 * The client does not lock a `KeyValueStore`: do not use one from two processes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<RetainedStore["Type"], never, KeyValueStore.KeyValueStore> = /*#__PURE__*/ Effect.map(
  KeyValueStore.KeyValueStore,
  (store) => makeService(store, Effect.void)
)

/**
 * {@link make} as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<RetainedStore, never, KeyValueStore.KeyValueStore> = /*#__PURE__*/ Layer.effect(
  RetainedStore,
  make
)

/** Adds the permissions of new files: only the user of the process reads and writes them. */
const withPrivateFiles = (fileSystem: FileSystem.FileSystem): FileSystem.FileSystem => ({
  ...fileSystem,
  writeFileString: (path, data, options) => fileSystem.writeFileString(path, data, { mode: 0o600, ...options })
})

/**
 * Builds a store in a directory, and creates the directory if it is missing. The layer fails if the directory cannot be created or
 * used. New directories have the permissions 0700, and files 0600. The store writes without `fsync`: files survive the process,
 * but not always the machine.
 *
 * A lock, the file `threadstats.lock`, admits one client at a time. While another client has it, the store fails: the client
 * delivers without it, logs a warning that names the other process, and tries again at each flush. The store takes over the lock
 * of a process that died, at once on the same machine, or after a minute if the process ran on another machine or in another
 * container.
 *
 * @example
 * ```ts
 * import { NodeContext } from "@effect/platform-node"
 * import { Layer } from "effect"
 * import { RetainedStore, ThreadStats } from "effect-threadstats"
 *
 * const client = ThreadStats.layer.pipe(
 *   Layer.provide(RetainedStore.layerFileSystem("/var/lib/shop/threadstats")),
 *   Layer.provide(NodeContext.layer)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFileSystem = (
  directory: string
): Layer.Layer<RetainedStore, PlatformError, FileSystem.FileSystem | Path.Path> =>
  Layer.scoped(
    RetainedStore,
    Effect.gen(function*() {
      const fileSystem = yield* FileSystem.FileSystem
      yield* fileSystem.makeDirectory(directory, { recursive: true, mode: 0o700 })
      yield* fileSystem.access(directory, { readable: true, writable: true })
      const lock = yield* DirectoryLock.make(directory)
      return yield* Effect.map(KeyValueStore.KeyValueStore, (store) => makeService(store, lock.hold)).pipe(
        Effect.provide(KeyValueStore.layerFileSystem(directory)),
        Effect.provideService(FileSystem.FileSystem, withPrivateFiles(fileSystem))
      )
    })
  )
