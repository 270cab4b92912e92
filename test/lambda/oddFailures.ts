/** Failures that loggers and `JSON.stringify` cannot handle, by description, with the type and the message of their report. */

/** `undefined`: any text. */
export type OddFailure = readonly [
  description: string,
  make: () => unknown,
  errorType: string,
  errorMessage: string | undefined
]

const chain = (length: number, link: (inner: unknown) => unknown): unknown => {
  let value: unknown
  for (let i = 0; i < length; i++) value = link(value)
  return value
}

const throwing = (): never => {
  throw new Error("on purpose")
}

const withGetter = (target: object, name: string) =>
  Object.defineProperty(target, name, { get: throwing, enumerable: true })

const assign = <A extends object>(target: A, properties: Record<PropertyKey, unknown>): A => {
  for (const key of Reflect.ownKeys(properties)) {
    Object.defineProperty(target, key, { value: Reflect.get(properties, key), enumerable: true, configurable: true })
  }
  return target
}

const cyclic = (target: Record<string, unknown>, name: string) => {
  target[name] = target
  return target
}

const traps = (...names: ReadonlyArray<keyof ProxyHandler<object>>) =>
  new Proxy({}, Object.fromEntries(names.map((name) => [name, throwing])))

const unreadable = "The error could not be described: one of its properties throws"

export const oddFailures: ReadonlyArray<OddFailure> = [
  ["undefined", () => undefined, "undefined", "undefined"],
  ["null", () => null, "null", "null"],
  ["a number", () => 7, "number", "7"],
  ["NaN", () => Number.NaN, "number", "NaN"],
  ["a bigint", () => 10n, "bigint", "10"],
  ["a boolean", () => false, "boolean", "false"],
  ["a symbol", () => Symbol("odd"), "symbol", "Symbol(odd)"],
  ["an empty text", () => "", "string", ""],
  ["a text with line breaks", () => "one\r\ntwo", "string", "one\r\ntwo"],
  ["a text with a lone surrogate", () => "\ud800", "string", "\ud800"],
  ["a function", () => throwing, "function", undefined],
  ["an array", () => [1, "two"], "object", "[1,\"two\"]"],
  ["a date", () => new Date(0), "object", "\"1970-01-01T00:00:00.000Z\""],
  ["an invalid date", () => new Date(Number.NaN), "object", "null"],
  ["a map", () => new Map([[1, 2]]), "object", "{}"],
  [
    "a tagged object with a bigint",
    () => ({ _tag: "InsufficientFunds", balance: 10n }),
    "InsufficientFunds",
    "{\"_tag\":\"InsufficientFunds\",\"balance\":\"10n\"}"
  ],
  [
    "a tagged object with a message",
    () => ({ _tag: "NotFound", message: "no such order" }),
    "NotFound",
    "no such order"
  ],
  ["an object whose tag is a symbol", () => ({ _tag: Symbol("odd") }), "object", "{}"],
  ["an object whose tag has line breaks", () => ({ _tag: "a\r\nb", message: "m" }), "a\r\nb", "m"],
  [
    "an object whose message is a number",
    () => ({ _tag: "Odd", message: 7 }),
    "Odd",
    "{\"_tag\":\"Odd\",\"message\":7}"
  ],
  ["an object that contains itself", () => cyclic({ _tag: "Cyclic" }, "self"), "Cyclic", "{\"_tag\":\"Cyclic\"}"],
  [
    "an object with one part twice",
    () => {
      const part = { a: 1 }
      return { first: part, second: part }
    },
    "object",
    "{\"first\":{\"a\":1},\"second\":{\"a\":1}}"
  ],
  ["an object of 20,000 levels", () => chain(20_000, (inner) => ({ inner })), "object", undefined],
  [
    "an object without prototype",
    () => assign(Object.create(null), { _tag: "Bare", message: "no prototype" }),
    "Bare",
    "no prototype"
  ],
  ["an empty object without prototype", () => Object.create(null), "object", "{}"],
  ["an object without prototype that contains itself", () => cyclic(Object.create(null), "self"), "object", "{}"],
  ["an object whose toJSON throws", () => ({ _tag: "Odd", toJSON: throwing }), "Odd", unreadable],
  ["an object whose toJSON returns a bigint", () => ({ toJSON: () => 1n }), "object", "\"1n\""],
  ["an object whose toJSON returns undefined", () => ({ toJSON: () => undefined }), "object", "[object Object]"],
  ["an object whose toString throws", () => ({ toString: throwing }), "object", "{}"],
  ["an object with a getter that throws", () => withGetter({ _tag: "Odd" }, "odd"), "Odd", unreadable],
  ["an object whose tag throws", () => withGetter({ message: "text" }, "_tag"), "object", "text"],
  ["an object whose message throws", () => withGetter({ _tag: "Odd" }, "message"), "Odd", unreadable],
  ["a proxy whose get throws", () => traps("get"), "object", unreadable],
  ["an Error with a bigint", () => assign(new Error("short"), { balance: 10n }), "Error", "short"],
  [
    "an Error whose cause is itself",
    () => {
      const error = new Error("cyclic")
      return assign(error, { cause: error })
    },
    "Error",
    "cyclic"
  ],
  ["an Error with 20,000 causes", () => chain(20_000, (cause) => new Error("deep", { cause })), "Error", "deep"],
  ["an Error whose name is a symbol", () => assign(new Error("named"), { name: Symbol("odd") }), "Error", "named"],
  ["an Error whose name throws", () => withGetter(new Error("named"), "name"), "Error", "named"],
  ["an Error whose message throws", () => withGetter(new Error(), "message"), "Error", ""],
  ["an Error whose stack throws", () => withGetter(new RangeError("stackless"), "stack"), "RangeError", "stackless"],
  [
    "an Error without a stack",
    () => assign(new RangeError("stackless"), { stack: undefined }),
    "RangeError",
    "stackless"
  ],
  ["an Error whose toJSON throws", () => assign(new Error("json"), { toJSON: throwing }), "Error", "json"],
  ["an Error whose toString throws", () => assign(new Error("text"), { toString: throwing }), "Error", "text"],
  ["an Error without prototype", () => Object.setPrototypeOf(new Error("bare"), null), "Error", "bare"],
  [
    "an AggregateError that contains itself",
    () => {
      const errors: Array<unknown> = []
      const error = new AggregateError(errors, "many")
      errors.push(error)
      return error
    },
    "AggregateError",
    "many"
  ]
]
