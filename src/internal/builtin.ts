import { createRequire } from "node:module"

/** A module of Node.js, loaded at once, but only where it is asked for: an `import` would load it with ours. */
export const builtin = <A>(name: string): A => createRequire(process.execPath)(name)
