import type { Item, ReporterError } from "../../Reporter.js"

/** An error whose items are put together when somebody asks for them. */
export const lazily = (
  error: ReporterError,
  items: { readonly [P in "undelivered" | "refused" | "ambiguous"]?: () => ReadonlyArray<Item> }
): ReporterError => {
  for (const [name, get] of Object.entries(items)) {
    Object.defineProperty(error, name, { get, enumerable: true, configurable: true })
  }
  return error
}
