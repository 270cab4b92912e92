/** Values that the handlers of a process share. */
import { globalValue } from "effect/GlobalValue"

/**
 * Returns the value of a key, and makes it at the first request. A layer is a constant of the caller's module, so handlers with
 * the same layer get the same client. The value lives as long as its key.
 */
export const sharedBy = <K extends object, A>(name: string, make: (key: K) => A) => (key: K): A => {
  const values = globalValue(`effect-threadstats/Lambda/${name}`, () => new WeakMap<K, A>())
  const existing = values.get(key)
  if (existing !== undefined) return existing
  const made = make(key)
  values.set(key, made)
  return made
}
