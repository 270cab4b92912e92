// Loads the function with its code cache, if the cache exists and belongs to this version of Node.js.
import { existsSync, readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { fileURLToPath } from "node:url"
import { constants, Script } from "node:vm"

const filename = fileURLToPath(new URL("function.cjs", import.meta.url))
const cache = new URL("function.cache", import.meta.url)

export const script = new Script(`(function (exports, require, module) {${readFileSync(filename, "utf8")}\n})`, {
  filename,
  cachedData: existsSync(cache) ? readFileSync(cache) : undefined,
  importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER
})
const module = { exports: {} }
script.runInThisContext()(module.exports, createRequire(filename), module)

export const { handler } = module.exports

await handler.ready
