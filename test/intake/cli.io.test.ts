import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { createHash } from "node:crypto"
import { createSocket } from "node:dgram"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterAll, beforeAll } from "vitest"
import { bundle, type Child, node } from "../support/childProcess.js"
import { udpServer } from "../support/dogstatsd.js"
import * as Feed from "../support/feed.js"
import { eventually } from "../support/wait.js"

const folder = mkdtempSync(join(tmpdir(), "intake-"))
let command = ""

beforeAll(async () => {
  command = await bundle("src/intake/cli/effect-threadstats.ts")
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const run = (...args: ReadonlyArray<string>) => node([command, "intake", ...args], {})

/** Starts the command on free ports, and returns the addresses that it prints. */
const started = (...args: ReadonlyArray<string>): Effect.Effect<
  { readonly child: Child; readonly url: string; readonly dogstatsd: string },
  never,
  Scope.Scope
> =>
  Effect.gen(function*() {
    const child = yield* run("--port", "0", "--dogstatsd-port", "0", ...args)
    const first = yield* child.line
    assert.match(first, /^DATADOG_HOST=http:\/\/127\.0\.0\.1:\d+$/)
    const second = args.includes("--no-dogstatsd") ? "" : yield* child.line
    return { child, url: first.split("=")[1]!, dogstatsd: second.split("=")[1] ?? "" }
  })

const post = (url: string, body: unknown, headers: Record<string, string> = {}) =>
  Effect.promise(() =>
    fetch(`${url}/api/v1/series`, {
      method: "POST",
      headers: { "dd-api-key": "k", ...headers },
      body: JSON.stringify(body)
    })
  )

const gauge = (metric: string, time = Date.now()) => ({
  series: [{ metric, type: "gauge", points: [[Math.floor(time / 1000), 1]] }]
})

interface Summary {
  readonly ok: boolean
  readonly [field: string]: unknown
  readonly findings: ReadonlyArray<{ readonly code: string; readonly count: number }>
}

const stop = (child: Child, signal: NodeJS.Signals = "SIGTERM") =>
  Effect.gen(function*() {
    yield* child.kill(signal)
    const ended = yield* child.ended
    const summary: Summary = JSON.parse(ended.stdout.trimEnd().split("\n").at(-1) ?? "")
    return { ...ended, summary }
  })

/** Fails unless the output is one line that matches: no stack trace follows. */
const assertOneLine = (stderr: string, expected: RegExp) => {
  assert.match(stderr, expected)
  assert.lengthOf(stderr.trimEnd().split("\n"), 1, stderr)
}

describe("effect-threadstats intake", () => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    it.scopedLive(`prints its addresses, accepts HTTP and datagrams, and ends on ${signal} while connections are open`, () =>
      Effect.gen(function*() {
        const { child, dogstatsd, url } = yield* started("--fault", "hang path=/api/v1/validate")
        const reader = yield* Feed.open(url)
        assert.deepInclude(yield* reader.next("hello"), { url, dogstatsd, faults: ["hang path=/api/v1/validate"] })
        assert.strictEqual((yield* post(url, gauge("a"))).status, 202)
        const socket = createSocket("udp4")
        socket.send("b:1|c", Number(new URL(dogstatsd).port), "127.0.0.1")
        yield* reader.next("update", ({ series }) => series.some(({ metric }) => metric === "b"))
        socket.close()

        const { hostname, port } = new URL(url)
        const open = (text: string) =>
          Effect.acquireRelease(
            Effect.async<import("node:net").Socket>((resume) => {
              const connection = connect({ host: hostname, port: Number(port) }, () => {
                connection.on("error", () => {})
                connection.write(text)
                resume(Effect.succeed(connection))
              })
            }),
            (connection) => Effect.sync(() => connection.destroy())
          )
        // A request that hangs, an incomplete request, a connection that is kept alive, and one without a request.
        yield* open("GET /api/v1/validate HTTP/1.1\r\nhost: localhost\r\ndd-api-key: k\r\n\r\n")
        yield* open("POST /api/v1/series HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{")
        yield* open("GET /openapi.json HTTP/1.1\r\nhost: localhost\r\nconnection: keep-alive\r\n\r\n")
        yield* open("")
        yield* reader.next("update", ({ requests }) => requests.some(({ fault }) => fault !== null))

        // Node.js alone would wait for the incomplete request for five minutes, longer than this test may take.
        const { code, stderr, stdout, summary } = yield* stop(child, signal)
        assert.strictEqual(code, 0, stderr)
        assert.lengthOf(stdout.trimEnd().split("\n"), 3)
        assert.deepInclude(summary, { requests: 2, series: 2, datagrams: 1, ok: true, strict: false, findings: [] })
        assertOneLine(
          stderr,
          /^effect-threadstats: The page is at http:\/\/127\.0\.0\.1:\d+\. Every API key is valid$/m
        )
      }))
  }

  it.scopedLive("fails with one line when a port is taken", () =>
    Effect.gen(function*() {
      const server = yield* Effect.acquireRelease(
        Effect.async<import("node:net").Server>((resume) => {
          const server = createServer()
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.async<void>((resume) => void server.close(() => resume(Effect.void)))
      )
      const { port } = server.address() as import("node:net").AddressInfo
      const http = yield* Effect.flatMap(run("--port", String(port), "--no-dogstatsd"), ({ ended }) => ended)
      assert.strictEqual(http.code, 1)
      assert.strictEqual(http.stdout, "")
      assertOneLine(
        http.stderr,
        new RegExp(`^effect-threadstats: Cannot listen on port ${port} of 127\\.0\\.0\\.1: another process uses it\\. `)
      )
      const { url } = yield* udpServer()
      const takenPort = new URL(url).port
      const udp = yield* Effect.flatMap(run("--port", "0", "--dogstatsd-port", takenPort), ({ ended }) => ended)
      assert.strictEqual(udp.code, 1)
      assertOneLine(
        udp.stderr,
        new RegExp(
          `^effect-threadstats: Cannot listen on UDP port ${takenPort} of 127\\.0\\.0\\.1: .*--no-dogstatsd$`,
          "m"
        )
      )
    }))

  it.scopedLive("refuses, summarizes, saves and exits with 1 when it is strict and Datadog would drop points", () =>
    Effect.gen(function*() {
      const file = join(folder, "strict.json")
      const { child, url } = yield* started("--strict", "--no-dogstatsd", "--save", file, "--api-key", "s3cret-k3y")
      const key = { "dd-api-key": "s3cret-k3y" }
      assert.strictEqual((yield* post(url, gauge("good"), key)).status, 202)
      assert.strictEqual((yield* post(url, gauge("old", 0), key)).status, 400)
      assert.strictEqual((yield* post(url, gauge("other"))).status, 403)
      const { code, stderr, stdout, summary } = yield* stop(child)
      assert.strictEqual(code, 1)
      assert.deepInclude(summary, { requests: 3, refused: 2, series: 1, strict: true, ok: false })
      assert.deepStrictEqual(summary.findings.map(({ code, count }) => [code, count]), [["TooOld", 1], ["WrongKey", 1]])
      assert.match(stderr, /^effect-threadstats: Datadog would not keep all data: TooOld, WrongKey$/m)
      const saved = readFileSync(file, "utf8")
      const { requests, series, summary: savedSummary } = JSON.parse(saved)
      assert.deepStrictEqual(savedSummary, summary)
      assert.deepStrictEqual(series.map(({ metric }: { readonly metric: string }) => metric), ["good"])
      assert.lengthOf(requests, 3)
      assert.strictEqual(requests[1].verdicts[0].code, "TooOld")
      assert.deepStrictEqual(requests[1].body, gauge("old", 0))
      assert.notInclude(saved + stdout + stderr, "s3cret-k3y")
    }))

  it.scopedLive("exits with 0 when it is strict and Datadog would keep everything", () =>
    Effect.gen(function*() {
      const { child, url } = yield* started("--strict")
      yield* post(url, gauge("good"))
      yield* post(url, gauge("re written"))
      const { code, summary } = yield* stop(child)
      assert.strictEqual(code, 0)
      assert.deepInclude(summary, { ok: true, series: 2 })
    }))

  it.scopedLive("reports drops and exits with 0 when it is not strict", () =>
    Effect.gen(function*() {
      const { child, url } = yield* started()
      assert.strictEqual((yield* post(url, gauge("old", 0))).status, 202)
      const { code, summary } = yield* stop(child)
      assert.strictEqual(code, 0)
      assert.deepStrictEqual(summary.findings.map(({ code }) => code), ["TooOld"])
      assert.isFalse(summary.ok)
    }))

  it.scopedLive("injects the same faults for the same seed", () =>
    Effect.gen(function*() {
      const drawStatuses = Effect.scoped(Effect.gen(function*() {
        const { child, url } = yield* started(
          "--no-dogstatsd",
          "--seed",
          "7",
          "--fault",
          "status=503 rate=0.5",
          "--fault",
          "rate-limit rate=0.5"
        )
        const statuses: Array<number> = []
        for (let i = 0; i < 20; i++) statuses.push((yield* post(url, gauge("a"))).status)
        yield* stop(child)
        return statuses
      }))
      const statuses = yield* drawStatuses
      assert.deepStrictEqual(new Set(statuses), new Set([202, 429, 503]))
      assert.deepStrictEqual(yield* drawStatuses, statuses)
    }))

  it.scopedLive("exits with 1 and the reason when an option is invalid", () =>
    Effect.gen(function*() {
      for (
        const [args, expected] of [
          [["--fault", "status=abc"], /--fault "status=abc": a status is a number/],
          [["--port", "70000"], /--port is a number from 0 to 65535/],
          [["--nonsense"], /--nonsense/],
          [["--port", "0", "--no-dogstatsd", "--save", join(folder, "missing/file.json")], /Cannot write/],
          [
            ["--port", "0", "--no-dogstatsd", "--save", join(folder, "missing/\u001b[31m\nforged\u202e")],
            /Cannot write .*\\u001b\[31m\\nforged\\u202e/
          ]
        ] as const
      ) {
        const { code, stderr, stdout } = yield* Effect.flatMap(run(...args), ({ ended }) => ended)
        assert.strictEqual(code, 1, args.join(" "))
        assert.match(stderr, expected)
        assert.strictEqual(stdout, "")
        assert.notMatch(stderr, /\n\s+at /)
      }
    }))

  it.scopedLive("warns when other machines can reach it, and accepts the names of --allow-host", () =>
    Effect.gen(function*() {
      const child = yield* run("--port", "0", "--no-dogstatsd", "--host", "0.0.0.0", "--allow-host", "intake")
      const [, url = ""] = (yield* child.line).split("=")
      assert.match(url, /^http:\/\/127\.0\.0\.1:/)
      const { hostname, port } = new URL(url)
      const answer = (host: string) =>
        Effect.async<string>((resume) => {
          const connection = connect({ host: hostname, port: Number(port) })
          connection.once("data", (data) => {
            connection.destroy()
            resume(Effect.succeed(data.toString().split("\r\n", 1)[0]!))
          })
          connection.write(`GET / HTTP/1.1\r\nhost: ${host}\r\n\r\n`)
        })
      assert.strictEqual(yield* answer("intake:80"), "HTTP/1.1 200 OK")
      assert.strictEqual(yield* answer("evil.example"), "HTTP/1.1 403 Forbidden")
      const { code, stderr } = yield* stop(child)
      assert.strictEqual(code, 0)
      assert.match(stderr, /Other machines can reach 0\.0\.0\.0: /)
    }))

  it.scopedLive("opens the page in a browser with --open, and reports when none can be started", () =>
    Effect.gen(function*() {
      const opened = join(folder, "opened")
      for (const name of ["xdg-open", "open"]) {
        writeFileSync(
          join(folder, name),
          `#!/bin/sh\necho "$1" > "${opened}.part"; /bin/mv "${opened}.part" "${opened}"\n`,
          {
            mode: 0o755
          }
        )
      }
      const start = (path: string) =>
        Effect.gen(function*() {
          const child = yield* node([command, "intake", "--open", "--port", "0", "--no-dogstatsd"], { PATH: path })
          return { child, url: (yield* child.line).split("=")[1]! }
        })
      const first = yield* start(folder)
      yield* eventually(() => existsSync(opened))
      assert.strictEqual(readFileSync(opened, "utf8").trim(), first.url)
      assert.strictEqual((yield* stop(first.child)).code, 0)

      const second = yield* start(join(folder, "nowhere"))
      assert.strictEqual((yield* post(second.url, gauge("a"))).status, 202)
      const { code, stderr } = yield* stop(second.child)
      assert.strictEqual(code, 0)
      assert.match(stderr, /^effect-threadstats: Cannot open a browser: .*ENOENT\. Open the address by hand$/m)
    }))

  it.scopedLive("serves the page beside it with a policy that allows only its own scripts", () =>
    Effect.gen(function*() {
      const page = join(dirname(command), "intakePage.html")
      const getPage = Effect.scoped(Effect.gen(function*() {
        const { url } = yield* started("--no-dogstatsd")
        const response = yield* Effect.promise(() => fetch(url, { headers: { accept: "text/html" } }))
        return { headers: response.headers, text: yield* Effect.promise(() => response.text()) }
      }))
      const missing = yield* getPage
      assert.include(missing.headers.get("content-type"), "text/plain")
      assert.include(missing.text, "npx effect-threadstats intake")
      const script = "document.title = 'é'"
      const html = `<!doctype html><title>x</title><script>${script}</script>`
      yield* Effect.acquireRelease(Effect.sync(() => writeFileSync(page, html)), () => Effect.sync(() => rmSync(page)))
      const shown = yield* getPage
      assert.strictEqual(shown.text, html)
      assert.include(shown.headers.get("content-type"), "text/html")
      const hash = createHash("sha256").update(script).digest("base64")
      assert.include(shown.headers.get("content-security-policy"), `script-src 'sha256-${hash}';`)
    }))
})
