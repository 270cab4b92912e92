// By this name, because many a bundle has a banner that declares `createRequire`.
import * as nodeModule from "node:module"

/** A module of Node.js, loaded at once, but only where it is asked for: an `import` would load it with ours. */
export const builtin = <A>(name: string): A => nodeModule.createRequire(process.execPath)(name)
