/** The page of the command: the command runs in a process of its own, programs send to it, and a browser shows the page. */
import { assert } from "@effect/vitest"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { copyFileSync, mkdirSync } from "node:fs"
import { createServer } from "node:net"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { bundle, type Child, node } from "../../support/childProcess.js"
import { act, evaluate, inked, legend, names, openPage, option, until } from "../../support/page.js"
import { Chromium, describeWith, layerChromium } from "../../support/pageTests.js"

class Command extends Context.Tag("test/Command")<Command, string>() {}

/** The path of the bundled command, with the page in the folder where the command reads it. */
const layerCommand = Layer.effect(
  Command,
  Effect.promise(async () => {
    const bundled = await bundle("src/intake/cli/effect-threadstats.ts")
    // The tests of the command without the page use the folder of the bundle.
    const folder = join(dirname(bundled), "../../with-page/cli")
    mkdirSync(folder, { recursive: true })
    const command = join(folder, "effect-threadstats.mjs")
    copyFileSync(bundled, command)
    const page = fileURLToPath(new URL("../../../src/intake/intakePage.html", import.meta.url))
    copyFileSync(page, join(folder, "../intakePage.html"))
    return command
  })
)

interface Started {
  readonly child: Child
  readonly url: string
  readonly dogstatsd: string
}

const start = (...args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const child = yield* node([yield* Command, "intake", "--dogstatsd-port", "0", ...args], {})
    const [, url = ""] = (yield* child.line).split("=")
    assert.strictEqual(yield* child.line, "DD_API_KEY=local")
    const [, dogstatsd = ""] = (yield* child.line).split("=")
    return { child, url, dogstatsd } satisfies Started
  })

/** Runs a program with a client of its own, which delivers everything before it ends. */
const send = (
  env: Record<string, string>,
  program: Effect.Effect<void, never, ThreadStats.ThreadStats>,
  client: typeof ThreadStats.layerNode = ThreadStats.layerNode
) =>
  program.pipe(
    Effect.provide(client),
    Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(env)))),
    Effect.orDie
  )

/** A free port below the range from which Linux chooses ports. */
const freePort: Effect.Effect<number> = Effect.async<number>((resume) => {
  const port = 20_000 + Math.floor(Math.random() * 10_000)
  const server = createServer()
  server.once("error", () => resume(freePort))
  server.listen(port, "127.0.0.1", () => server.close(() => resume(Effect.succeed(port))))
})

const over = ({ url }: Started) => ({ DATADOG_HOST: url, DD_API_KEY: "local" })

const raw = (url: string, path: string, body: unknown) =>
  Effect.promise(() =>
    fetch(url + path, { method: "POST", headers: { "dd-api-key": "local" }, body: JSON.stringify(body) }).then(
      ({ status }) => status
    )
  )

const hostile: ReadonlyArray<string> = [
  "<img src=x onerror=\"document.title='owned'\">",
  "</script><script>document.title='owned'</script>",
  "\u202egnp.exe\u202c",
  "__proto__",
  "x".repeat(150),
  "🙂 ü 漢字 שלום"
]

describeWith("page of the command", Layer.merge(layerChromium, layerCommand), (it) => {
  it.scoped("shows metrics and events that clients send over HTTP and as datagrams", () =>
    Effect.gen(function*() {
      const started = yield* start("--port", "0")
      const { page, errors } = yield* openPage(yield* Chromium, started.url)
      yield* send(
        over(started),
        Effect.gen(function*() {
          for (const shop of ["eu", "us"]) {
            yield* ThreadStats.gauge("queue.depth", shop === "eu" ? 7 : 9, { tags: { shop } })
          }
          for (let i = 1; i <= 100; i++) yield* ThreadStats.distribution("orders.value", i)
          yield* ThreadStats.event("Deployed 4.2", "by hand", { alertType: "warning" })
        })
      )
      yield* send(
        { DD_DOGSTATSD_URL: started.dogstatsd },
        ThreadStats.gauge("from.datagrams", 42, { tags: { a: "b" } }),
        ThreadStats.layerDogStatsD
      )
      yield* act(() => option(page, "from.datagrams").getByText("42", { exact: true }).waitFor())
      assert.deepStrictEqual(yield* names(page), ["from.datagrams", "orders.value", "queue.depth"])

      yield* act(() => option(page, "queue.depth").click())
      yield* act(() => page.getByLabel("Split by").selectOption({ label: "shop (2)" }))
      yield* until(page, `document.querySelectorAll(".legend tbody tr").length === 2`)
      assert.deepStrictEqual((yield* legend(page)).map(([name, last]) => [name, last]), [["eu", "7"], ["us", "9"]])
      assert.isAbove(yield* inked(page, ".uplot canvas"), 1000)

      yield* act(() => option(page, "orders.value").click())
      yield* until(page, `document.querySelector(".legend tbody tr:last-child td")?.textContent === "100"`)
      assert.include(yield* act(() => page.locator(".histogram-box h3").innerText()), "100, mean 50.50, sum 5,050")

      yield* act(() => page.getByRole("tab", { name: "Payloads" }).click())
      yield* act(() => page.getByText("POST /api/v1/distribution_points").waitFor())
      yield* act(() => page.getByText("UDP", { exact: true }).first().waitFor())
      yield* act(() => page.getByRole("tab", { name: "Events" }).click())
      assert.include(yield* act(() => page.locator(".event").innerText()), "Deployed 4.2")
      assert.deepStrictEqual(errors, [])
    }))

  it.scoped("shows verdicts and injected faults of requests", () =>
    Effect.gen(function*() {
      const { url } = yield* start("--port", "0", "--fault", "status=503 path=/api/v1/validate")
      const { page, errors } = yield* openPage(yield* Chromium, url)
      const gauge = (metric: string, time: number) => ({ series: [{ metric, type: "gauge", points: [[time, 1]] }] })
      const now = Math.floor(Date.now() / 1000)
      assert.strictEqual(yield* raw(url, "/api/v1/series", gauge("good", now)), 202)
      assert.strictEqual(yield* raw(url, "/api/v1/series", gauge("old", now - 7200)), 202)
      assert.strictEqual(yield* raw(url, "/api/v1/series", gauge("re written", now)), 202)
      assert.strictEqual(yield* raw(url, "/api/v1/series", { series: 1 }), 400)
      const validated = yield* Effect.promise(() => fetch(`${url}/api/v1/validate`, { headers: { "dd-api-key": "k" } }))
      assert.strictEqual(validated.status, 503)
      yield* act(() => page.keyboard.press("2"))
      yield* until(page, `document.querySelectorAll(".marks").length === 5`)
      const marks = yield* evaluate<ReadonlyArray<string>>(
        page,
        `[...document.querySelectorAll(".marks")].map((e) => e.innerText.replaceAll("\\n", " "))`
      )
      assert.deepStrictEqual([...marks].sort(), ["accepted", "dropped", "refused", "refused fault", "rewritten"])
      yield* act(() => page.locator("#codes").getByRole("button", { name: /TooOld/ }).click())
      yield* act(() => page.locator(".summary").click())
      const row = yield* act(() => page.locator("#log > li:not([hidden])").first().innerText())
      assert.include(row, "TooOld")
      assert.include(row, "1 of 1 points of \"old\" not within")
      assert.deepStrictEqual(errors, [])
    }))

  it.scoped("shows hostile names and tags as text, from clients and from raw requests", () =>
    Effect.gen(function*() {
      const started = yield* start("--port", "0")
      const { url } = started
      const { page, errors } = yield* openPage(yield* Chromium, url)
      yield* send(
        over(started),
        Effect.forEach(hostile, (text) => ThreadStats.gauge(`ours.${text}`, 1, { tags: [text, `k:${text}`] }), {
          discard: true
        })
      )
      const now = Math.floor(Date.now() / 1000)
      for (const text of hostile) {
        const gauge = { metric: `raw.${text}`, type: "gauge", points: [[now, 1]], tags: [text, `k:${text}`] }
        assert.strictEqual(yield* raw(url, "/api/v1/series", { series: [gauge] }), 202)
      }
      const event = { title: hostile[0], text: hostile.join("\n"), tags: hostile, date_happened: now }
      assert.strictEqual(yield* raw(url, "/api/v1/events", event), 202)
      yield* until(page, `document.getElementById("count-events").textContent === "1"`)
      const shownNames = yield* names(page)
      assert.isAtLeast(shownNames.length, hostile.length)
      for (let i = 0; i < shownNames.length; i++) {
        yield* act(() => page.locator(".row:not([hidden])").nth(i).click())
      }
      yield* act(() => page.getByRole("tab", { name: "Payloads" }).click())
      for (let i = 0; i < hostile.length; i++) yield* act(() => page.locator(".summary").nth(i).click())
      yield* act(() => page.getByRole("tab", { name: "Events" }).click())
      assert.include(yield* act(() => page.locator(".event").innerText()), hostile[0]!)
      const created = yield* evaluate<number>(
        page,
        `document.querySelectorAll("img, script:not(body > script)").length`
      )
      assert.strictEqual(created, 0)
      assert.strictEqual(yield* act(() => page.title()), "Local intake")
      assert.deepStrictEqual(errors, [])
    }))

  it.scoped("pauses, clears, and connects again when the command restarts", () =>
    Effect.gen(function*() {
      // The command restarts on this port. The system gives no port of this range to other processes by itself.
      const first = yield* start("--port", String(yield* freePort))
      const { page, errors } = yield* openPage(yield* Chromium, first.url)
      const gauge = (name: string) => send(over(first), ThreadStats.gauge(name, 1))
      yield* gauge("a")
      yield* act(() => option(page, "a").waitFor())
      yield* act(() => page.keyboard.press(" "))
      yield* gauge("b")
      yield* act(() => page.getByText(/^Paused at .* since$/).waitFor())
      assert.deepStrictEqual(yield* names(page), ["a"])
      yield* act(() => page.keyboard.press(" "))
      yield* act(() => option(page, "b").waitFor())
      yield* act(() => page.keyboard.press("/"))
      yield* act(() => page.keyboard.type("b"))
      assert.deepStrictEqual(yield* names(page), ["b"])
      yield* act(() => page.keyboard.press("Escape"))
      yield* act(() => page.getByRole("button", { name: "Clear" }).click())
      yield* act(() => page.locator("#empty").waitFor())
      const view = yield* Effect.promise(() => fetch(first.url).then((response) => response.json()))
      assert.deepInclude(view, { series: [], requests: [] })

      yield* gauge("before")
      yield* act(() => option(page, "before").waitFor())
      yield* first.child.kill("SIGTERM")
      yield* first.child.ended
      yield* act(() => page.getByText(/^Connection lost at/).waitFor())
      const second = yield* start("--port", new URL(first.url).port)
      assert.strictEqual(second.url, first.url)
      yield* act(() => page.getByText(/^The intake restarted/).waitFor())
      yield* gauge("after")
      yield* act(() => option(page, "after").waitFor())
      assert.deepStrictEqual(yield* names(page), ["after"])
      assert.deepStrictEqual(errors, [])
    }))

  it.scoped("paints a hundred metrics within the width of a phone, from the document and the feed alone", () =>
    Effect.gen(function*() {
      const started = yield* start("--port", "0")
      yield* send(
        over(started),
        Effect.forEach(Array.from({ length: 100 }, (_, i) => i), (i) => ThreadStats.gauge(`metric.${i}`, i), {
          discard: true
        })
      )
      const { context, errors, page } = yield* openPage(yield* Chromium, started.url, {
        viewport: { width: 390, height: 844 },
        colorScheme: "dark"
      })
      yield* until(page, `document.getElementById("count-metrics").textContent === "100"`)
      const width = yield* evaluate<number>(page, `document.documentElement.scrollWidth`)
      assert.isAtMost(width, 390)
      const paths = new Set<string>()
      context.on("request", (request) => paths.add(new URL(request.url()).pathname))
      yield* act(() => page.reload())
      yield* until(page, `performance.getEntriesByName("first-contentful-paint").length === 1`)
      yield* until(page, `document.getElementById("count-metrics").textContent === "100"`)
      paths.delete("/favicon.ico")
      assert.deepStrictEqual([...paths].filter((path) => !path.startsWith("image/")), ["/", "/feed"])
      assert.deepStrictEqual(errors, [])
    }))
})
