import { statSync } from "node:fs"
import { basename } from "node:path"
import { BaseSequencer, type TestSpecification } from "vitest/node"

/** The files that take longest, the longest first; what is at the end should be short, as nothing runs beside the last one. */
const longest = [
  "page",
  "simulation",
  "package",
  "secrets",
  "process",
  "hostile",
  "sockets",
  "DogStatsDReporter",
  "examples",
  "RetainedStore",
  "seriesV2",
  "intake",
  "emulator",
  "pageCommand",
  "vectors",
  "faults",
  "apiKeyAws",
  "instruments",
  "bench",
  "command",
  "LambdaRuntime",
  "bundle",
  "streamed",
  "recordingEffect",
  "soak"
].map((name) => `${name}.test.ts`)

/**
 * Vitest would begin with the largest files, unless it has run before and remembers: the simulation, which is a short file, would
 * then be among the last, and for most of its time alone.
 */
export class LongestFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>): Promise<Array<TestSpecification>> {
    const placeOf = ({ moduleId }: TestSpecification) => {
      const place = longest.indexOf(basename(moduleId))
      return place < 0 ? longest.length : place
    }
    const sizeOf = ({ moduleId }: TestSpecification) => statSync(moduleId).size
    return files.toSorted((a, b) => placeOf(a) - placeOf(b) || sizeOf(b) - sizeOf(a))
  }
}
