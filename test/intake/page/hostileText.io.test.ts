import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { emptyHealth } from "../../../src/intake/feedProtocol.js"
import { act, evaluate, names, until } from "../../support/page.js"
import { assertFitsWidth, describePage, openScripted, postSeries, requestOf } from "../../support/pageTests.js"

const hostile: ReadonlyArray<string> = [
  "<img src=x onerror=\"document.title='owned'\">",
  "</script><script>document.title='owned'</script>",
  "\u202egnp.exe\u202c",
  "zero\u200bwidth\u2060joined\ufeff",
  "line\nbreak\ttab\u0000nul\u2028separator",
  "🙂👩‍👩‍👧 ü 漢字 שלום",
  "x".repeat(200),
  `${"Z\u0351\u036b\u0343\u036a".repeat(30)}algo`,
  "__proto__",
  "constructor",
  "{{style}}",
  "%00%ff&amp;&#39;'\"`${1}"
]

describePage("page with hostile text", (it) => {
  it.scoped("shows hostile names, tags and texts as text, and runs no script in them", () =>
    Effect.gen(function*() {
      const { page, server, errors } = yield* openScripted()
      for (const text of hostile) {
        yield* postSeries(server, text, "gauge", [[20, 1]], [text, `${text}:${text}`, `k:${text}`])
      }
      yield* server.post("/api/v1/events", {
        title: hostile[0],
        text: hostile.join("\n"),
        tags: hostile,
        alert_type: hostile[1]
      })
      yield* server.update({
        requests: hostile.map((text, i) =>
          requestOf(900 + i, {
            target: text,
            encoding: text,
            userAgent: text,
            fault: text,
            reason: text,
            verdicts: [{ outcome: "refused", code: text, message: text, metric: text }]
          })
        ),
        health: { ...emptyHealth, verdicts: Object.fromEntries(hostile.map((text) => [text, 1])) }
      })
      yield* until(page, `document.querySelectorAll(".row:not([hidden])").length === ${hostile.length}`)
      const shownNames = yield* names(page)
      for (
        const text of [
          hostile[0]!,
          hostile[1]!,
          "\\u{202e}gnp.exe\\u{202c}",
          "zero\\u{200b}width\\u{2060}joined\\u{feff}"
        ]
      ) {
        assert.include(shownNames, text)
      }
      for (let i = 0; i < hostile.length; i++) {
        yield* act(() => page.locator(".row:not([hidden])").nth(i).click())
        const keys = yield* evaluate<ReadonlyArray<string>>(
          page,
          `[...document.querySelectorAll("#split option")].map((option) => option.value)`
        )
        yield* act(() => page.getByLabel("Split by").selectOption(keys.at(-1)!))
      }
      yield* assertFitsWidth(page)
      yield* act(() => page.getByRole("tab", { name: "Payloads" }).click())
      for (let i = 0; i < hostile.length; i++) yield* act(() => page.locator(".summary").nth(i).click())
      yield* assertFitsWidth(page)
      yield* act(() => page.getByRole("tab", { name: "Events" }).click())
      yield* act(() => page.locator(".event").waitFor())
      yield* assertFitsWidth(page)
      // No element was created from the texts.
      const created = yield* evaluate<ReadonlyArray<string>>(
        page,
        `[...document.querySelectorAll("img, iframe, object, embed, script:not(body > script), [onerror], [onclick], style:not(head > style)")]
          .map((element) => element.outerHTML.slice(0, 100))`
      )
      assert.deepStrictEqual(created, [])
      assert.strictEqual(yield* act(() => page.title()), "Local intake")
      assert.deepStrictEqual(errors, [])
    }))
})
