/** An option that cannot be used. */
export interface InvalidOption {
  readonly name: string
  readonly expected: string
}

/** Maximum length of a name in an error, in characters. */
const maxNameLength = 100

/**
 * Finds an option that has no meaning, such as a misspelt one, so that none is ignored in silence. Options with the value `undefined` count
 * as absent. It never throws.
 */
export const findUnknownOption = (options: unknown, known: ReadonlyArray<string>): InvalidOption | undefined => {
  if (options === undefined) return undefined
  if (typeof options !== "object" || options === null) return { name: "options", expected: "expected an object" }
  try {
    const unknown = Object.keys(options).find((name) =>
      !known.includes(name) && (options as { readonly [name: string]: unknown })[name] !== undefined
    )
    return unknown === undefined ? undefined : {
      name: unknown.slice(0, maxNameLength),
      expected: `there is no option of this name. Use one of ${known.join(", ")}`
    }
  } catch {
    // A getter or a proxy of the caller's threw.
    return { name: "options", expected: "reading the options failed; expected plain values" }
  }
}
