// The namespace import avoids a conflict with `createRequire`, which the banners of many bundles declare.
import * as nodeModule from "node:module"

/**
 * Loads a built-in module of Node.js synchronously, at its first use. An `import` would load it together with this library, and would read
 * all its exports. `node:http` exports a `WebSocket` from Node.js 22 on that loads undici when it is read, which takes 20 ms.
 */
export const builtin = <A>(name: string): A =>
  // Node.js has this function from 20.16 and 22.3 on.
  process.getBuiltinModule === undefined
    ? nodeModule.createRequire(process.execPath)(name)
    : process.getBuiltinModule(name) as A
