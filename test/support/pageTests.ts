/** Opens the page in a browser, and sends data to it, for the tests of the page. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import type { Browser, Page } from "playwright-core"
import { afterAll, beforeAll } from "vitest"
import type { RequestRow, SeriesRow } from "../../src/intake/feedProtocol.js"
import type { Verdict } from "../../src/intake/verdict.js"
import { installed } from "./chromium.js"
import {
  browser,
  evaluate,
  type Intake,
  type Opened,
  openPage,
  PageError,
  serve,
  serveIntake,
  type Server
} from "./page.js"

export class Chromium extends Context.Tag("test/Chromium")<Chromium, Browser>() {}

export const layerChromium: Layer.Layer<Chromium, unknown> = Layer.scoped(Chromium, browser)

/** The `it` of tests in a browser: they run on the real clock, in a scope. */
export interface PageIt<R> {
  readonly scoped: <A, E>(title: string, test: () => Effect.Effect<A, E, R | Scope.Scope>) => void
}

/**
 * Defines tests that share services. They are skipped if Chromium is not installed. The function `layer` of `@effect/vitest` cannot
 * be used: it replaces `it.effect` for all later test files of the worker.
 */
export const describeWith = <R>(
  name: string,
  services: Layer.Layer<R, unknown>,
  define: (it: PageIt<R>) => void
): void => {
  describe.skipIf(!installed)(name, () => {
    const scope = Effect.runSync(Scope.make())
    let context: Context.Context<R>
    beforeAll(async () => {
      context = await Effect.runPromise(Layer.buildWithScope(services, scope))
    })
    afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
    define({ scoped: (title, test) => it.scopedLive(title, () => Effect.provide(Effect.suspend(test), context)) })
  })
}

/** Defines tests that share a browser. */
export const describePage = (name: string, define: (it: PageIt<Chromium>) => void): void =>
  describeWith(name, layerChromium, define)

type Options = Parameters<typeof openPage>[2]

/** Opens the page of an intake. */
export const open = (
  options: Options = {}
): Effect.Effect<
  Opened & { readonly server: Intake & { readonly dogstatsd: string } },
  PageError,
  Chromium | Scope.Scope
> =>
  Effect.gen(function*() {
    const server = yield* serveIntake()
    return { server, ...yield* openPage(yield* Chromium, server.url, options) }
  })

/** Opens the page of a scripted server, after the server was prepared. */
export const openScripted = (
  options: Options = {},
  prepare: (server: Server) => Effect.Effect<void> = () => Effect.void
): Effect.Effect<Opened & { readonly server: Server }, PageError, Chromium | Scope.Scope> =>
  Effect.gen(function*() {
    const server = yield* serve()
    yield* prepare(server)
    return { server, ...yield* openPage(yield* Chromium, server.url, options) }
  })

/** Sends points of one series, each so many seconds before the start of the test. */
export const postSeries = (
  server: Intake,
  metric: string,
  type: "gauge" | "rate" | "count",
  points: ReadonlyArray<readonly [ago: number, value: number]>,
  tags: ReadonlyArray<string> = []
): Effect.Effect<void, PageError> =>
  server.post("/api/v1/series", {
    series: [{ metric, type, tags, interval: 10, points: points.map(([ago, value]) => [server.now() - ago, value]) }]
  })

/** Sends the values of a distribution 20 seconds before the start of the test. */
export const postDistribution = (
  server: Intake,
  metric: string,
  values: ReadonlyArray<number>,
  tags: ReadonlyArray<string> = []
): Effect.Effect<void, PageError> =>
  server.post("/api/v1/distribution_points", { series: [{ metric, tags, points: [[server.now() - 20, values]] }] })

/** Fails if a part of the page is wider than the window. */
export const assertFitsWidth = (page: Page): Effect.Effect<void, PageError> =>
  Effect.map(
    evaluate<readonly [number, number]>(
      page,
      `[Math.max(document.documentElement.scrollWidth, ...[...document.querySelectorAll("main > section, #detail")]
        .map((e) => e.scrollWidth)), document.documentElement.clientWidth]`
    ),
    ([width, available]) => assert.isAtMost(width, available, "the page scrolls sideways")
  )

export const seriesOf = (id: number, part: Partial<SeriesRow>): SeriesRow => ({
  id,
  metric: `m${id}`,
  kind: "gauge",
  unit: null,
  tags: [],
  host: "",
  device: "",
  interval: 1,
  verdicts: [],
  ...part
})

export const requestOf = (id: number, part: Partial<RequestRow>): RequestRow => ({
  id,
  at: id * 1000,
  protocol: "http",
  target: "POST /api/v1/series",
  userAgent: "",
  encoding: "deflate",
  bytes: 100,
  unpackedBytes: 420,
  items: 1,
  points: 1,
  status: 202,
  duration: 2.5,
  fault: null,
  reason: null,
  verdicts: [],
  more: 0,
  ...part
})

export const verdict = (outcome: Verdict["outcome"], code: string, message: string): Verdict => ({
  outcome,
  code,
  message,
  metric: null
})
