/**
 * Takes the screenshots of the page for docs/ (`npm run screenshots`), or for the folder that is the first argument.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { Page } from "playwright-core"
import { act, browser, context, serve } from "./page.js"
import { scene } from "./pageScene.js"

const docs = fileURLToPath(new URL("../../docs", import.meta.url))
const folder = process.argv[2] ?? docs

const program = Effect.gen(function*() {
  const server = yield* serve()
  yield* server.update(scene(server.now()))
  const chromium = yield* browser
  const take = (name: string, options: Parameters<typeof context>[1], prepare: (page: Page) => Promise<void>) =>
    Effect.scoped(Effect.gen(function*() {
      const opened = yield* context(chromium, options)
      const page = yield* act(() => opened.newPage())
      yield* act(() => page.goto(server.url))
      yield* act(() => page.getByRole("option").first().waitFor())
      yield* act(() => prepare(page))
      yield* act(() => page.screenshot({ path: join(folder, `intake-${name}.png`) }))
    }))
  const choose = (name: string) => (page: Page) => page.getByRole("option", { name }).click()
  yield* take("light", { colorScheme: "light" }, choose("orders.duration"))
  yield* take("dark", { colorScheme: "dark" }, async (page) => {
    await choose("orders.placed")(page)
    await page.getByLabel("Split by").selectOption({ label: "shop (3)" })
  })
  yield* take(
    "phone",
    { colorScheme: "light", viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 },
    choose("orders.duration")
  )
  yield* take("payloads", { colorScheme: "light" }, async (page) => {
    await page.getByRole("tab", { name: "Payloads" }).click()
    await page.getByRole("button", { name: /^Dropped/ }).click()
    await page.locator(".summary").first().click()
  })
  if (folder !== docs) {
    yield* take("phone-list", { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 }, async () => {})
    yield* take("phone-payloads", { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 }, async (page) => {
      await page.getByRole("tab", { name: "Payloads" }).click()
      await page.locator(".summary").nth(30).click()
    })
    yield* take("events", { colorScheme: "dark" }, async (page) => page.getByRole("tab", { name: "Events" }).click())
    yield* take(
      "payloads-dark",
      { colorScheme: "dark" },
      async (page) => page.getByRole("tab", { name: "Payloads" }).click()
    )
    yield* take("help", {}, async (page) => page.keyboard.press("?"))
  }
})

NodeRuntime.runMain(Effect.scoped(program))
