import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { act, evaluate, names, option, until } from "../../support/page.js"
import { describePage, open, postSeries } from "../../support/pageTests.js"

describePage("list of metrics", (it) => {
  it.scoped("shows kind, number of series and last value of each metric, and adds metrics as they arrive", () =>
    Effect.gen(function*() {
      const { page, server, errors } = yield* open()
      yield* postSeries(server, "orders.placed", "count", [[20, 3], [10, 4]], ["shop:eu"])
      yield* postSeries(server, "orders.placed", "count", [[20, 5], [10, 38]], ["shop:us"])
      yield* postSeries(server, "queue.depth", "gauge", [[10, 1234.5]])
      yield* act(() => option(page, "queue.depth").waitFor())
      assert.deepStrictEqual(yield* names(page), ["orders.placed", "queue.depth"])
      yield* until(page, `document.querySelector(".row .value")?.textContent === "42"`)
      const text = yield* act(() => option(page, "orders.placed").innerText())
      assert.include(text, "count · 2 series")
      assert.include(yield* act(() => option(page, "queue.depth").innerText()), "1,235")
      yield* postSeries(server, "queue.depth", "gauge", [[0, 7]])
      yield* act(() => option(page, "queue.depth").getByText("7", { exact: true }).waitFor())
      assert.deepStrictEqual(errors, [])
    }))

  it.scoped("filters metrics by words in their names and tags", () =>
    Effect.gen(function*() {
      const { page, server, errors } = yield* open()
      yield* postSeries(server, "orders.placed", "count", [[10, 1]], ["shop:eu"])
      yield* postSeries(server, "orders.failed", "count", [[10, 1]], ["shop:us"])
      yield* postSeries(server, "queue.depth", "gauge", [[10, 1]], ["queue:mail"])
      yield* act(() => option(page, "queue.depth").waitFor())
      yield* act(() => page.keyboard.press("/"))
      yield* act(() => page.keyboard.type("ORDERS"))
      assert.deepStrictEqual(yield* names(page), ["orders.failed", "orders.placed"])
      yield* act(() => page.keyboard.type(" shop:u"))
      assert.deepStrictEqual(yield* names(page), ["orders.failed"])
      assert.strictEqual(yield* act(() => page.locator("#list-count").innerText()), "1 of 3")
      yield* act(() => page.locator("#search").fill("nothing like it"))
      yield* act(() => page.getByText("No name or tag matches the search").waitFor())
      yield* act(() => page.keyboard.press("Escape"))
      assert.deepStrictEqual(yield* names(page), ["orders.failed", "orders.placed", "queue.depth"])
      assert.deepStrictEqual(errors, [])
    }))

  it.scoped("cuts long names in the middle, so that names with the same beginning differ", () =>
    Effect.gen(function*() {
      const { page, server, errors } = yield* open()
      const long = ["count", "amount"].map((end) => `shop.checkout.service.orders.placed.by.country.${end}`)
      for (const name of long) yield* postSeries(server, name, "gauge", [[10, 1]])
      yield* until(page, `document.querySelectorAll(".row:not([hidden])").length === 2`)
      const parts = yield* evaluate<ReadonlyArray<readonly [string, boolean, boolean]>>(
        page,
        `[...document.querySelectorAll(".row:not([hidden]) .name")].map((name) => {
          const [head, tail] = name.children
          return [name.textContent, head.scrollWidth > head.clientWidth, tail.scrollWidth > tail.clientWidth]
        })`
      )
      assert.deepStrictEqual(parts, [[long[1]!, true, false], [long[0]!, true, false]])
      yield* act(() => option(page, long[0]!).click())
      assert.deepStrictEqual(errors, [])
    }))
})
