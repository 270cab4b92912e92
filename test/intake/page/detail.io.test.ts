import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { act, inked, legend, option, until } from "../../support/page.js"
import { describePage, open, postDistribution, postSeries } from "../../support/pageTests.js"

describePage("detail of a metric", (it) => {
  it.scoped("plots the chosen metric, and new points as they arrive", () =>
    Effect.gen(function*() {
      const { page, server, errors } = yield* open()
      yield* postSeries(server, "a", "gauge", [[100, 1], [90, 1], [80, 1]])
      yield* postSeries(server, "b", "gauge", [[100, 5], [90, 9], [80, 2], [70, 4]])
      yield* act(() => option(page, "b").click())
      yield* act(() => page.getByRole("heading", { name: "b", exact: true }).waitFor())
      yield* until(page, `document.querySelector(".uplot canvas")`)
      const before = yield* inked(page, ".uplot canvas")
      assert.isAbove(before, 1000)
      assert.deepStrictEqual((yield* legend(page)).map((cells) => cells.slice(1)), [["4", "2", "5", "9"]])
      yield* postSeries(server, "b", "gauge", [[60, 30], [50, 2], [40, 28]])
      yield* until(page, `document.querySelector(".legend td:last-child")?.textContent === "30"`)
      assert.notStrictEqual(yield* inked(page, ".uplot canvas"), before)
      assert.deepStrictEqual(errors, [])
    }))

  it.scoped("shows the values at the cursor, zooms in by dragging and out by a double click", () =>
    Effect.gen(function*() {
      const { page, server, errors } = yield* open()
      yield* postSeries(server, "a", "gauge", Array.from({ length: 80 }, (_, i) => [i * 10 + 10, i] as const))
      yield* act(() => page.locator(".u-over").waitFor())
      const box = (yield* act(() => page.locator(".u-over").boundingBox()))!
      const y = box.y + box.height / 2
      yield* act(() => page.mouse.move(box.x + box.width / 2, y))
      yield* until(page, `document.querySelector(".legend thead th:nth-child(2)")?.textContent.includes(":")`)
      const [[, shown]] = (yield* legend(page)) as [ReadonlyArray<string>]
      assert.approximately(Number(shown), 40, 3)
      yield* act(async () => {
        await page.mouse.down()
        await page.mouse.move(box.x + box.width * 0.6, y, { steps: 5 })
        await page.mouse.up()
      })
      yield* act(() => page.getByRole("button", { name: "Reset zoom" }).waitFor())
      yield* act(() => page.mouse.move(0, 0))
      yield* until(page, `Number(document.querySelector(".legend td:last-child")?.textContent) < 50`)
      yield* act(() => page.mouse.dblclick(box.x + box.width / 2, y))
      yield* act(() => page.getByRole("button", { name: "Reset zoom" }).waitFor({ state: "hidden" }))
      yield* until(page, `document.querySelector(".legend td:last-child")?.textContent === "79"`)
      assert.deepStrictEqual(errors, [])
    }))

  it.scoped("follows the points of a metric until the reader chooses a time range, which can be empty", () =>
    Effect.gen(function*() {
      const { page, server, errors } = yield* open()
      yield* postSeries(server, "a", "count", [[3000, 1], [2990, 2]])
      yield* until(page, `document.querySelector(".legend td:last-child")?.textContent === "2"`)
      yield* act(() => page.getByRole("button", { name: "15 min", exact: true }).click())
      yield* act(() => page.getByText(/^No points in this time range/).waitFor())
      yield* act(() => page.getByRole("button", { name: "All", exact: true }).click())
      yield* act(() => page.getByText(/^No points in this time range/).waitFor({ state: "hidden" }))
      yield* until(page, `document.querySelector(".legend td:last-child")?.textContent === "2"`)
      assert.deepStrictEqual(errors, [])
    }))

  it.scoped("splits a metric by a tag, names the aggregation, and hides lines on request", () =>
    Effect.gen(function*() {
      const { page, server, errors } = yield* open()
      for (const [i, shop] of ["us", "eu", "jp"].entries()) {
        for (const status of ["ok", "failed"]) {
          yield* postSeries(server, "orders", "count", [[40, 10 ** i]], [`shop:${shop}`, `status:${status}`])
        }
      }
      yield* act(() => page.getByText("Sum of 6 series: total of every 10 s").waitFor())
      yield* until(page, `document.querySelector(".legend td")?.textContent === "222"`)
      yield* act(() => page.getByLabel("Split by").selectOption({ label: "shop (3)" }))
      yield* act(() => page.getByText("Sum of the series by shop: total of every 10 s").waitFor())
      assert.deepStrictEqual((yield* legend(page)).map(([name, last]) => [name, last]), [
        ["eu", "20"],
        ["jp", "200"],
        ["us", "2"]
      ])
      yield* act(() => page.getByRole("button", { name: "jp" }).click())
      yield* until(page, `document.querySelectorAll(".legend [data-hidden]").length === 1`)
      yield* act(() => page.getByLabel("Split by").selectOption({ label: "nothing" }))
      yield* until(page, `document.querySelectorAll(".legend tbody tr").length === 1`)
      assert.deepStrictEqual(errors, [])
    }))

  it.scoped("shows percentiles and a histogram of a distribution, and one statistic when it is split", () =>
    Effect.gen(function*() {
      const { page, server, errors } = yield* open()
      const values = Array.from({ length: 1000 }, (_, i) => i + 1)
      yield* postDistribution(server, "d", values.slice(0, 500), ["half:low"])
      yield* postDistribution(server, "d", values.slice(500), ["half:high"])
      yield* until(page, `document.querySelectorAll(".legend tbody tr").length === 6`)
      yield* until(page, `document.querySelector(".legend tbody tr:last-child td")?.textContent === "1,000"`)
      const rows = yield* legend(page)
      assert.deepStrictEqual(rows.map(([name]) => name), ["min", "p50", "p75", "p95", "p99", "max"])
      const [min, ...others] = rows.map(([, last]) => Number(last!.replace(",", "")))
      assert.strictEqual(min, 1)
      for (const [i, exact] of [500, 750, 950, 990, 1000].entries()) {
        assert.approximately(others[i]!, exact, exact * 0.02)
      }
      assert.include(yield* act(() => page.locator(".histogram-box h3").innerText()), "1,000, mean 500.5, sum 500.5k")
      assert.isAbove(yield* inked(page, ".histogram"), 5000)
      assert.match(
        (yield* act(() => page.locator(".histogram").getAttribute("aria-label")))!,
        /^Histogram from 1 to 1,000/
      )
      yield* act(() => page.getByLabel("Split by").selectOption({ label: "half (2)" }))
      yield* act(() => page.getByLabel("Statistic").selectOption("max"))
      yield* until(page, `document.querySelector(".legend tbody td")?.textContent === "1,000"`)
      assert.deepStrictEqual((yield* legend(page)).map(([name, last]) => [name, last]), [["high", "1,000"], [
        "low",
        "500"
      ]])
      assert.deepStrictEqual(errors, [])
    }))

  it.scoped("shows the only point of a rate as a dot, with its value per second", () =>
    Effect.gen(function*() {
      const { page, server, errors } = yield* open()
      yield* postSeries(server, "a", "gauge", [])
      yield* postSeries(server, "orders.placed", "rate", [[20, 0.1]])
      yield* until(page, `document.querySelector(".row .value")?.textContent === "0.1"`)
      assert.strictEqual(yield* act(() => page.locator(".row .unit").first().innerText()), "/s")
      yield* until(page, `document.querySelector(".legend td")?.textContent === "0.1 /s"`)
      assert.deepStrictEqual(yield* act(() => page.locator(".series-value").allInnerTexts()), ["0.1 /s"])
      // Without the dot and its value the plot has the lines of its grid alone, which are gray.
      yield* until(
        page,
        `(() => {
          const canvas = document.querySelector(".uplot canvas")
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
          let colored = 0
          for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 0 && data[i + 1] - data[i] > 60) colored++
          return colored > 10
        })()`
      )
      assert.deepStrictEqual(errors, [])
    }))

  it.scoped("shows overwritten values, and tags as Datadog keeps them beside the sent form", () =>
    Effect.gen(function*() {
      const { page, server, errors } = yield* open()
      for (const value of [1, 2]) yield* postSeries(server, "a", "count", [[20, value]], ["Shop:EU", "env:dev"])
      yield* act(() => page.locator(".verdicts .badge.overwritten").first().waitFor())
      assert.match(yield* act(() => page.locator("#detail .verdicts").innerText()), /Overwritten[^]*2 replaces 1/)
      const tags = yield* act(() => page.locator(".series-tags .tag").allInnerTexts())
      assert.deepStrictEqual(tags.map((tag) => tag.replace(/\s+/g, " ")), ["shop:eu sent as Shop:EU", "env:dev"])
      yield* act(() => page.getByLabel("Split by").selectOption({ label: "shop (1)" }))
      yield* until(page, `document.querySelector(".legend tbody button")?.textContent === "eu"`)
      assert.deepStrictEqual(errors, [])
    }))
})
