/**
 * The page of the local intake in a browser, and two servers for it: the intake, and a scripted server that sends any message
 * to the page.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as LocalIntake from "effect-threadstats/LocalIntake"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { fileURLToPath } from "node:url"
import { type Browser, type BrowserContext, chromium, type Locator, type Page } from "playwright-core"
import type { Hello, Messages, SeriesRow, Update } from "../../src/intake/feedProtocol.js"
import { executable } from "./chromium.js"
import { distributionPoint, noUpdate } from "./pageState.js"

export class PageError extends Data.TaggedError("PageError")<{ readonly cause: unknown }> {
  override readonly message = `The browser failed: ${this.cause}`
}

/** Runs an action of Playwright as an effect. */
export const act = <A>(run: () => Promise<A>): Effect.Effect<A, PageError> =>
  Effect.tryPromise({ try: run, catch: (cause) => new PageError({ cause }) })

export const browser: Effect.Effect<Browser, PageError, Scope.Scope> = Effect.acquireRelease(
  act(() =>
    chromium.launch({
      executablePath: executable!,
      // The time limit of the test bounds every wait for the browser.
      timeout: 0,
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

/** Evaluates an expression in the page. It is a string because the tests are compiled without the types of the page. */
export const evaluate = <A>(page: Page, script: string): Effect.Effect<A, PageError> =>
  act(() => page.evaluate<A>(script))

const file = fileURLToPath(new URL("../../src/intake/intakePage.html", import.meta.url))

/** Waits until the expression is true. It is evaluated in each frame of the page, since the page draws in frames. */
export const until = (page: Page, expression: string): Effect.Effect<void, PageError> =>
  evaluate(
    page,
    `new Promise((resolve, reject) => {
      const check = () => {
        try {
          if (${expression}) resolve()
          else requestAnimationFrame(check)
        } catch (error) {
          reject(error)
        }
      }
      check()
    })`
  )

/** Waits until the page has drawn the effects of earlier input. */
export const nextFrame = (page: Page): Effect.Effect<void, PageError> =>
  evaluate(page, "new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve())))")

export const option = (page: Page, name: string): Locator => page.getByRole("option", { name, exact: false })

/** Returns the names of the metrics in the list. */
export const names = (page: Page): Effect.Effect<ReadonlyArray<string>, PageError> =>
  evaluate(page, `[...document.querySelectorAll(".row:not([hidden]) .name")].map((e) => e.textContent)`)

/** Returns the number of pixels of a canvas that are not transparent. */
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

/** Returns the texts of the legend, row by row. */
export const legend = (page: Page): Effect.Effect<ReadonlyArray<ReadonlyArray<string>>, PageError> =>
  evaluate(
    page,
    `[...document.querySelectorAll(".legend tbody tr")].map((row) => [...row.children].map((cell) => cell.textContent))`
  )

export interface Opened {
  readonly page: Page
  /** Errors of scripts, errors on the console and violations of the content security policy. */
  readonly errors: ReadonlyArray<string>
  readonly context: BrowserContext
}

/** Opens the page at this address, and waits until it is connected to its feed. */
export const openPage = (
  browser: Browser,
  url: string,
  options: Parameters<Browser["newContext"]>[0] = {}
): Effect.Effect<Opened, PageError, Scope.Scope> =>
  Effect.gen(function*() {
    const opened = yield* context(browser, options)
    const errors: Array<string> = []
    yield* act(() => opened.exposeFunction("reportViolation", (violation: string) => errors.push(violation)))
    yield* act(() =>
      opened.addInitScript(
        `addEventListener("securitypolicyviolation", (e) => reportViolation(e.violatedDirective + " " + e.blockedURI))`
      )
    )
    const page = yield* act(() => opened.newPage())
    page.setDefaultTimeout(0)
    page.on("pageerror", (error) => errors.push(String(error)))
    page.on("console", (message) => {
      // The browser also logs that the intake is unreachable, which some tests cause on purpose.
      if (message.type() === "error" && !message.text().includes("net::")) errors.push(message.text())
    })
    yield* act(() => page.goto(url))
    yield* act(() => page.getByText("Live", { exact: true }).waitFor())
    return { page, errors, context: opened }
  })

/** Returns the page, and the content security policy that the intake sends with it. */
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
  /** Sends a payload, and fails unless it is accepted. */
  readonly post: (path: string, body: unknown) => Effect.Effect<void, PageError>
  /**
   * The time at which the server was started, in seconds. It stays the same during a test, so that points that are sent one after
   * the other fall into one step of the plot, however long sending takes.
   */
  readonly now: () => number
}

/** A server that sends any message to the page. */
export interface Server extends Intake {
  readonly send: <Name extends keyof Messages>(name: Name, data: Messages[Name]) => Effect.Effect<void>
  /** Adds to the contents, and sends the addition as one update. A page that connects later receives all contents. */
  readonly update: (part: Partial<Update>) => Effect.Effect<void>
  /** The number of pages that are connected to the feed. */
  readonly listeners: Effect.Effect<number>
  /** Closes all connections, and refuses new ones until {@link Server.start}. It keeps the port. */
  readonly stop: Effect.Effect<void>
  /** Accepts connections again, as another instance without contents. */
  readonly start: Effect.Effect<void>
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

/** Serves the intake of this library. */
export const serveIntake = (
  options: LocalIntake.IntakeOptions = {}
): Effect.Effect<Intake & { readonly dogstatsd: string }, never, Scope.Scope> =>
  Effect.gen(function*() {
    const server = createServer()
    const services = yield* Layer.build(
      LocalIntake.layer(options).pipe(
        Layer.provideMerge(LocalIntake.layerDatagrams({ port: 0 })),
        Layer.provide(NodeHttpServer.layer(() => server, { port: 0, host: "127.0.0.1" })),
        Layer.orDie
      )
    )
    // A server does not close while a browser keeps connections, and opens new ones.
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        server.on("connection", (socket) => socket.destroy())
        server.closeAllConnections()
      })
    )
    const { url } = Context.get(services, LocalIntake.LocalIntake)
    const now = Math.floor(Date.now() / 1000)
    return { url, dogstatsd: Context.get(services, LocalIntake.Datagrams).url, post: postTo(url), now: () => now }
  })

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

/** Serves the page and a scripted feed. */
export const serve = (
  options: {
    readonly limits?: Hello["limits"]
    readonly isAnyKeyValid?: boolean
    /** Headers and body of every request in the log. */
    readonly request?: { readonly headers: Readonly<Record<string, string>>; readonly body?: unknown }
    /** Sends nothing on the feed. */
    readonly isFeedSilent?: boolean
  } = {}
): Effect.Effect<Server, never, Scope.Scope> =>
  Effect.gen(function*() {
    let instance = 1
    let isStopped = false
    let port = 0
    let contents: Update = noUpdate
    const ids = new Map<string, number>()
    const feeds = new Set<ServerResponse>()
    const now = () => Date.now()

    const write = (response: ServerResponse, name: string, data: unknown) =>
      response.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`)

    const update = (part: Partial<Update>) => {
      const at = part.now ?? now()
      contents = {
        now: at,
        series: [...contents.series, ...part.series ?? []],
        points: [...contents.points, ...part.points ?? []],
        distributions: [...contents.distributions, ...part.distributions ?? []],
        events: [...contents.events, ...part.events ?? []],
        requests: [...contents.requests, ...part.requests ?? []],
        health: part.health ?? contents.health,
        evicted: []
      }
      for (const feed of feeds) write(feed, "update", { ...noUpdate, health: contents.health, ...part, now: at })
    }

    const forget = () => {
      contents = noUpdate
      ids.clear()
    }

    const accept = (target: string, body: string) => {
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
          else distributions.push(distributionPoint(id, timestamp, value))
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
      update({
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
        response.flushHeaders()
        if (options.isFeedSilent) return
        const hello: Hello = {
          instance: String(instance),
          version: "0.1.0",
          now: now(),
          url: `http://127.0.0.1:${port}`,
          dogstatsd: "udp://127.0.0.1:8125",
          isAnyKeyValid: options.isAnyKeyValid ?? true,
          strict: false,
          faults: [],
          limits: options.limits ?? { series: 5000, pointsPerSeries: 3600, events: 1000, requests: 1000 }
        }
        write(response, "hello", hello)
        write(response, "snapshot", { ...contents, now: now() })
        feeds.add(response)
        response.on("close", () => feeds.delete(response))
      } else if (path.startsWith("/requests/")) {
        response.writeHead(200, { "content-type": "application/json" }).end(
          JSON.stringify(options.request ?? { headers: {} })
        )
      } else if (path === "/clear" && request.method === "POST") {
        forget()
        for (const feed of feeds) write(feed, "clear", { now: now() })
        response.writeHead(204).end()
      } else if (path.startsWith("/api/v1/")) {
        accept(path, await bodyOf(request))
        response.writeHead(202).end()
      } else response.writeHead(404).end()
    }

    const server = createServer((request, response) => void answer(request, response))
    server.on("connection", (socket) => {
      if (isStopped) socket.destroy()
    })
    const listen = Effect.async<void>((resume) => {
      server.listen(0, "127.0.0.1", () => {
        port = (server.address() as AddressInfo).port
        resume(Effect.void)
      })
    })
    const close = Effect.async<void>((resume) => {
      server.close(() => resume(Effect.void))
      server.closeAllConnections()
    })
    yield* Effect.acquireRelease(listen, () => close)
    const url = `http://127.0.0.1:${port}`
    const started = Math.floor(now() / 1000)
    return {
      url,
      send: (name, data) =>
        Effect.sync(() => {
          for (const feed of feeds) write(feed, name, data)
        }),
      update: (part) => Effect.sync(() => update(part)),
      post: postTo(url),
      stop: Effect.sync(() => {
        isStopped = true
        server.closeAllConnections()
      }),
      start: Effect.sync(() => {
        instance++
        forget()
        isStopped = false
      }),
      listeners: Effect.sync(() => feeds.size),
      now: () => started
    }
  })
