import { fileURLToPath } from "node:url"
import { configDefaults, defineConfig } from "vitest/config"

const src = fileURLToPath(new URL("./src", import.meta.url))

const unit = "test/**/*.test.ts"
const io = "test/**/*.io.test.ts"
const ric = "test/ric/*.test.ts"

/** The suites, by Vitest's `--mode`; `test/README.md` describes them. `vitest run` without a mode runs the unit tests. */
const suites: Record<string, { readonly include: ReadonlyArray<string>; readonly exclude: ReadonlyArray<string> }> = {
  test: { include: [unit], exclude: [io, ric] },
  io: { include: [io], exclude: [] },
  ric: { include: [ric], exclude: [] },
  all: { include: [unit], exclude: [ric] }
}

export default defineConfig(({ mode }) => {
  const { exclude, include } = suites[mode]!
  return {
    resolve: {
      alias: [
        { find: /^effect-threadstats$/, replacement: `${src}/index.ts` },
        { find: /^effect-threadstats\/(\w+)$/, replacement: `${src}/$1.ts` }
      ],
      dedupe: ["effect", "@effect/platform"]
    },
    test: {
      include: [...include],
      exclude: [...configDefaults.exclude, ...exclude],
      reporters: ["default", ["json", { outputFile: `build/test-report.${mode}.json` }]],
      silent: "passed-only",
      // Loading Effect takes longer than most test files run. The files of a worker share it.
      isolate: false,
      // Limits that only a hung test reaches, on a busy machine too.
      testTimeout: mode === "test" ? 60_000 : 180_000,
      hookTimeout: 180_000,
      // A test with processes and sockets gets a second try. The summary of .ci/run names those that needed it.
      retry: mode === "test" ? 0 : 1,
      setupFiles: ["test/support/machineName.ts"],
      // The local intake serves a page that is built, not committed.
      globalSetup: ["test/support/pageSetup.ts"],
      maxConcurrency: mode === "ric" ? 10 : 5,
      minWorkers: 1,
      maxWorkers: 2
    }
  }
})
