import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import ts from "typescript"

const src = fileURLToPath(new URL("../../src", import.meta.url))

/** Modules of `src` without `.ts`, each with the modules of `src` that it imports. Type imports count. */
const graph = new Map(
  readdirSync(src, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .map((path) => {
      const { importedFiles } = ts.preProcessFile(readFileSync(join(src, path), "utf8"), true, true)
      const own = importedFiles.flatMap(({ fileName }) =>
        fileName.startsWith(".") ? [relative(src, join(src, dirname(path), fileName)).replace(/\.[jt]s$/, "")] : []
      )
      return [path.replace(/\.ts$/, ""), own] as const
    })
)

const roomOf = (module: string) => /^(?:internal\/\w+|intake)(?=\/)/.exec(module)?.[0] ?? module

/** Imports from the modules of `from` to those of `to`, as "a -> b". */
const importsBetween = (from: (module: string) => boolean, to: (module: string) => boolean) =>
  Array.from(graph).flatMap(([module, imports]) =>
    from(module) ? imports.filter(to).map((imported) => `${module} -> ${imported}`) : []
  )

const isRoom = (...rooms: ReadonlyArray<string>) => (module: string) => rooms.includes(roomOf(module))
const isIntake = isRoom("intake", "LocalIntake")
const isReporter = isRoom(
  "HttpReporter",
  "DogStatsDReporter",
  "LogReporter",
  "internal/http",
  "internal/dogstatsd",
  "internal/log"
)

/** Returns the modules of an import cycle, or undefined. */
const findCycle = (): ReadonlyArray<string> | undefined => {
  const done = new Set<string>()
  const visit = (module: string, path: ReadonlyArray<string>): ReadonlyArray<string> | undefined => {
    const start = path.indexOf(module)
    if (start >= 0) return [...path.slice(start), module]
    if (done.has(module)) return undefined
    for (const imported of graph.get(module) ?? []) {
      const cycle = visit(imported, [...path, module])
      if (cycle !== undefined) return cycle
    }
    done.add(module)
    return undefined
  }
  for (const module of graph.keys()) {
    const cycle = visit(module, [])
    if (cycle !== undefined) return cycle
  }
  return undefined
}

describe("imports of src", () => {
  it("resolve to modules of src", () => {
    assert.isAbove(graph.size, 100)
    for (const imports of graph.values()) for (const imported of imports) assert.isTrue(graph.has(imported), imported)
  })

  it("have no cycle", () => {
    assert.isUndefined(findCycle())
  })

  it("of the client do not lead to the intake", () => {
    assert.deepStrictEqual(importsBetween((module) => !isIntake(module) && module !== "index", isIntake), [])
  })

  it("of the model stay in the model", () => {
    assert.deepStrictEqual(
      importsBetween(isRoom("internal/model"), (module) => !isRoom("internal/model")(module)),
      []
    )
  })

  it("of aggregation lead to the model and the settings only", () => {
    const isBelow = isRoom("internal/aggregation", "internal/model", "internal/config")
    assert.deepStrictEqual(importsBetween(isRoom("internal/aggregation"), (module) => !isBelow(module)), [])
  })

  it("of reporters do not lead to the aggregators, the pipeline or the client", () => {
    assert.deepStrictEqual(
      importsBetween(
        isReporter,
        isRoom("MetricsAggregator", "EventsAggregator", "internal/aggregation", "internal/pipeline", "ThreadStats")
      ),
      []
    )
  })

  it("of the pipeline do not lead to a concrete reporter", () => {
    assert.deepStrictEqual(importsBetween(isRoom("internal/pipeline", "Reporter"), isReporter), [])
  })
})

describe("Effect's internals in src", () => {
  /** Names of Effect that client code must not use; `internal/runtime` has the few pieces that Effect lacks. */
  const forbidden =
    /\b(?:FiberRefs?|RuntimeFlags\w*|Effectable|DefaultServices|Runtime\.make|unsafeMap|setTimeout|defineProperty|eval)\b/

  it("are used in internal/runtime only", () => {
    const isAllowed = (path: string) => path.startsWith("internal/runtime/") || path.startsWith("intake/page/")
    const uses = readdirSync(src, { recursive: true, encoding: "utf8" })
      .filter((path) => path.endsWith(".ts") && !isAllowed(path))
      .flatMap((path) =>
        readFileSync(join(src, path), "utf8").split("\n").flatMap((line) =>
          forbidden.test(line) && !/^\s*(?:\*|\/[/*])/.test(line) ? [`${path}: ${line.trim()}`] : []
        )
      )
    assert.deepStrictEqual(uses, [])
  })
})
