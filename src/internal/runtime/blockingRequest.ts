/**
 * A synchronous HTTP request, which Node.js lacks: another thread sends it while this one sleeps.
 *
 * The other thread runs a module of its own. A bundle for Lambda is one file, so no file beside it could hold that module, and
 * bundlers and minifiers rewrite functions. A `data:` URL carries it through every bundler unchanged.
 */
import * as WorkerThreads from "node:worker_threads"

export interface BlockingRequest {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
}

export type BlockingReply =
  | {
    readonly _tag: "Response"
    readonly status: number
    readonly headers: Readonly<Record<string, string | undefined>>
    readonly body: string
  }
  | {
    readonly _tag: "Failure"
    /** `Truncated` if the connection broke during the response, `Connection` if it broke before. */
    readonly reason: "Connection" | "Truncated"
    readonly description: string
  }

// `import` would read every export of `node:http`, one of which loads undici from Node.js 22 on.
const requestModule = `
import { createRequire } from "node:module"
import { workerData } from "node:worker_threads"
const { port, request: { body, headers, method, url }, signal } = workerData
const reply = (message) => {
  port.postMessage(message)
  Atomics.store(signal, 0, 1)
  Atomics.notify(signal, 0)
}
const fail = (reason) => (error) => reply({ _tag: "Failure", reason, description: error.message })
const { request } = createRequire(process.execPath)("node:http")
const outgoing = request(url, { agent: false, method, headers }, (incoming) => {
  const chunks = []
  incoming.on("data", (chunk) => chunks.push(chunk))
  incoming.on("error", fail("Truncated"))
  incoming.on("end", () =>
    reply({
      _tag: "Response",
      status: incoming.statusCode,
      headers: { ...incoming.headers },
      body: Buffer.concat(chunks).toString("utf8")
    }))
})
outgoing.on("error", fail("Connection"))
outgoing.end(body)
`

/**
 * Sends a request and blocks the thread until there is a reply. Returns `undefined` after the time limit. Throws if no thread
 * can be started.
 */
export const requestBlocking = (request: BlockingRequest, timeoutMillis: number): BlockingReply | undefined => {
  const signal = new Int32Array(new SharedArrayBuffer(4))
  const { port1: port, port2 } = new WorkerThreads.MessageChannel()
  const worker = new WorkerThreads.Worker(new URL(`data:text/javascript,${encodeURIComponent(requestModule)}`), {
    // Neither the modules that NODE_OPTIONS preloads, nor secrets.
    env: {},
    execArgv: [],
    workerData: { port: port2, request, signal },
    transferList: [port2]
  })
  worker.on("error", () => {})
  worker.unref()
  Atomics.wait(signal, 0, 0, timeoutMillis)
  const reply: BlockingReply | undefined = WorkerThreads.receiveMessageOnPort(port)?.message
  port.close()
  void worker.terminate()
  return reply
}
