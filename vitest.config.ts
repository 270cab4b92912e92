import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const src = fileURLToPath(new URL("./src", import.meta.url))

export default defineConfig({
  resolve: {
    alias: [
      { find: /^effect-threadstats$/, replacement: `${src}/index.ts` },
      { find: /^effect-threadstats\/(\w+)$/, replacement: `${src}/$1.ts` }
    ],
    dedupe: ["effect", "@effect/platform"]
  },
  test: {
    include: ["test/**/*.test.ts"],
    setupFiles: ["test/support/secretsSweep.ts"],
    minWorkers: 1,
    maxWorkers: 2
  }
})
