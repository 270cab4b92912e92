/**
 * Takes the screenshots of the page for docs/ (`npm run screenshots`), or for the folder that is the first argument.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { Page } from "playwright-core"
import { act, browser, context, serve, serveIntake } from "./page.js"
import { scene } from "./pageScene.js"

const docs = fileURLToPath(new URL("../../docs", import.meta.url))
const folder = process.argv[2] ?? docs

/** Headers and body of the requests in the log. */
const sampleRequest = {
  headers: {
    "content-type": "application/json",
    "dd-api-key": "<redacted>",
    "content-encoding": "deflate",
    "user-agent": "effect-threadstats/0.1.0 (node v22.11.0)",
    host: "127.0.0.1:8127"
  },
  body: {
    series: [{
      metric: "batch.imported",
      type: "rate",
      interval: 10,
      host: "web-1",
      tags: ["shop:eu", "env:dev"],
      points: [[1_790_000_000, 1.2]]
    }]
  }
}

const program = Effect.gen(function*() {
  const server = yield* serve({ request: sampleRequest })
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
    await page.locator(".body").waitFor()
  })
  if (folder !== docs) {
    yield* take("phone-list", { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 }, async () => {})
    yield* take("phone-payloads", { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 }, async (page) => {
      await page.getByRole("tab", { name: "Payloads" }).click()
      await page.locator(".summary").first().waitFor()
    })
    yield* take("events", { colorScheme: "dark" }, async (page) => page.getByRole("tab", { name: "Events" }).click())
    yield* take(
      "payloads-dark",
      { colorScheme: "dark" },
      async (page) => page.getByRole("tab", { name: "Payloads" }).click()
    )
    const first = yield* serveIntake()
    const takeFirst = (name: string, options: Parameters<typeof context>[1], prepare: (page: Page) => Promise<void>) =>
      Effect.scoped(Effect.gen(function*() {
        const opened = yield* context(chromium, options)
        const page = yield* act(() => opened.newPage())
        yield* act(() => page.goto(first.url))
        yield* act(() => page.getByText("Live", { exact: true }).waitFor())
        yield* act(() => prepare(page))
        yield* act(() => page.screenshot({ path: join(folder, `intake-${name}.png`) }))
      }))
    yield* takeFirst("empty", { colorScheme: "light" }, async () => {})
    const send = (value: number, ago: number) =>
      first.post("/api/v1/series", {
        series: [{
          metric: "shop.checkout.orders.placed.by.country",
          type: "rate",
          interval: 10,
          host: "web-1",
          tags: ["Shop:EU", "env:dev", "team:check out"],
          points: [[Math.floor((first.now() - ago) / 10) * 10, value]]
        }]
      })
    yield* send(0.1, 20)
    yield* first.post("/api/v1/distribution_points", {
      series: [{ metric: "shop.checkout.orders.value", points: [[first.now() - 20, [12.5]]] }]
    })
    yield* takeFirst("first", { colorScheme: "light" }, (page) => page.getByRole("option").first().click())
    yield* takeFirst("first-distribution", {}, (page) => page.locator(".row").nth(1).click())
    yield* send(0.7, 20)
    yield* takeFirst(
      "overwritten",
      { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 },
      (page) => page.getByRole("option").first().click()
    )
    yield* takeFirst("first-payload", {}, async (page) => {
      await page.getByRole("tab", { name: "Payloads" }).click()
      await page.locator(".summary").first().click()
      await page.locator(".body").waitFor()
    })
    yield* take("help", {}, async (page) => page.keyboard.press("?"))
  }
})

NodeRuntime.runMain(Effect.scoped(program))
