import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Inspectable from "effect/Inspectable"
import { inspect } from "node:util"

/** Returns a key as it is, and in the encodings of addresses, headers and JSON. */
export const formsOf = (key: string): ReadonlyArray<string> =>
  Array.from(
    new Set([
      key,
      encodeURIComponent(key),
      encodeURI(key),
      JSON.stringify(key).slice(1, -1),
      Buffer.from(key).toString("base64"),
      Buffer.from(key).toString("base64url"),
      Buffer.from(key).toString("hex")
    ])
  )

const attempt = (render: () => unknown): string => {
  try {
    return String(render())
  } catch {
    // A value that cannot be rendered exposes nothing.
    return ""
  }
}

/** Renders a value in every way in which a program may print it. */
export const renderings = (value: unknown, depth = 0): ReadonlyArray<string> => {
  if (typeof value === "string") return [value]
  const parts: Array<string> = [
    attempt(() => value),
    attempt(() => inspect(value, { depth: Infinity, showHidden: true, getters: true })),
    attempt(() => JSON.stringify(value)),
    attempt(() => Inspectable.toStringUnknown(value)),
    attempt(() => Inspectable.format(value as Inspectable.Inspectable)),
    attempt(() => Inspectable.stringifyCircular(value))
  ]
  const inner: Array<unknown> = []
  if (Cause.isCause(value)) {
    parts.push(attempt(() => Cause.pretty(value, { renderErrorCause: true })))
    inner.push(...Cause.failures(value), ...Cause.defects(value), ...Cause.prettyErrors(value))
  }
  if (Exit.isExit(value) && Exit.isFailure(value)) inner.push(value.cause)
  if (value instanceof Error) {
    parts.push(attempt(() => value.name), attempt(() => value.message), attempt(() => value.stack))
    inner.push(value.cause)
  }
  return depth > 2 ? parts : [...parts, ...inner.flatMap((one) => one === undefined ? [] : renderings(one, depth + 1))]
}
