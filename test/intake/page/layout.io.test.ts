import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { act, evaluate, option } from "../../support/page.js"
import { scene } from "../../support/pageScene.js"
import { assertFitsWidth, describePage, openScripted, postSeries } from "../../support/pageTests.js"

describePage("page layout", (it) => {
  it.scoped("fits the width of a phone in every view, and opens each view by touch", () =>
    Effect.gen(function*() {
      const { page, server, errors } = yield* openScripted(
        { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true },
        (server) => server.update(scene(server.now()))
      )
      yield* postSeries(server, "long.".repeat(40), "gauge", [[20, 123_456]], ["x".repeat(200)])
      yield* assertFitsWidth(page)
      assert.isFalse(yield* act(() => page.locator("#detail").isVisible()))
      yield* act(() => option(page, "orders.duration").tap())
      yield* act(() => page.getByRole("heading", { name: "orders.duration" }).waitFor())
      assert.isFalse(yield* act(() => page.locator("#list").isVisible()))
      yield* act(() => page.locator(".uplot canvas").waitFor())
      yield* assertFitsWidth(page)
      yield* act(() => page.getByRole("button", { name: "Metrics", exact: true }).tap())
      yield* act(() => option(page, "long.").tap())
      yield* act(() => page.getByLabel("Split by").waitFor())
      yield* assertFitsWidth(page)
      yield* act(() => page.getByRole("tab", { name: "Payloads" }).tap())
      const log = (yield* act(() => page.locator(".summary").first().boundingBox()))!
      assert.isBelow(log.y, 844 / 2, "the log begins below the first half of the screen")
      yield* act(() => page.locator(".summary").first().tap())
      yield* assertFitsWidth(page)
      yield* act(() => page.getByRole("tab", { name: "Events" }).tap())
      yield* act(() => page.locator(".event").first().waitFor())
      yield* assertFitsWidth(page)
      assert.deepStrictEqual(errors, [])
    }))

  it.scoped("has enough contrast in both color schemes, and an accessible name on every control", () =>
    Effect.gen(function*() {
      const { page, server, errors } = yield* openScripted()
      yield* server.update(scene(server.now()))
      yield* act(() => option(page, "orders.duration").click())
      for (const colorScheme of ["light", "dark"] as const) {
        yield* act(() => page.emulateMedia({ colorScheme }))
        const poor = yield* evaluate<ReadonlyArray<string>>(
          page,
          `(() => {
            const probe = document.body.appendChild(document.createElement("i"))
            const rgb = (name) => {
              probe.style.color = "var(--" + name + ")"
              return getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map(Number)
            }
            const luminance = (name) => {
              const [r, g, b] = rgb(name).map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
              return 0.2126 * r + 0.7152 * g + 0.0722 * b
            }
            const contrast = (a, b) => {
              const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y)
              return (high + 0.05) / (low + 0.05)
            }
            const poor = []
            const need = (a, b, least) => {
              if (contrast(a, b) < least) poor.push(a + " on " + b + ": " + contrast(a, b).toFixed(2))
            }
            for (const ground of ["page", "surface", "raised", "accent-soft"]) {
              for (const ink of ["text", "dim"]) need(ink, ground, 4.5)
            }
            for (const ground of ["page", "surface"]) {
              for (const ink of ["accent", "bad", "warn", "good", "info"]) need(ink, ground, 4.5)
              for (let i = 0; i < 12; i++) need("line-" + i, ground, 3)
            }
            for (const kind of ["bad", "warn", "info", "fault"]) need(kind, kind + "-soft", 4.5)
            probe.remove()
            return poor
          })()`
        )
        assert.deepStrictEqual(poor, [], colorScheme)
      }
      const nameless = yield* evaluate<ReadonlyArray<string>>(
        page,
        `[...document.querySelectorAll("button:not([hidden]), input, select, [role=tabpanel], [role=listbox], canvas[role=img], dialog")]
          .filter((e) => !(e.getAttribute("aria-label") ?? e.getAttribute("aria-labelledby") ?? e.textContent.trim())
            && !e.closest("label"))
          .map((e) => e.outerHTML.slice(0, 120))`
      )
      assert.deepStrictEqual(nameless, [])
      assert.deepStrictEqual(errors, [])
    }))
})
