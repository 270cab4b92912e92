/** Hides the package unix-dgram from the modules that are imported after this one. */
import { register } from "node:module"

if (process.env.HIDDEN === undefined) {
  process.env.HIDDEN = "unix-dgram"
  register(import.meta.url)
}

export const resolve = (name, context, next) => {
  if (name !== "unix-dgram") return next(name, context)
  throw Object.assign(new Error("Cannot find package 'unix-dgram'"), { code: "ERR_MODULE_NOT_FOUND" })
}
