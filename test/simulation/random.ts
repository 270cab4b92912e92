import { PCGRandom } from "effect/Utils"

/** Everything a run draws comes from here. */
export interface Draw {
  readonly number: () => number
  readonly chance: (probability: number) => boolean
  /** A whole number from zero up to, and without, `n`. */
  readonly upTo: (n: number) => number
  /** A whole number from `a` up to, and with, `b`. */
  readonly between: (a: number, b: number) => number
  readonly pick: <A>(of: ReadonlyArray<A>) => A
  readonly weighted: <A extends string>(weights: { readonly [K in A]?: number }) => A
}

export const make = (seed: number): Draw => {
  const random = new PCGRandom(seed)
  for (let i = 0; i < 4; i++) random.number()
  const number = () => random.number()
  const upTo = (n: number) => Math.floor(number() * n)
  return {
    number,
    chance: (probability) => number() < probability,
    upTo,
    between: (a, b) => a + upTo(b - a + 1),
    pick: (of) => of[upTo(of.length)]!,
    weighted: <A extends string>(weights: { readonly [K in A]?: number }) => {
      const entries = Object.entries(weights) as unknown as ReadonlyArray<readonly [A, number]>
      let left = number() * entries.reduce((sum, [, weight]) => sum + weight, 0)
      for (const [name, weight] of entries) {
        left -= weight
        if (left < 0) return name
      }
      return entries.at(-1)![0]
    }
  }
}
