import { fileURLToPath } from "node:url"
import { configDefaults, defineConfig } from "vitest/config"

const src = fileURLToPath(new URL("./src", import.meta.url))

/** Needs what `npm run test:ric` installs. */
const ric = "test/ric/*.test.ts"

export default defineConfig(({ mode }) => ({
  resolve: {
    alias: [
      { find: /^effect-threadstats$/, replacement: `${src}/index.ts` },
      { find: /^effect-threadstats\/(\w+)$/, replacement: `${src}/$1.ts` }
    ],
    dedupe: ["effect", "@effect/platform"]
  },
  test: {
    include: mode === "ric" ? [ric] : ["test/**/*.test.ts"],
    exclude: mode === "ric" ? configDefaults.exclude : [...configDefaults.exclude, ric],
    // Some tests bundle, or start processes, beside others that do.
    testTimeout: 20_000,
    // The page of the local intake is not in the repository.
    globalSetup: ["test/support/pageSetup.ts"],
    setupFiles: ["test/support/secretsSweep.ts"],
    // Six of them are stopped for minutes.
    maxConcurrency: mode === "ric" ? 10 : 5,
    minWorkers: 1,
    maxWorkers: 2
  }
}))
