/**
 * The cost of drawing the page, in operations. The tests run the frames of the page by hand, and count the blocks of JavaScript that
 * V8 executes, calls of the canvas, and changes of the document. These counts do not depend on the speed of the machine.
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Page } from "playwright-core"
import type { SeriesRow } from "../../../src/intake/feedProtocol.js"
import { act, context, evaluate, html, serve, type Server, until } from "../../support/page.js"
import { scene } from "../../support/pageScene.js"
import { distributionPoint, noUpdate } from "../../support/pageState.js"
import { Chromium, describePage, requestOf, seriesOf } from "../../support/pageTests.js"

/** Replaces frames, timers and the clock of the page, and counts its operations. Tests call `frames` in the page. */
const instrumentation = `(() => {
  let queue = []
  let received = 0
  let waiting = []
  let clock = 0
  const frames = window.frames_ = {
    canvasCalls: 0, mutations: 0, clockReads: 0, millisPerClockRead: 0,
    pending: () => queue.length,
    /** Runs the callbacks of one frame, and the microtasks that they queue. */
    run: async () => {
      const callbacks = queue
      queue = []
      for (const callback of callbacks) callback(0)
      await new Promise((resolve) => {
        const { port1, port2 } = new MessageChannel()
        port1.onmessage = () => { port1.close(); resolve() }
        port2.postMessage(0)
      })
    },
    /** Runs frames until the page requests no more. Returns their number. */
    runAll: async () => {
      let count = 0
      for (; queue.length > 0; count++) await frames.run()
      return count
    },
    /** Waits until the page has processed this many snapshots and updates. */
    received: (count) => new Promise((resolve) => {
      waiting.push([count, resolve])
      settle()
    })
  }
  const settle = () => {
    for (const [count, resolve] of waiting) if (received >= count) resolve()
    waiting = waiting.filter(([count]) => received < count)
  }
  window.requestAnimationFrame = (callback) => queue.push(callback)
  window.setInterval = () => 0
  performance.now = () => {
    frames.clockReads++
    return clock += frames.millisPerClockRead
  }
  EventSource.prototype.addEventListener = function(name, listener) {
    EventTarget.prototype.addEventListener.call(this, name, (event) => {
      listener(event)
      if (name !== "snapshot" && name !== "update") return
      received++
      settle()
    })
  }
  for (const { prototype } of [CanvasRenderingContext2D, Path2D]) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
      if (typeof value !== "function") continue
      prototype[name] = function(...args) {
        frames.canvasCalls++
        return value.apply(this, args)
      }
    }
  }
  new MutationObserver((records) => { frames.mutations += records.length })
    .observe(document, { attributes: true, characterData: true, childList: true, subtree: true })
})()`

/** Opens the page with its frames in the hands of the test, up to the processed snapshot. */
const openInstrumented = (server: Server) =>
  Effect.gen(function*() {
    const opened = yield* context(yield* Chromium)
    const page = yield* act(() => opened.newPage())
    page.setDefaultTimeout(0)
    const errors: Array<string> = []
    page.on("pageerror", (error) => errors.push(String(error)))
    yield* act(() => page.addInitScript(instrumentation))
    const session = yield* act(() => opened.newCDPSession(page))
    yield* act(() => session.send("Profiler.enable"))
    yield* act(() => session.send("Profiler.startPreciseCoverage", { callCount: true, detailed: true }))
    yield* act(() => page.goto(server.url))
    yield* evaluate(page, "frames_.received(1)")
    /** Returns how many blocks of its script the page executed since the last call. */
    const executedBlocks = Effect.map(
      act(() => session.send("Profiler.takePreciseCoverage")),
      ({ result }) =>
        result
          .filter(({ url }) => url.startsWith(server.url))
          .flatMap(({ functions }) => functions.flatMap(({ ranges }) => ranges.map(({ count }) => count)))
          .reduce((sum, count) => sum + count, 0)
    )
    return { page, errors, executedBlocks }
  })

const run = (page: Page) => evaluate<number>(page, "frames_.runAll()")

interface Counts {
  readonly canvasCalls: number
  readonly mutations: number
  readonly clockReads: number
}

/** Returns the operations since the last call. */
const takeCounts = (page: Page) =>
  evaluate<Counts>(
    page,
    `(() => {
      const { canvasCalls, clockReads, mutations } = frames_
      Object.assign(frames_, { canvasCalls: 0, clockReads: 0, mutations: 0 })
      return { canvasCalls, clockReads, mutations }
    })()`
  )

/** A value of each of these series at that second. Those below `distributions` are distributions. */
const valuesAt = (ids: ReadonlyArray<number>, distributions: number, t: number) => ({
  points: ids.filter((id) => id >= distributions).map((id) => [id, t, (t * 7919 + id) % 50] as const),
  distributions: ids.filter((id) => id < distributions).map((id) =>
    distributionPoint(id, t, Array.from({ length: 20 }, (_, i) => 1 + (t * 7919 + id * 31 + i * 97) % 500))
  )
})

/** A server with series of which half belong to the metric `all`, and one metric for each of the others. */
const serveMany = (count: number, kind: SeriesRow["kind"]) =>
  Effect.gen(function*() {
    const server = yield* serve()
    const half = count / 2
    const series = Array.from({ length: count }, (_, i) =>
      i < half
        ? seriesOf(i, { metric: "all", kind, tags: [`n:${i}`, `part:${i % 20}`] })
        : seriesOf(i, { metric: `single.${i}` }))
    const ids = series.map(({ id }) => id)
    const distributions = kind === "distribution" ? half : 0
    const seconds = Array.from({ length: kind === "gauge" ? 300 : 60 }, (_, i) => server.now() - i)
    const values = seconds.map((t) => valuesAt(ids, distributions, t))
    yield* server.update({
      series,
      points: values.flatMap(({ points }) => points),
      distributions: values.flatMap(({ distributions }) => distributions)
    })
    let sent = 0
    /** Sends a new value of a quarter of the series. */
    const sendQuarter = Effect.suspend(() => {
      const t = server.now() + 1 + Math.floor(sent / 4)
      const quarter = ids.slice(sent % 4 * count / 4, (sent % 4 + 1) * count / 4)
      sent++
      return server.send("update", {
        ...noUpdate,
        now: t * 1000,
        requests: [requestOf(sent, { at: t * 1000 })],
        ...valuesAt(quarter, distributions, t)
      })
    })
    return { server, sendQuarter }
  })

describePage("page rendering", (it) => {
  for (const kind of ["gauge", "distribution"] as const) {
    it.scoped(`draws one bounded frame per update with a thousand series, half of them in the chosen ${kind}`, () =>
      Effect.gen(function*() {
        const { sendQuarter, server } = yield* serveMany(1000, kind)
        const { errors, executedBlocks, page } = yield* openInstrumented(server)
        yield* run(page)
        yield* evaluate(page, `document.querySelector(".row").click()`)
        yield* run(page)
        if (kind === "gauge") {
          yield* evaluate(
            page,
            `(() => {
              const split = document.getElementById("split")
              split.value = "=part"
              split.dispatchEvent(new Event("change"))
            })()`
          )
          yield* run(page)
        }
        yield* executedBlocks
        yield* takeCounts(page)
        const updates = 16
        for (let update = 1; update <= updates; update++) {
          yield* sendQuarter
          yield* evaluate(page, `frames_.received(${1 + update})`)
          assert.strictEqual(yield* run(page), 1)
          const blocks = yield* executedBlocks
          const { canvasCalls, mutations } = yield* takeCounts(page)
          // About twice the counts of the present code. A step that depends on all series or all points at once exceeds them.
          assert.isBelow(blocks, kind === "gauge" ? 1_500_000 : 2_500_000)
          assert.isBelow(canvasCalls, 6000)
          assert.isBelow(mutations, 500)
        }
        assert.isBelow(yield* evaluate<number>(page, `document.querySelectorAll(".row").length`), 40)
        assert.isBelow(yield* evaluate<number>(page, `document.querySelectorAll("*").length`), 1500)
        assert.deepStrictEqual(errors, [])
      }))
  }

  it.scoped("draws one frame for any number of updates that arrive before it", () =>
    Effect.gen(function*() {
      const { sendQuarter, server } = yield* serveMany(40, "gauge")
      const { page } = yield* openInstrumented(server)
      yield* run(page)
      yield* Effect.replicateEffect(sendQuarter, 50)
      yield* evaluate(page, "frames_.received(51)")
      assert.strictEqual(yield* evaluate<number>(page, "frames_.pending()"), 1)
      assert.strictEqual(yield* run(page), 1)
    }))

  it.scoped("merges the values of a distribution for 8 ms per frame, until all are merged", () =>
    Effect.gen(function*() {
      const { server } = yield* serveMany(40, "distribution")
      const { page } = yield* openInstrumented(server)
      yield* evaluate(page, `document.querySelector("[data-window='15m']").click()`)
      // The page reads the clock before each step of the plot. With a millisecond per reading, 8 steps fit into a frame.
      yield* evaluate(page, "frames_.millisPerClockRead = 1")
      let frames = 0
      let steps = 0
      while ((yield* evaluate<number>(page, "frames_.pending()")) > 0) {
        yield* takeCounts(page)
        yield* evaluate(page, "frames_.run()")
        const { clockReads } = yield* takeCounts(page)
        assert.isAtMost(clockReads, 10)
        steps += clockReads
        frames++
      }
      assert.isAbove(steps, 450)
      assert.isAbove(frames, 45)
      // 20 series, 60 seconds, 20 values each
      assert.include(
        yield* evaluate<string>(page, `document.querySelector(".histogram-box h3").textContent`),
        "24,000, mean"
      )
    }))

  it.scoped("paints before the feed sends anything", () =>
    Effect.gen(function*() {
      const server = yield* serve({ isFeedSilent: true })
      const opened = yield* context(yield* Chromium)
      const page = yield* act(() => opened.newPage())
      yield* act(() => page.goto(server.url, { timeout: 0 }))
      yield* until(page, `performance.getEntriesByName("first-contentful-paint").length === 1`)
      assert.strictEqual(yield* act(() => page.locator("#connection-text").innerText()), "Connecting …")
    }))

  it.scoped("executes a bounded number of operations until its first frame with contents", () =>
    Effect.gen(function*() {
      const server = yield* serve()
      yield* server.update(scene(server.now()))
      const { executedBlocks, page } = yield* openInstrumented(server)
      yield* evaluate(page, "frames_.run()")
      assert.isAbove(yield* evaluate<number>(page, `document.querySelectorAll(".row:not([hidden])").length`), 10)
      const { canvasCalls, mutations } = yield* takeCounts(page)
      // About twice the counts of the present code.
      assert.isBelow(yield* executedBlocks, 250_000)
      assert.isBelow(canvasCalls, 2500)
      assert.isBelow(mutations, 1500)
      assert.isBelow(html().body.length, 200_000)
    }))
})
