import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { act, inked, nextFrame, until } from "../../support/page.js"
import { describePage, open, postSeries } from "../../support/pageTests.js"

describePage("event list", (it) => {
  it.scoped("lists an event, marks it on the time axis, and describes it in a tooltip", () =>
    Effect.gen(function*() {
      const { page, server, errors } = yield* open()
      yield* postSeries(server, "a", "gauge", [[300, 1], [20, 1]])
      yield* act(() => page.locator(".u-over").waitFor())
      yield* act(() => page.getByRole("button", { name: "15 min", exact: true }).click())
      yield* until(page, `document.querySelector(".legend td")?.textContent === "1"`)
      const before = yield* inked(page, ".uplot canvas")
      yield* server.post("/api/v1/events", {
        title: "Deployed 4.2",
        text: "first\nsecond",
        alert_type: "warning",
        tags: ["service:orders"],
        date_happened: server.now() - 450
      })
      yield* until(page, `document.getElementById("count-events").textContent === "1"`)
      assert.isAbove(yield* inked(page, ".uplot canvas"), before)
      const box = (yield* act(() => page.locator(".u-over").boundingBox()))!
      // The event is in the middle of the time range of 15 minutes.
      let isShown = false
      for (let x = box.width * 0.45; !isShown && x < box.width * 0.55; x += 4) {
        yield* act(() => page.mouse.move(box.x + x, box.y + 50))
        yield* nextFrame(page)
        isShown = yield* act(() => page.getByRole("tooltip").isVisible())
      }
      assert.isTrue(isShown)
      assert.include(yield* act(() => page.getByRole("tooltip").innerText()), "Deployed 4.2")
      yield* act(() => page.getByRole("tab", { name: "Events" }).click())
      const text = yield* act(() => page.locator(".event").innerText())
      for (const part of ["warning", "Deployed 4.2", "first\nsecond", "service:orders"]) assert.include(text, part)
      assert.deepStrictEqual(errors, [])
    }))
})
