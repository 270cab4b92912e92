import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { act, evaluate, html, names, option, until } from "../../support/page.js"
import { describePage, open, openScripted, postSeries } from "../../support/pageTests.js"

describePage("page", (it) => {
  it.scoped("shows the settings for clients while nothing has arrived, and copies them", () =>
    Effect.gen(function*() {
      const { context, page, server, errors } = yield* open()
      yield* act(() => context.grantPermissions(["clipboard-read", "clipboard-write"]))
      yield* act(() => page.getByText("Nothing was sent yet").first().waitFor())
      assert.strictEqual(
        yield* act(() => page.locator("#host-value").innerText()),
        `DATADOG_HOST=${server.url}\nDD_API_KEY=local`
      )
      yield* act(() => page.locator("[data-copy=dogstatsd-value]").click())
      yield* act(() => page.getByRole("button", { name: "Copied" }).waitFor())
      const copied = yield* evaluate<string>(page, "navigator.clipboard.readText()")
      assert.strictEqual(copied, `DD_DOGSTATSD_URL=${server.dogstatsd}`)
      const example = yield* act(() => page.locator("#example").innerText())
      assert.match(example, /^import .* from "effect\/Effect"\nimport .* from "effect-threadstats\/ThreadStats"\n/)
      assert.include(example, "Effect.provide(ThreadStats.layer)")
      yield* postSeries(server, "first", "count", [[5, 1]])
      yield* act(() => option(page, "first").waitFor())
      assert.isFalse(yield* act(() => page.locator("#empty").isVisible()))
      assert.deepStrictEqual(errors, [])
    }))

  it.scoped("counts updates while it is paused, and shows them when it resumes", () =>
    Effect.gen(function*() {
      const { page, server, errors } = yield* openScripted()
      yield* postSeries(server, "a", "gauge", [[20, 1]])
      yield* act(() => option(page, "a").getByText("1", { exact: true }).waitFor())
      yield* act(() => page.keyboard.press(" "))
      yield* act(() => page.getByRole("button", { name: "Resume" }).waitFor())
      yield* postSeries(server, "a", "gauge", [[10, 2]])
      yield* act(() => page.getByText(/^Paused at .* 1 update since$/).waitFor())
      yield* postSeries(server, "b", "gauge", [[10, 3]])
      yield* act(() => page.getByText(/^Paused at .* 2 updates since$/).waitFor())
      assert.deepStrictEqual(yield* names(page), ["a"])
      assert.strictEqual(yield* act(() => page.locator(".row .value").first().innerText()), "1")
      yield* act(() => page.keyboard.press(" "))
      yield* act(() => option(page, "b").waitFor())
      yield* act(() => option(page, "a").getByText("2", { exact: true }).waitFor())
      assert.deepStrictEqual(errors, [])
    }))

  it.scoped("clears the intake when the button is pressed", () =>
    Effect.gen(function*() {
      const { page, server, errors } = yield* open()
      yield* postSeries(server, "a", "gauge", [[20, 1]])
      yield* act(() => option(page, "a").waitFor())
      yield* act(() => page.getByRole("button", { name: "Clear" }).click())
      yield* act(() => page.locator("#empty").waitFor())
      assert.deepStrictEqual(yield* names(page), [])
      yield* postSeries(server, "b", "gauge", [[20, 1]])
      yield* act(() => option(page, "b").waitFor())
      assert.deepStrictEqual(yield* names(page), ["b"])
      assert.deepStrictEqual(errors, [])
    }))

  it.scoped("moves, opens and closes everything by keys", () =>
    Effect.gen(function*() {
      const { page, server, errors } = yield* open()
      for (const name of ["a", "b", "c"]) yield* postSeries(server, name, "gauge", [[20, 1]])
      yield* act(() => option(page, "c").waitFor())
      const chosen = () => evaluate<string>(page, `document.querySelector("[aria-selected=true] .name")?.textContent`)
      const press = (key: string) => act(() => page.keyboard.press(key))
      assert.strictEqual(yield* chosen(), "a")
      yield* press("j")
      yield* press("j")
      assert.strictEqual(yield* chosen(), "c")
      yield* press("ArrowUp")
      assert.strictEqual(yield* chosen(), "b")
      yield* press("k")
      assert.strictEqual(yield* chosen(), "a")
      yield* press("End")
      assert.strictEqual(yield* chosen(), "c")
      yield* press("Enter")
      yield* until(page, `document.activeElement.id === "detail"`)
      yield* press("Escape")
      yield* until(page, `document.activeElement.id === "list"`)
      const active = yield* evaluate<string>(
        page,
        `document.getElementById(document.activeElement.getAttribute("aria-activedescendant")).querySelector(".name").textContent`
      )
      assert.strictEqual(active, "c")
      yield* press("?")
      yield* act(() => page.getByRole("dialog").waitFor())
      yield* press("Escape")
      yield* act(() => page.getByRole("dialog").waitFor({ state: "hidden" }))
      yield* press("2")
      yield* act(() => page.getByRole("tab", { name: "Payloads", selected: true }).waitFor())
      yield* press("3")
      yield* act(() => page.getByRole("tab", { name: "Events", selected: true }).waitFor())
      yield* press("/")
      yield* until(page, `document.activeElement.id === "search"`)
      assert.deepStrictEqual(errors, [])
    }))

  it.scoped("restores the chosen metric from its address when it is reloaded", () =>
    Effect.gen(function*() {
      const { page, server, errors } = yield* open()
      yield* postSeries(server, "a", "gauge", [[20, 1]])
      yield* postSeries(server, "b/ü %", "gauge", [[20, 1]])
      yield* act(() => option(page, "b/ü %").click())
      yield* act(() => page.reload())
      yield* act(() => page.getByRole("heading", { name: "b/ü %" }).waitFor())
      assert.deepStrictEqual(errors, [])
    }))

  it.scoped("follows the color scheme of the system until another is chosen, and restores the choice", () =>
    Effect.gen(function*() {
      const { page, errors } = yield* open({ colorScheme: "dark" })
      const dark = () =>
        evaluate<boolean>(page, `parseInt(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]) < 100`)
      assert.isTrue(yield* dark())
      yield* act(() => page.emulateMedia({ colorScheme: "light" }))
      assert.isFalse(yield* dark())
      const toggle = (now: string) => act(() => page.getByRole("button", { name: `Colors: ${now}` }).click())
      yield* toggle("system")
      yield* act(() => page.emulateMedia({ colorScheme: "dark" }))
      assert.isFalse(yield* dark())
      yield* act(() => page.reload())
      assert.isFalse(yield* dark())
      yield* toggle("light")
      yield* act(() => page.emulateMedia({ colorScheme: "light" }))
      assert.isTrue(yield* dark())
      yield* toggle("dark")
      assert.isFalse(yield* dark())
      assert.deepStrictEqual(errors, [])
    }))

  it.scoped("loads nothing but the document and the feed", () =>
    Effect.gen(function*() {
      const { body } = html()
      assert.lengthOf(body.split("<script>"), 2)
      assert.lengthOf(body.split("<style>"), 2)
      assert.notMatch(body, /\b(src|href)\s*=\s*["']?(https?:|\/\/)/)
      assert.notInclude(body, "{{")
      const { context, page, errors } = yield* open()
      const paths: Array<string> = []
      context.on("request", (request) => paths.push(new URL(request.url()).pathname))
      yield* act(() => page.reload())
      yield* act(() => page.getByText("Live", { exact: true }).waitFor())
      assert.deepStrictEqual(
        paths.filter((path) => path !== "/" && path !== "/feed" && !path.startsWith("image/")),
        []
      )
      assert.deepStrictEqual(errors, [])
    }))
})
