/**
 * Values that no type admits and no caller should pass, and a seeded way to draw from them.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { PCGRandom } from "effect/Utils"

/** Hides the type of a value, as a caller without types does. */
export const lie = <A>(value: unknown): A => value as A

export interface Random {
  /** From 0 to `n - 1`. */
  readonly int: (n: number) => number
  readonly pick: <A>(from: ReadonlyArray<A>) => A
  readonly chance: (percent: number) => boolean
}

export const random = (seed: number): Random => {
  const generator = new PCGRandom(seed)
  const int = (n: number) => generator.integer(n)
  return { int, pick: (from) => from[int(from.length)]!, chance: (percent) => int(100) < percent }
}

/** Throws, in place of any operation on a hostile value. */
const boo = (): never => {
  throw new Error("boo")
}

/** A proxy whose every trap throws. */
export const trap = (target: object = {}): object =>
  new Proxy(
    target,
    new Proxy({}, { get: () => boo })
  )

const revoked = (target: object): object => {
  const { proxy, revoke } = Proxy.revocable(target, {})
  revoke()
  return proxy
}

/** Returns another answer each time: valid ones first, then an invalid one. */
const flapping = (...answers: ReadonlyArray<unknown>) => {
  let turn = 0
  return () => answers[Math.min(turn++, answers.length - 1)]
}

const cyclic = (): object => {
  const self: { [key: string]: unknown; readonly list: Array<unknown> } = { list: [] }
  self["self"] = self
  self.list.push(self)
  return self
}

const withProto = (proto: object | null, properties: object): object => Object.assign(Object.create(proto), properties)

/** An array with a wrong length. */
export const lyingArray = (target: ReadonlyArray<unknown>, length: unknown): ReadonlyArray<unknown> =>
  new Proxy(target, { get: (array, key) => key === "length" ? length : Reflect.get(array, key) })

class Custom {
  readonly field = "a"
  get broken(): string {
    return boo()
  }
}

class Text extends String {}

const million = 1_000_000
const mega = "m".repeat(million)

type Named = readonly [label: string, make: () => unknown]

export const strings: ReadonlyArray<Named> = [
  ["empty", () => ""],
  ["blank", () => " \t\n"],
  ["__proto__", () => "__proto__"],
  ["constructor", () => "constructor"],
  ["toString", () => "toString"],
  ["hasOwnProperty", () => "hasOwnProperty"],
  ["a high surrogate", () => "a\ud800"],
  ["a low surrogate", () => "b\udfff."],
  ["surrogates the wrong way round", () => "c\udc00\ud800"],
  ["an escape that is none", () => "d\\ud800\\"],
  ["a megabyte", () => mega],
  ["a megabyte of emoji", () => "\u{1f680}".repeat(million / 4)],
  ["a NUL", () => "n\0ul"],
  ["control characters", () => "c\u0001\u001b[31m\u007f\u0085\r\n"],
  ["separators of other languages", () => "s\u2028\u2029\ufeff"],
  ["emoji", () => "e\u{1f468}\u200d\u{1f469}\u200d\u{1f467}"],
  ["a surrogate at the cut", () => `${"x".repeat(3999)}\u{1f680}`],
  ["200 characters", () => "n".repeat(200)],
  ["201 characters", () => "n".repeat(201)],
  ["256 characters", () => "h".repeat(256)],
  ["markup", () => "<script>alert(1)</script>"],
  ["quotes", () => "q\"'`\\\"}],"],
  ["a key and value", () => "host:evil"],
  ["colons", () => ":::"],
  ["commas and bars", () => "a,b|c#d@e"],
  ["numeric text", () => "12"],
  ["NaN as text", () => "NaN"],
  ["right to left", () => "r\u202etxt"],
  ["a name", () => "hostile.name"]
]

export const numbers: ReadonlyArray<Named> = [
  ["-0", () => -0],
  ["NaN", () => Number.NaN],
  ["Infinity", () => Infinity],
  ["-Infinity", () => -Infinity],
  ["2^53 + 1", () => 2 ** 53 + 2],
  ["-2^63", () => -(2 ** 63)],
  ["1e308", () => 1e308],
  ["-1e308", () => -1e308],
  ["MAX_VALUE", () => Number.MAX_VALUE],
  ["MIN_VALUE", () => Number.MIN_VALUE],
  ["1e-320", () => 1e-320],
  ["1e21", () => 1e21],
  ["-1", () => -1],
  ["0.1", () => 0.1],
  ["1", () => 1],
  ["8.64e15", () => 8.64e15 + 1]
]

export const others: ReadonlyArray<Named> = [
  ["undefined", () => undefined],
  ["null", () => null],
  ["true", () => true],
  ["false", () => false],
  ["a bigint", () => 10n],
  ["a huge bigint", () => 10n ** 400n],
  ["a symbol", () => Symbol("s")],
  ["a registered symbol", () => Symbol.for("effect/Effect")],
  ["an object", () => ({})],
  ["a function", () => () => 1],
  ["a function that throws", () => boo],
  ["a class", () => Custom],
  ["an instance", () => new Custom()],
  ["an array", () => []],
  ["an array of undefined", () => [undefined]],
  ["an array with holes", () => [, "a", , "b"]],
  ["an array of rubbish", () => [1, null, {}, Symbol("t")]],
  ["an array of a megabyte", () => [mega]],
  ["an array of 201 characters", () => ["a:b", "t".repeat(201)]],
  ["a record of 201 characters", () => ({ a: "t".repeat(199) })],
  ["a nested array", () => [["a:b"]]],
  ["an array that throws at an element", () => Object.defineProperty(["a", "b"], 1, { get: boo })],
  ["an array that changes its mind", () => Object.defineProperty(["a"], 0, { get: flapping("a", 1, Symbol("t")) })],
  ["an array that throws at its length", () => new Proxy([], { get: (_, key) => key === "length" ? boo() : "a" })],
  ["an array of length NaN", () => lyingArray(["a"], Number.NaN)],
  ["an array of length -1", () => lyingArray(["a"], -1)],
  ["an array of length 1000", () => lyingArray(["a"], 1000)],
  ["an array with a length of text", () => lyingArray(["a", "b"], "2")],
  ["an array with a length that throws", () => lyingArray(["a"], { valueOf: boo })],
  [
    "an array with an iterator that throws",
    () => Object.assign(["a"], { [Symbol.iterator]: boo, map: boo, concat: boo })
  ],
  ["a frozen array", () => Object.freeze(["frozen"])],
  ["a typed array", () => new Float64Array([1, Number.NaN])],
  ["arguments", () => lie<{ length: number }>({ 0: "a", length: 1 })],
  ["a proxy that throws", () => trap()],
  ["a proxy of an array that throws", () => trap([])],
  ["a proxy of a function that throws", () => trap(() => 1)],
  ["a revoked proxy", () => revoked({})],
  ["a revoked proxy of an array", () => revoked([])],
  ["a getter that throws", () => ({
    get a() {
      return boo()
    }
  })],
  [
    "a getter that changes its mind",
    () => Object.defineProperty({}, "a", { enumerable: true, get: flapping("b", {}) })
  ],
  ["a toString that throws", () => ({ toString: boo, a: 1 })],
  ["a toString that lies", () => ({ toString: () => 7, valueOf: () => ({}) })],
  ["a valueOf that throws", () => ({ valueOf: boo })],
  ["a valueOf that is a number", () => ({ valueOf: () => 0.5 })],
  ["a toPrimitive that throws", () => ({ [Symbol.toPrimitive]: boo })],
  ["a toJSON that throws", () => ({ toJSON: boo })],
  ["a toJSON that lies", () => ({ toJSON: () => "lie", a: "b" })],
  ["no prototype", () => withProto(null, { a: "b" })],
  ["an own __proto__", () => JSON.parse(`{"__proto__":"x","constructor":"y","toString":"z"}`)],
  ["a __proto__ of tags", () => ({ __proto__: { inherited: "tag" } })],
  ["a record with a megabyte", () => ({ a: mega })],
  ["a record with a megabyte of a key", () => ({ [mega]: 1 })],
  ["a record of rubbish", () => ({ a: {}, b: Symbol("b") })],
  ["a record of odd numbers", () => ({ a: Number.NaN, b: -0, c: Infinity, d: 2 ** 60 })],
  ["a record of surrogates", () => ({ "a\ud800": "\udc00" })],
  ["a cycle", cyclic],
  ["a frozen cycle", () => Object.freeze(cyclic())],
  ["a boxed number", () => Object(1)],
  ["a boxed NaN", () => Object(Number.NaN)],
  ["a boxed string", () => Object("boxed")],
  ["a subclass of String", () => new Text("sub")],
  [
    "an object that trims like a string",
    () => ({ length: 1, trim: () => ({ length: 1 }), replace: () => ({ length: 1 }) })
  ],
  ["a promise", () => Promise.resolve("a")],
  ["a promise that fails", () => {
    const promise = Promise.reject(new Error("boo"))
    promise.catch(() => {})
    return promise
  }],
  ["an invalid date", () => new Date(Number.NaN)],
  ["a date of 1970", () => new Date(0)],
  ["a date of the year 275760", () => new Date(8.64e15)],
  ["a date that throws", () => Object.assign(new Date(), { getTime: boo, valueOf: boo })],
  ["a date that lies", () => Object.assign(new Date(), { getTime: () => "now" })],
  ["a date that is none", () => Object.create(Date.prototype)],
  ["a proxy of a date", () => new Proxy(new Date(), {})],
  ["a DateTime", () => DateTime.unsafeMake(0)],
  ["a DateTime that lies", () => withProto(DateTime.unsafeMake(0), { epochMillis: "soon" })],
  ["a Map", () => new Map([["a", "b"]])],
  ["a Set", () => new Set(["a"])],
  ["an iterator", () => ["a"].values()],
  ["an error", () => new Error("boo")],
  ["a regular expression", () => /a/g],
  ["a redacted text", () => Redacted.make("hidden")],
  ["an effect", () => Effect.die("boo")],
  ["the global object", () => globalThis]
]

export const pool: ReadonlyArray<Named> = [...strings, ...numbers, ...others]

/** A value, and its label for the report of a failure. */
export const draw = (from: Random, values: ReadonlyArray<Named> = pool): readonly [label: string, value: unknown] => {
  const [label, make] = from.pick(values)
  return [label, make()]
}

const mutators = ["set", "defineProperty", "deleteProperty", "setPrototypeOf", "preventExtensions"] as const

/** A proxy that records attempts to change it. */
export const spied = <A extends object>(target: A, mutations: Array<string>): A => {
  const handler: ProxyHandler<A> = {}
  for (const name of mutators) {
    handler[name] = () => {
      mutations.push(name)
      return true
    }
  }
  return new Proxy(target, handler)
}

/** Draws options of which one to three have a hostile value, in a property or a getter. */
export const options = (
  from: Random,
  names: ReadonlyArray<string>,
  mutations: Array<string>
): readonly [label: string, value: unknown] => {
  if (from.chance(15)) return draw(from)
  const target: object = from.chance(10) ? Object.create(null) : {}
  const labels: Array<string> = []
  for (let i = 0; i <= from.int(3); i++) {
    const name = from.pick(names)
    const [label, value] = draw(from)
    labels.push(`${name}: ${label}`)
    const kind = from.int(10)
    if (kind === 0) Object.defineProperty(target, name, { configurable: true, enumerable: true, get: boo })
    else if (kind === 1) {
      const valid = name === "alertType" ? "info" : name === "priority" ? "low" : name === "relatedEventId" ? 1 : "a"
      const get = flapping(valid, valid, valid, value)
      Object.defineProperty(target, name, { configurable: true, enumerable: true, get })
    } else Object.defineProperty(target, name, { configurable: true, enumerable: true, value, writable: true })
  }
  return [`{ ${labels.join(", ")} }`, from.chance(20) ? Object.freeze(target) : spied(target, mutations)]
}

const string = (text: string): boolean => Buffer.from(text).toString() === text

/** Whether every string is valid Unicode and every number is finite, so that any JSON parser accepts it. */
export const isInterchangeable = (value: unknown): boolean =>
  typeof value === "string"
    ? string(value)
    : typeof value === "number"
    ? Number.isFinite(value)
    : value !== null && typeof value === "object"
    ? Object.entries(value).every(([key, inner]) => string(key) && isInterchangeable(inner))
    : typeof value === "boolean"

/** Texts that a hostile environment may hold in any variable. */
export const texts: ReadonlyArray<string> = [
  "",
  " ",
  "\t\r\n",
  "\0",
  "a\0b",
  mega,
  "9".repeat(400),
  "__proto__",
  "constructor",
  "NaN",
  "Infinity",
  "-Infinity",
  "-1",
  "-0",
  "0",
  "1",
  "1e999",
  "1e-999",
  "1e21",
  "999999999999",
  "86400",
  "0x10",
  "0.5",
  "0.5,,0.5",
  "0.5,0.50000000000000001,1e-300",
  "١٢٣",
  "１２",
  "1 nano",
  "1.5 nanos",
  "99999999999999999999999999 weeks",
  "-1 seconds",
  "true",
  "off",
  "null",
  "undefined",
  "[object Object]",
  "abc\r\nX-Injected: 1",
  "abc\nX-Injected: 1",
  "abc\u0085d\u2028e",
  "höst",
  "\ud800",
  "x\udc00y",
  "\u{1f680}",
  "http://user:hunter2@example.com",
  "https://example.com/?api_key=abc#x",
  "javascript:alert(1)",
  "javascript:1",
  "file:///etc/passwd",
  "data:text/plain,x",
  "http://[::1",
  "http://[::1]:8080",
  "http://localhost:99999",
  "localhost:99999",
  "http://a\\@b",
  "http://exa%00mple",
  "http://a/\0",
  "//example.com",
  "..",
  "a..b",
  "xn--",
  "999.999.999.999",
  "app.",
  "https://",
  ",",
  ",,, ,,,",
  ":",
  "a:,b:,:c",
  "__proto__:x,constructor:y",
  "min",
  "min,min,,max",
  "seconds",
  "any",
  "${HOME}",
  "$(reboot)",
  "../../../../etc/passwd",
  "%s%n%d",
  "<redacted>"
]
