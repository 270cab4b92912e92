// By this name, because many a bundle has a banner that declares `createRequire`.
import * as nodeModule from "node:module"

/**
 * A module of Node.js, loaded at once, but only where it is asked for: an `import` would load it with ours. An `import` also reads
 * all that the module exports, and from Node.js 22 on `node:http` exports a `WebSocket` that is loaded when it is read, with
 * undici and all that belongs to it: twenty milliseconds.
 */
export const builtin = <A>(name: string): A =>
  // from 20.16 and 22.3 on
  process.getBuiltinModule === undefined
    ? nodeModule.createRequire(process.execPath)(name)
    : process.getBuiltinModule(name) as A
