import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { createHash } from "node:crypto"
import { createSocket } from "node:dgram"
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterAll, beforeAll } from "vitest"
import { bundle, type Child, node, run as runProcess } from "../support/childProcess.js"
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
    if (!args.includes("--api-key")) assert.strictEqual(yield* child.line, "DD_API_KEY=local")
    const last = args.includes("--no-dogstatsd") ? "" : yield* child.line
    return { child, url: first.split("=")[1]!, dogstatsd: last.split("=")[1] ?? "" }
  })

/** The recipe for CI of the documentation of the local intake. */
const ciRecipe = (program: string, port: number, clients: string): string => `
cd "$TMPDIR"
${program} intake --port ${port} --no-dogstatsd --strict --save intake.json > intake.log & intake=$!
until grep -q DD_API_KEY intake.log; do kill -0 $intake || exit 1; sleep 0.1; done
DATADOG_HOST=http://127.0.0.1:${port} DD_API_KEY=local ${clients}
kill $intake && wait $intake
`

/** A free port below the range from which Linux chooses ports. */
const freePort: Effect.Effect<number> = Effect.async<number>((resume) => {
  const port = 20_000 + Math.floor(Math.random() * 10_000)
  const server = createServer()
  server.once("error", () => resume(freePort))
  server.listen(port, "127.0.0.1", () => server.close(() => resume(Effect.succeed(port))))
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
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    it.scopedLive(`prints the variables for clients, accepts HTTP and datagrams, and ends on ${signal} while connections are open`, () =>
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
        assert.lengthOf(stdout.trimEnd().split("\n"), 4)
        // The request that hangs got no answer of Datadog.
        assert.deepInclude(summary, { requests: 2, faulted: 1, series: 2, datagrams: 1, strict: false, findings: [] })
        assert.deepInclude(summary, { ok: false, problems: ["1 request lost to a fault"] })
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
      assert.match(
        stderr,
        /^effect-threadstats: Datadog would not have all data: Datadog would drop data \(TooOld\); 2 requests refused \(WrongKey\)$/m
      )
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

  it.scopedLive("exits with 1 when it is strict and nothing was received, unless that is allowed", () =>
    Effect.gen(function*() {
      for (
        const [args, expected] of [
          [["--strict"], { code: 1, ok: false, problems: ["nothing was received"] }],
          [["--strict", "--allow-empty"], { code: 0, ok: true, problems: [] }],
          [[], { code: 0, ok: false, problems: ["nothing was received"] }]
        ] as const
      ) {
        const { child, url } = yield* started("--no-dogstatsd", ...args)
        // A check of the key sends no data.
        yield* Effect.promise(() => fetch(`${url}/api/v1/validate`, { headers: { "dd-api-key": "k" } }))
        const { code, summary } = yield* stop(child)
        assert.deepStrictEqual({ code, ok: summary.ok, problems: summary["problems"] }, expected, args.join(" "))
      }
    }))

  it.scopedLive("exits with 1 when it is strict and requests were lost to a fault, unless that is allowed", () =>
    Effect.gen(function*() {
      for (
        const [args, expected] of [
          [["--fault", "status=503"], 1],
          [["--fault", "hang"], 1],
          [["--fault", "reset"], 1],
          [["--fault", "delay=1ms"], 0],
          [["--fault", "status=503", "--allow-faults"], 0]
        ] as const
      ) {
        const { child, url } = yield* started("--strict", "--no-dogstatsd", ...args)
        const reader = yield* Feed.open(url)
        yield* Effect.fork(Effect.ignore(Effect.tryPromise(() => Effect.runPromise(post(url, gauge("a"))))))
        yield* reader.next("update", ({ requests }) => requests.some(({ fault }) => fault !== null))
        const { code, summary } = yield* stop(child)
        assert.deepStrictEqual([code, summary.ok], [expected, expected === 0], args.join(" "))
      }
    }))

  it.scopedLive("exits with 0 when it is strict and refused requests are allowed, and with 1 when data is dropped", () =>
    Effect.gen(function*() {
      for (const [metric, time, expected] of [["a", Date.now(), 0], ["old", 0, 1]] as const) {
        const { child, url } = yield* started("--strict", "--no-dogstatsd", "--allow-refused")
        assert.strictEqual((yield* post(url, { series: "no list" })).status, 400)
        yield* post(url, gauge(metric, time))
        const { code, summary } = yield* stop(child)
        assert.deepStrictEqual([code, summary.ok], [expected, expected === 0], metric)
      }
    }))

  it.scopedLive("ends the recipe for CI at once when its port is taken, and with the exit code of the check otherwise", () =>
    Effect.gen(function*() {
      const runRecipe = (port: number, clients: string) =>
        Effect.flatMap(
          runProcess(["sh", "-c", ciRecipe(`${process.execPath} ${command}`, port, clients)], { TMPDIR: folder }),
          ({ ended }) => ended
        )
      const { url } = yield* started("--no-dogstatsd")
      const taken = yield* runRecipe(Number(new URL(url).port), "echo not started")
      assert.strictEqual(taken.code, 1)
      assert.match(
        taken.stderr,
        /^effect-threadstats: Cannot listen on port \d+ of 127\.0\.0\.1: another process uses it/
      )
      assert.notInclude(taken.stdout, "not started")

      const series = JSON.stringify(gauge("a"))
      const send = `${process.execPath} -e 'fetch(process.env.DATADOG_HOST + "/api/v1/series", ` +
        `{ method: "POST", headers: { "dd-api-key": process.env.DD_API_KEY }, body: JSON.stringify(${series}) })'`
      const port = yield* freePort
      assert.deepInclude(yield* runRecipe(port, send), { code: 0 })
      assert.deepInclude(yield* runRecipe(port, "true"), { code: 1 })
    }))

  it.scopedLive("prints the whole summary when the reader of its output is slow", () =>
    Effect.gen(function*() {
      const file = join(folder, "slow.json")
      const { child, url } = yield* started("--no-dogstatsd", "--save", file)
      const series = Array.from({ length: 900 }, (_, i) => gauge(`not valid ${"x".repeat(100)} ${i}`).series[0])
      for (let i = 0; i < series.length; i += 15) yield* post(url, { series: series.slice(i, i + 15) })
      child.process.stdout!.pause()
      yield* child.kill("SIGTERM")
      // The command saves its data, and then prints its summary.
      yield* eventually(() => readFileSync(file, "utf8").endsWith("\n}\n"))
      yield* Effect.sleep("1 second")
      child.process.stdout!.resume()
      const { code, stdout } = yield* child.ended
      assert.strictEqual(code, 0)
      const printed = stdout.trimEnd().split("\n").at(-1)!
      assert.isAbove(printed.length, 2 * 64 * 1024)
      assert.lengthOf(JSON.parse(printed).findings, 900)
    }))

  it.scopedLive("saves nothing through a symbolic link", () =>
    Effect.gen(function*() {
      const target = join(folder, "target.txt")
      const link = join(folder, "link.json")
      writeFileSync(target, "valuable")
      symlinkSync(target, link)
      const refused = yield* Effect.flatMap(
        run("--port", "0", "--no-dogstatsd", "--save", link),
        ({ ended }) => ended
      )
      assert.deepInclude(refused, { code: 1, stdout: "" })
      assertOneLine(
        refused.stderr,
        /^effect-threadstats: Cannot write .*link\.json: it is a symbolic link\. Choose another/
      )
      // The link can also appear while the command runs.
      const later = join(folder, "later.json")
      const { child } = yield* started("--no-dogstatsd", "--save", later)
      rmSync(later)
      symlinkSync(target, later)
      const { code, stderr, summary } = yield* stop(child)
      assert.strictEqual(code, 1)
      assert.match(stderr, /Cannot write .*later\.json: it is a symbolic link/)
      assert.deepInclude(summary, { requests: 0 })
      assert.strictEqual(readFileSync(target, "utf8"), "valuable")
    }))

  it.scopedLive("prints help with defaults and the name of the program, in colors on a terminal without NO_COLOR alone", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* Effect.flatMap(run("--help"), ({ ended }) => ended)
      assert.deepStrictEqual([code, stderr], [0, ""])
      assert.notInclude(stdout, "\u001b")
      assert.match(stdout, /^\$ effect-threadstats intake \[--port number\]/m)
      for (const text of ["Default: 8127.", "Default: 8125.", "Default: 127.0.0.1.", "Default: every key is valid."]) {
        assert.include(stdout, text)
      }
      if (!existsSync("/usr/bin/script")) return
      const inTerminal = (env: Record<string, string>) =>
        Effect.flatMap(
          runProcess(["script", "-qec", `${process.execPath} ${command} intake --help`, "/dev/null"], env),
          ({ ended }) => ended
        )
      assert.include((yield* inTerminal({ TERM: "xterm-256color" })).stdout, "\u001b[")
      const plain = yield* inTerminal({ TERM: "xterm-256color", NO_COLOR: "1" })
      assert.include(plain.stdout, "$ effect-threadstats intake")
      assert.notInclude(plain.stdout, "\u001b[")
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
          [["--api-key", ""], /--api-key is empty\. Give a key, or leave the option out/],
          [["--api-key", "  "], /--api-key is empty/],
          [["--host", ""], /--host is empty/],
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
        assertOneLine(stderr, expected)
        assert.match(stderr, /^effect-threadstats: /)
        assert.strictEqual(stdout, "")
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
