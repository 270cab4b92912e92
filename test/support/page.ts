/**
 * The page of the local intake in a browser, the intake itself, and a server in its place that tests have in their hands: it
 * tells the page whatever a test wants told, which may be what no intake would.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { createHash } from "node:crypto"
import { existsSync, readFileSync } from "node:fs"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"
import { type Browser, type BrowserContext, chromium, type Locator, type Page } from "playwright-core"
import {
  gamma,
  type Hello,
  type Messages,
  noHealth,
  type SeriesRow,
  type Update
} from "../../src/internal/intakeFeed.js"

const executable = [
  process.env["CHROMIUM_PATH"] ?? "",
  ...(process.env["PATH"] ?? "").split(delimiter).flatMap((folder) =>
    ["chromium", "chromium-browser", "google-chrome"].map((name) => join(folder, name))
  )
].find((path) => path !== "" && existsSync(path))

export const installed: boolean = executable !== undefined

export const notInstalled = "chromium is not installed (Debian package chromium, or CHROMIUM_PATH); skipped"

export class PageError extends Data.TaggedError("PageError")<{ readonly cause: unknown }> {
  override readonly message = `The browser did not do it: ${this.cause}`
}

/** What a browser does, as an effect. */
export const act = <A>(run: () => Promise<A>): Effect.Effect<A, PageError> =>
  Effect.tryPromise({ try: run, catch: (cause) => new PageError({ cause }) })

export const browser: Effect.Effect<Browser, PageError, Scope.Scope> = Effect.acquireRelease(
  act(() =>
    chromium.launch({
      executablePath: executable!,
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync"
      ]
    })
  ),
  (browser) => Effect.promise(() => browser.close())
)

export const context = (
  browser: Browser,
  options: Parameters<Browser["newContext"]>[0] = {}
): Effect.Effect<BrowserContext, PageError, Scope.Scope> =>
  Effect.acquireRelease(
    act(() =>
      browser.newContext({ viewport: { width: 1280, height: 860 }, timezoneId: "UTC", locale: "en-US", ...options })
    ),
    (context) => Effect.promise(() => context.close())
  )

/** Runs in the page; a text, as the tests are compiled without its types. */
export const evaluate = <A>(page: Page, script: string): Effect.Effect<A, PageError> =>
  act(() => page.evaluate<A>(script))

const file = fileURLToPath(new URL("../../src/internal/intakePage.html", import.meta.url))

/** Waits until it holds in the page. */
export const until = (page: Page, script: string): Effect.Effect<void, PageError> =>
  evaluate<boolean>(page, `Boolean(${script})`).pipe(
    Effect.repeat({ until: (holds) => holds, schedule: Schedule.spaced("30 millis") }),
    Effect.timeoutFail({
      duration: "10 seconds",
      onTimeout: () => new PageError({ cause: `it never held: ${script}` })
    })
  )

export const option = (page: Page, name: string): Locator => page.getByRole("option", { name, exact: false })

/** Of the metrics in the list. */
export const names = (page: Page): Effect.Effect<ReadonlyArray<string>, PageError> =>
  evaluate(page, `[...document.querySelectorAll(".row:not([hidden]) .name")].map((e) => e.textContent)`)

/** How many pixels of the plot have a colour. */
export const inked = (page: Page, selector: string): Effect.Effect<number, PageError> =>
  evaluate(
    page,
    `(() => {
      const canvas = document.querySelector(${JSON.stringify(selector)})
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
      let count = 0
      for (let i = 3; i < data.length; i += 4) if (data[i] > 0) count++
      return count
    })()`
  )

/** The cells of its rows. */
export const legend = (page: Page): Effect.Effect<ReadonlyArray<ReadonlyArray<string>>, PageError> =>
  evaluate(
    page,
    `[...document.querySelectorAll(".legend tbody tr")].map((row) => [...row.children].map((cell) => cell.textContent))`
  )

export interface Opened {
  readonly page: Page
  /** What went wrong in it, such as a script or a connection that the policy forbids. */
  readonly wrong: ReadonlyArray<string>
  readonly context: BrowserContext
}

/** The page at this address, once it is connected. */
export const openPage = (
  browser: Browser,
  url: string,
  options: Parameters<Browser["newContext"]>[0] = {}
): Effect.Effect<Opened, PageError, Scope.Scope> =>
  Effect.gen(function*() {
    const opened = yield* context(browser, options)
    const wrong: Array<string> = []
    yield* act(() => opened.exposeFunction("toldOfViolation", (what: string) => wrong.push(what)))
    yield* act(() =>
      opened.addInitScript(
        `addEventListener("securitypolicyviolation", (e) => toldOfViolation(e.violatedDirective + " " + e.blockedURI))`
      )
    )
    const page = yield* act(() => opened.newPage())
    page.setDefaultTimeout(15_000)
    page.on("pageerror", (error) => wrong.push(String(error)))
    page.on("console", (message) => {
      // A browser reports an intake that is not there, too.
      if (message.type() === "error" && !message.text().includes("net::")) wrong.push(message.text())
    })
    yield* act(() => page.goto(url))
    yield* act(() => page.getByText("Live", { exact: true }).waitFor())
    return { page, wrong, context: opened }
  })

/** The page, and the policy under which it has to work. */
export const html = (): { readonly body: string; readonly policy: string } => {
  const body = readFileSync(file, "utf8")
  const hash = (tag: string) => {
    const [, text] = body.split(`<${tag}>`)
    return `'sha256-${createHash("sha256").update(text!.split(`</${tag}>`)[0]!).digest("base64")}'`
  }
  return {
    body,
    policy: `default-src 'none'; script-src ${hash("script")}; style-src ${hash("style")}; connect-src 'self'; `
      + "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
  }
}

export interface Intake {
  readonly url: string
  /** Takes a payload, as Datadog does, or it is the test's mistake. */
  readonly post: (path: string, body: unknown) => Effect.Effect<void, PageError>
  /** Ends all connections, and takes none until {@link Intake.start}. */
  readonly stop: Effect.Effect<void>
  /** With nothing known, as another instance. */
  readonly start: Effect.Effect<void>
  /** In seconds. */
  readonly now: () => number
}

export interface Server extends Intake {
  readonly send: <Name extends keyof Messages>(name: Name, data: Messages[Name]) => Effect.Effect<void>
  /** What a page is told first; the current contents by default. */
  readonly update: (part: Partial<Update>) => Effect.Effect<void>
  /** How many pages listen. */
  readonly listeners: Effect.Effect<number>
}

const postTo = (url: string) => (path: string, body: unknown): Effect.Effect<void, PageError> =>
  act(async () => {
    const { status } = await fetch(url + path, {
      method: "POST",
      headers: { "dd-api-key": "key", "user-agent": "test" },
      body: JSON.stringify(body)
    })
    if (status !== 202) throw new Error(`${path} was answered ${status}`)
  })

/** The intake of this library, on a port that it keeps. */
export const serveIntake = (
  options: LocalIntake.Options = {}
): Effect.Effect<Intake & { readonly dogstatsd: string }, never, Scope.Scope> =>
  Effect.gen(function*() {
    let port = 0
    let close: Effect.Effect<void> = Effect.void
    const listen = Effect.gen(function*() {
      const server = createServer()
      const scope = yield* Scope.make()
      const services = yield* Layer.buildWithScope(
        LocalIntake.layer(options).pipe(
          Layer.provideMerge(LocalIntake.layerDatagrams({ port: 0 })),
          Layer.provide(NodeHttpServer.layer(() => server, { port, host: "127.0.0.1" })),
          Layer.orDie
        ),
        scope
      )
      port = (server.address() as AddressInfo).port
      close = Effect.gen(function*() {
        // A browser keeps its connections, and makes new ones for as long as it can.
        const cutting = setInterval(() => server.closeAllConnections(), 20)
        yield* Scope.close(scope, Exit.void)
        clearInterval(cutting)
      })
      return services
    })
    const stop = Effect.suspend(() => {
      const closing = close
      close = Effect.void
      return closing
    })
    yield* Effect.addFinalizer(() => stop)
    const services = yield* listen
    const { url } = Context.get(services, LocalIntake.LocalIntake)
    return {
      url,
      dogstatsd: Context.get(services, LocalIntake.Datagrams).url,
      post: postTo(url),
      stop,
      start: Effect.asVoid(listen),
      now: () => Math.floor(Date.now() / 1000)
    }
  })

export const noUpdate: Update = {
  now: 0,
  series: [],
  points: [],
  distributions: [],
  events: [],
  requests: [],
  health: noHealth,
  forgotten: []
}

/** The bins of some values. */
export const sketchOf = (
  series: number,
  timestamp: number,
  values: ReadonlyArray<number>
): Update["distributions"][number] => {
  const bins = (sign: number) => {
    const counts = new Map<number, number>()
    for (const value of values) {
      if (value * sign <= 0) continue
      const bin = Math.floor(Math.log(value * sign) / Math.log(gamma))
      counts.set(bin, (counts.get(bin) ?? 0) + 1)
    }
    return [...counts].sort(([a], [b]) => a - b)
  }
  return {
    series,
    timestamp,
    count: values.length,
    sum: values.reduce((a, b) => a + b, 0),
    min: Math.min(...values),
    max: Math.max(...values),
    zeros: values.filter((value) => value === 0).length,
    positive: bins(1),
    negative: bins(-1)
  }
}

interface Payload {
  readonly series?: ReadonlyArray<{
    readonly metric: string
    readonly type?: SeriesRow["kind"]
    readonly host?: string
    readonly interval?: number
    readonly tags?: ReadonlyArray<string>
    readonly points: ReadonlyArray<readonly [number, number | ReadonlyArray<number>]>
  }>
  readonly title?: string
  readonly text?: string
  readonly date_happened?: number
  readonly alert_type?: string
  readonly tags?: ReadonlyArray<string>
}

const bodyOf = async (request: IncomingMessage): Promise<string> => {
  const chunks: Array<Uint8Array> = []
  for await (const chunk of request) chunks.push(chunk as Uint8Array)
  return Buffer.concat(chunks).toString()
}

export const serve = (options: { readonly limits?: Hello["limits"] } = {}): Effect.Effect<Server, never, Scope.Scope> =>
  Effect.gen(function*() {
    let instance = 1
    let port = 0
    let contents: Update = noUpdate
    const ids = new Map<string, number>()
    const feeds = new Set<ServerResponse>()
    const now = () => Date.now()

    const write = (response: ServerResponse, name: string, data: unknown) =>
      response.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`)

    const tell = (part: Partial<Update>) => {
      const at = part.now ?? now()
      contents = {
        now: at,
        series: [...contents.series, ...part.series ?? []],
        points: [...contents.points, ...part.points ?? []],
        distributions: [...contents.distributions, ...part.distributions ?? []],
        events: [...contents.events, ...part.events ?? []],
        requests: [...contents.requests, ...part.requests ?? []],
        health: part.health ?? contents.health,
        forgotten: []
      }
      for (const feed of feeds) write(feed, "update", { ...noUpdate, health: contents.health, ...part, now: at })
    }

    const forget = () => {
      contents = noUpdate
      ids.clear()
    }

    const take = (target: string, body: string) => {
      const payload: Payload = JSON.parse(body)
      const series: Array<SeriesRow> = []
      const points: Array<Update["points"][number]> = []
      const distributions: Array<Update["distributions"][number]> = []
      for (const row of payload.series ?? []) {
        const kind = target.includes("distribution") ? "distribution" : row.type ?? "gauge"
        const key = JSON.stringify([kind, row.metric, row.host, row.tags])
        let id = ids.get(key)
        if (id === undefined) {
          id = ids.size + 1
          ids.set(key, id)
          const { host = "", interval = 0, metric, tags = [] } = row
          series.push({ id, metric, kind, unit: null, tags, host, device: "", interval, verdicts: [] })
        }
        for (const [timestamp, value] of row.points) {
          if (typeof value === "number") points.push([id, timestamp, value])
          else distributions.push(sketchOf(id, timestamp, value))
        }
      }
      const { health } = contents
      const events = payload.title === undefined ? [] : [{
        id: contents.events.length + 1,
        timestamp: payload.date_happened ?? Math.floor(now() / 1000),
        title: payload.title,
        text: payload.text ?? "",
        alertType: payload.alert_type ?? "info",
        priority: "normal",
        tags: payload.tags ?? [],
        host: "",
        verdicts: []
      }]
      tell({
        series,
        points,
        distributions,
        events,
        requests: [{
          id: contents.requests.length + 1,
          at: now(),
          protocol: "http",
          target: `POST ${target}`,
          userAgent: "test",
          encoding: "identity",
          bytes: body.length,
          unpackedBytes: body.length,
          items: (payload.series ?? []).length + events.length,
          points: points.length + distributions.length,
          status: 202,
          duration: 1,
          fault: null,
          reason: null,
          verdicts: [],
          more: 0
        }],
        health: {
          ...health,
          requests: health.requests + 1,
          bytes: health.bytes + body.length,
          unpackedBytes: health.unpackedBytes + body.length,
          series: ids.size,
          points: health.points + points.length,
          values: health.values + distributions.reduce((sum, { count }) => sum + count, 0),
          events: health.events + events.length
        }
      })
    }

    const answer = async (request: IncomingMessage, response: ServerResponse) => {
      const path = request.url?.split("?")[0] ?? ""
      if (path === "/") {
        const { body, policy } = html()
        response.writeHead(200, { "content-type": "text/html; charset=utf-8", "content-security-policy": policy })
        response.end(body)
      } else if (path === "/feed") {
        response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" })
        const hello: Hello = {
          instance: String(instance),
          version: "0.1.0",
          now: now(),
          url: `http://127.0.0.1:${port}`,
          dogstatsd: "udp://127.0.0.1:8125",
          strict: false,
          faults: [],
          limits: options.limits ?? { series: 5000, pointsPerSeries: 3600, events: 1000, requests: 1000 }
        }
        write(response, "hello", hello)
        write(response, "snapshot", { ...contents, now: now() })
        feeds.add(response)
        response.on("close", () => feeds.delete(response))
      } else if (path === "/clear" && request.method === "POST") {
        forget()
        for (const feed of feeds) write(feed, "clear", { now: now() })
        response.writeHead(204).end()
      } else if (path.startsWith("/api/v1/")) {
        take(path, await bodyOf(request))
        response.writeHead(202).end()
      } else response.writeHead(404).end()
    }

    const server = createServer((request, response) => void answer(request, response))
    const listen = Effect.async<void>((resume) => {
      server.listen(port, "127.0.0.1", () => {
        port = (server.address() as AddressInfo).port
        resume(Effect.void)
      })
    })
    const stop = Effect.async<void>((resume) => {
      server.close(() => resume(Effect.void))
      server.closeAllConnections()
    })
    yield* Effect.acquireRelease(listen, () => server.listening ? stop : Effect.void)
    const url = `http://127.0.0.1:${port}`
    return {
      url,
      send: (name, data) =>
        Effect.sync(() => {
          for (const feed of feeds) write(feed, name, data)
        }),
      update: (part) => Effect.sync(() => tell(part)),
      post: postTo(url),
      stop,
      start: Effect.suspend(() => {
        instance++
        forget()
        return listen
      }),
      listeners: Effect.sync(() => feeds.size),
      now: () => Math.floor(now() / 1000)
    }
  })
