/** File of the option `--save`: everything that the intake received, as one JSON document. */
import * as Effect from "effect/Effect"
import { constants, type FileHandle, open } from "node:fs/promises"
import type { AcceptedDistribution, AcceptedEvent, AcceptedSeries, IntakeRequest, ServiceCheck } from "../model.js"
import { CommandError } from "./commandError.js"

/** Content of the file. */
export interface SavedData {
  readonly summary: unknown
  readonly series: ReadonlyArray<AcceptedSeries>
  readonly distributions: ReadonlyArray<AcceptedDistribution>
  readonly events: ReadonlyArray<AcceptedEvent>
  readonly serviceChecks: ReadonlyArray<ServiceCheck>
  readonly requests: ReadonlyArray<IntakeRequest>
}

/** A part of the document that cannot be serialized. */
interface Unserializable {
  readonly notSerializable: string
}

const describeFailure = (error: unknown): Unserializable => ({
  notSerializable: error instanceof Error ? error.message : String(error)
})

/**
 * Serializes an element. An element that is nested too deeply, or too long for a string, is replaced by its failure; a request keeps
 * everything but its body.
 */
const serializeElement = (element: unknown): string => {
  try {
    return JSON.stringify(element, undefined, 2)
  } catch (error) {
    return typeof element === "object" && element !== null && "body" in element
      ? serializeElement({ ...element, body: describeFailure(error) })
      : JSON.stringify(describeFailure(error))
  }
}

const indent = (text: string, spaces: string): string => text.replaceAll("\n", `\n${spaces}`)

/** Serializes the data as a JSON document, element by element: one string for all of it could exceed the maximum length. */
export function* serializeData(data: SavedData): Generator<string> {
  let separator = "{\n"
  for (const [name, value] of Object.entries(data)) {
    yield `${separator}  ${JSON.stringify(name)}: `
    separator = ",\n"
    if (!Array.isArray(value)) yield indent(serializeElement(value), "  ")
    else if (value.length === 0) yield "[]"
    else {
      let elementSeparator = "[\n    "
      for (const element of value) {
        yield elementSeparator + indent(serializeElement(element), "    ")
        elementSeparator = ",\n    "
      }
      yield "\n  ]"
    }
  }
  yield "\n}\n"
}

/** Flags that create the file, and fail if it is a symbolic link: another user could have placed it in a shared folder. */
const flags = constants.O_WRONLY | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0)

const withFile = <A>(path: string, use: (file: FileHandle) => Promise<A>): Effect.Effect<A, CommandError> =>
  Effect.tryPromise({
    try: async () => {
      const file = await open(path, flags)
      try {
        return await use(file)
      } finally {
        await file.close()
      }
    },
    catch: (error) => {
      const { code, message } = error as NodeJS.ErrnoException
      return new CommandError({
        message: code === "ELOOP"
          ? `Cannot write ${path}: it is a symbolic link. Choose another file with --save`
          : `Cannot write ${path}: ${message}`
      })
    }
  })

/** Fails if the file cannot be written. It creates the file if it does not exist, and does not change its content. */
export const checkWritable = (path: string): Effect.Effect<void, CommandError> => withFile(path, async () => {})

/** Writes the data to the file, and replaces its content. */
export const saveData = (path: string, data: SavedData): Effect.Effect<void, CommandError> =>
  withFile(path, async (file) => {
    // Devices and pipes cannot be truncated.
    if ((await file.stat()).isFile()) await file.truncate()
    for (const chunk of serializeData(data)) await file.appendFile(chunk)
  })
