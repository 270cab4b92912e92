/** Searches the prints, logs and spans of a test for keys. Suites that handle a key take their `it` from here. */
import { it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type * as Scope from "effect/Scope"
import type * as TestServices from "effect/TestServices"
import { inspect } from "node:util"
import { afterEach, assert, beforeEach, type TestOptions, vi } from "vitest"
import { formsOf } from "./secrets.js"
import { recordingTracer } from "./tracer.js"

/** A key as Datadog issues them: 32 hexadecimal digits. */
export const apiKey = "0123456789abcdef0123456789abcdef"

type Test<R> = <A, E>(name: string, test: () => Effect.Effect<A, E, R>, options?: number | TestOptions) => void

/** The `it` of `@effect/vitest`, as far as swept suites use it. */
export interface SweptIt {
  (name: string, test: () => void | Promise<void>, options?: number | TestOptions): void
  readonly effect: Test<TestServices.TestServices>
  readonly scoped: Test<TestServices.TestServices | Scope.Scope>
  readonly live: Test<never>
  readonly scopedLive: Test<Scope.Scope>
}

const methods = ["log", "info", "warn", "error", "debug", "trace", "group", "dir", "table"] as const

const render = (value: unknown): string =>
  typeof value === "string" ? value : inspect(value, { depth: 8, maxArrayLength: 200, breakLength: Infinity })

/** Collects everything that a test prints, logs or traces, from its start until {@link OutputWatch.stop}. */
export interface OutputWatch {
  /** Adds a logger and a tracer to an Effect program. The logger stays when the program replaces the default logger. */
  readonly observe: <A, E, R>(program: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Renders the output. */
  readonly texts: () => ReadonlyArray<string>
  /** Restores the console and the streams of the process. */
  readonly stop: () => void
}

/** Starts to collect output. Only one watch may be active at a time. */
export const watchOutput = (): OutputWatch => {
  const texts: Array<() => string> = []
  const restore: Array<() => void> = []

  for (const method of methods) {
    const print = console[method].bind(console) as (...args: Array<unknown>) => void
    const spy = vi.spyOn(console, method).mockImplementation((...args: Array<unknown>) => {
      texts.push(() => args.map(render).join(" "))
      print(...args)
    })
    restore.push(() => spy.mockRestore())
  }
  for (const stream of [process.stdout, process.stderr]) {
    const write = stream.write.bind(stream) as (...args: Array<unknown>) => boolean
    const spy = vi.spyOn(stream, "write").mockImplementation((...args: Array<unknown>) => {
      const [chunk] = args
      texts.push(() => typeof chunk === "string" ? chunk : Buffer.from(chunk as Uint8Array).toString())
      return write(...args)
    })
    restore.push(() => spy.mockRestore())
  }

  const logger = Logger.make<unknown, void>((options) => {
    texts.push(() => `${Logger.logfmtLogger.log(options)} ${render(options.message)} ${render(options.cause)}`)
  })
  const tracer = Layer.unwrapEffect(Effect.map(recordingTracer, ({ spans, tracer }) => {
    texts.push(() =>
      render(spans.map((span) => {
        const { attributes, events, links, name, status } = span as typeof span & { readonly events: unknown }
        return [name, attributes, events, links.map((link) => link.attributes), status]
      }))
    )
    return Layer.setTracer(tracer)
  }))

  return {
    observe: (program) => Effect.provide(program, Layer.merge(Logger.add(logger), tracer)),
    texts: () => texts.map((text) => text()),
    stop: () => {
      for (const undo of restore.splice(0)) undo()
    }
  }
}

/**
 * Returns an `it` whose tests fail if one of the keys is in their output, in any of its encodings. The output consists
 * of the prints of the process, and the logs and spans of Effect programs, also when a program replaces the default logger.
 */
export const sweepKeys = (...keys: readonly [string, ...ReadonlyArray<string>]): SweptIt => {
  let watch: OutputWatch

  beforeEach(() => {
    watch = watchOutput()
  })

  afterEach(() => {
    watch.stop()
    assertHidden(watch.texts(), keys)
  })

  const watched = <A, E, R>(test: () => Effect.Effect<A, E, R>) => () =>
    Effect.suspend(() => watch.observe(Effect.suspend(test)))

  return Object.assign(
    (name: string, test: () => void | Promise<void>, options?: number | TestOptions) =>
      it(name, typeof options === "number" ? { timeout: options } : options ?? {}, test),
    {
      effect: (name, test, options) => it.effect(name, watched(test), options),
      scoped: (name, test, options) => it.scoped(name, watched(test), options),
      live: (name, test, options) => it.live(name, watched(test), options),
      scopedLive: (name, test, options) => it.scopedLive(name, watched(test), options)
    } satisfies Pick<SweptIt, "effect" | "scoped" | "live" | "scopedLive">
  )
}

/** Fails if one of the texts contains a key, in any of its encodings. */
export const assertHidden = (texts: ReadonlyArray<string>, keys: ReadonlyArray<string>): void => {
  for (const form of keys.flatMap(formsOf)) {
    const text = texts.find((rendered) => rendered.includes(form))
    if (text !== undefined) {
      assert.fail(`a key was printed, logged or traced: ${text.replaceAll(form, "<the key>").slice(0, 500)}`)
    }
  }
}
