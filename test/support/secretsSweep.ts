/**
 * Watches every test for keys: whatever any of them wraps in `Redacted` must not be in what is printed, logged or traced
 * before that test ends. No test has to do anything for it.
 */
import * as Effect from "effect/Effect"
import { globalValue } from "effect/GlobalValue"
import * as Logger from "effect/Logger"
import type * as Redacted from "effect/Redacted"
import type * as Tracer from "effect/Tracer"
import { inspect } from "node:util"
import { afterEach, assert, beforeEach } from "vitest"
import { formsOf } from "./secrets.js"

/** Shorter ones are in other words, too. */
const shortest = 12

const registry = globalValue(
  "effect/Redacted/redactedRegistry",
  () => new WeakMap<Redacted.Redacted<unknown>, unknown>()
)

/** Those of the file, and those of the test that is running. */
const ofFile = new Set<string>()
const ofTest = new Set<string>()
let running = false

registry.set = (redacted, value) => {
  if (typeof value === "string" && value.length >= shortest) (running ? ofTest : ofFile).add(value)
  return WeakMap.prototype.set.call(registry, redacted, value) as typeof registry
}

let seen: Array<() => string> = []

const look = (value: unknown): string =>
  typeof value === "string" ? value : inspect(value, { depth: 8, maxArrayLength: 200, breakLength: Infinity })

for (const method of ["log", "info", "warn", "error", "debug", "trace", "group", "dir", "table"] as const) {
  const print = console[method].bind(console) as (...args: Array<unknown>) => void
  console[method] = (...args: Array<unknown>) => {
    seen.push(() => args.map(look).join(" "))
    print(...args)
  }
}

for (const stream of [process.stdout, process.stderr]) {
  const write = stream.write.bind(stream) as (...args: Array<unknown>) => boolean
  stream.write = (...args: Array<unknown>) => {
    const [chunk] = args
    seen.push(() => typeof chunk === "string" ? chunk : Buffer.from(chunk as Uint8Array).toString())
    return write(...args)
  }
}

// It is told of every line, also where a test has replaced the default logger.
const { tracerLogger } = Logger
const { log } = tracerLogger
Object.assign(tracerLogger, {
  log: (options: Logger.Logger.Options<unknown>) => {
    seen.push(() => `${Logger.logfmtLogger.log(options)} ${look(options.message)} ${look(options.cause)}`)
    return log(options)
  }
})

// The default tracer is one object, and what a test makes of it asks it for spans.
const tracer = Effect.runSync(Effect.tracer)
const { span } = tracer
Object.assign(tracer, {
  span: (...args: Parameters<Tracer.Tracer["span"]>) => {
    const made = span(...args)
    seen.push(() => {
      const { attributes, events, links, name, status } = made as Tracer.Span & { readonly events: unknown }
      return look([name, attributes, events, links.map((link) => link.attributes), status])
    })
    return made
  }
})

beforeEach(() => {
  running = true
})

afterEach(() => {
  running = false
  const texts = seen.map((render) => render())
  const keys = [...ofFile, ...ofTest]
  seen = []
  ofTest.clear()
  for (const key of keys) {
    for (const form of formsOf(key)) {
      const text = texts.find((rendered) => rendered.includes(form))
      if (text !== undefined) {
        assert.fail(`a key was printed, logged or traced: ${text.replaceAll(form, "<the key>").slice(0, 500)}`)
      }
    }
  }
})
