/**
 * An AWS Lambda execution environment in a process of its own. It starts the function's process, serves the Runtime API and the
 * Extensions API on a loopback port, freezes and thaws the process, and ends it. Its parent controls it over IPC (`protocol.ts`).
 *
 * Rules: registration is open until the runtime requests its first invocation. The environment freezes when the runtime and
 * every registered extension have requested their next event. An invocation that is not over at its deadline is killed. At
 * shutdown the process gets the signal and the time that AWS documents for an environment without an extension, with an internal
 * one, and with an external one.
 *
 * Sources: AWS's pages on the Runtime API, the Extensions API and Managed Instances.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { createInterface } from "node:readline"
import type { Command, Entry, Message, Plan } from "./protocol.js"

interface Invocation {
  readonly key: number
  readonly id: string
  readonly event: string
  /** Milliseconds that the environment is frozen before it gets the invocation. */
  readonly frozenFor: number
  handedOut: number
  answered: boolean
  over: boolean
  timer: NodeJS.Timeout | undefined
}

interface Extension {
  readonly id: string
  readonly name: string
  /** The request for the next event that waits for an answer. */
  waiting: ServerResponse | undefined
}

/** The function's process and its requests. */
interface Environment {
  readonly child: ChildProcess
  readonly extensions: Map<string, Extension>
  /** Requests for an invocation that wait for an answer. */
  readonly waiting: Array<ServerResponse>
  /** True if the runtime has requested an invocation. */
  hasRequestedInvocation: boolean
  initialized: boolean
  /** Time of the freeze; undefined if the process runs. */
  frozenAt: number | undefined
  thawTimer: NodeJS.Timeout | undefined
  killed: boolean
  initTimer: NodeJS.Timeout | undefined
  isShuttingDown: boolean
}

const arn = "arn:aws:lambda:eu-west-1:123456789012:function:emulated"

let plan: Plan
let environment: Environment | undefined
let address = ""
const queue: Array<Invocation> = []
const running = new Map<string, Invocation>()

/** Ignores a parent that has disconnected. */
const send = (message: Message): void => {
  if (process.connected) process.send!(message, () => {})
}

const log = (kind: Entry["kind"], detail?: string, at = performance.now()): void =>
  send({ type: "log", entry: { at: performance.timeOrigin + at, kind, detail } })

const killDelay = () => plan.killDelay ?? 0

const isConcurrent = () => plan.concurrency !== undefined

const signal = (environment: Environment, name: NodeJS.Signals): void => {
  try {
    // The whole process group: processes that the function has started stop and end with it.
    process.kill(-environment.child.pid!, name)
  } catch {
    // The process has ended.
  }
}

const kill = (environment: Environment): void => {
  if (environment.killed) return
  environment.killed = true
  log("SIGKILL")
  signal(environment, "SIGKILL")
}

const reply = (response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void => {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body))
}

const refuse = (response: ServerResponse, status: number, errorType: string, errorMessage: string): void => {
  log("refused", `${status} ${errorType}`)
  reply(response, status, { errorMessage, errorType })
}

const boot = (): void => {
  const child = spawn(plan.command[0]!, plan.command.slice(1), {
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      PATH: process.env["PATH"],
      LANG: "en_US.UTF-8",
      TZ: ":UTC",
      AWS_LAMBDA_RUNTIME_API: address,
      AWS_LAMBDA_FUNCTION_NAME: "emulated",
      AWS_LAMBDA_FUNCTION_VERSION: "$LATEST",
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(plan.memory ?? 128),
      AWS_LAMBDA_LOG_GROUP_NAME: "/aws/lambda/emulated",
      AWS_LAMBDA_LOG_STREAM_NAME: "2026/11/23/[$LATEST]emulated",
      AWS_REGION: "eu-west-1",
      AWS_DEFAULT_REGION: "eu-west-1",
      ...isConcurrent()
        ? {
          AWS_LAMBDA_MAX_CONCURRENCY: String(plan.concurrency),
          AWS_LAMBDA_INITIALIZATION_TYPE: "lambda-managed-instances"
        }
        : undefined,
      ...plan.variables
    }
  })
  const self: Environment = {
    child,
    extensions: new Map(),
    waiting: [],
    hasRequestedInvocation: false,
    initialized: false,
    frozenAt: undefined,
    thawTimer: undefined,
    killed: false,
    initTimer: setTimeout(() => {
      log("timeout", "initializing")
      kill(self)
    }, plan.initTimeout ?? 10_000),
    isShuttingDown: false
  }
  environment = self
  log("spawn", String(child.pid))
  for (const name of ["stdout", "stderr"] as const) {
    createInterface({ input: child[name]! }).on("line", (line) => log(name, line))
  }
  child.on("error", (error) => log("stderr", String(error)))
  // The process has ended, and its output has been read.
  child.on("close", (code, name) => {
    clearTimeout(self.initTimer)
    clearTimeout(self.thawTimer)
    if (environment === self) environment = undefined
    log("ended", `${code ?? name}`)
    for (const invocation of [...running.values()]) {
      if (!invocation.answered) answered(invocation, "exit", undefined)
      over(invocation, false)
    }
    send({ type: "ended", ended: { code, signal: name, killed: self.killed } })
    if (!self.isShuttingDown) advance()
  })
}

const answered = (
  invocation: Invocation,
  status: "response" | "error" | "timeout" | "exit",
  payload: unknown
): void => {
  invocation.answered = true
  log("answered", `${invocation.id} ${status}`)
  send({
    type: "outcome",
    key: invocation.key,
    outcome: { requestId: invocation.id, status, payload }
  })
}

const over = (invocation: Invocation, timedOut: boolean): void => {
  if (invocation.over) return
  invocation.over = true
  clearTimeout(invocation.timer)
  running.delete(invocation.id)
  const duration = performance.now() - invocation.handedOut
  log("done", invocation.id)
  send({ type: "report", key: invocation.key, report: { requestId: invocation.id, duration, timedOut } })
}

const thaw = (self: Environment): void => {
  if (self.frozenAt === undefined) return
  self.frozenAt = undefined
  log("thaw")
  signal(self, "SIGCONT")
}

const handOut = (self: Environment, invocation: Invocation): void => {
  const response = self.waiting.shift()!
  const timeout = plan.timeout ?? 3000
  thaw(self)
  const deadline = Date.now() + timeout
  invocation.handedOut = performance.now()
  running.set(invocation.id, invocation)
  if (!isConcurrent()) {
    invocation.timer = setTimeout(() => {
      log("timeout", invocation.id)
      if (!invocation.answered) answered(invocation, "timeout", undefined)
      over(invocation, true)
      kill(self)
    }, timeout + killDelay())
  }
  log("invoke", invocation.id)
  response.writeHead(200, {
    "content-type": "application/json",
    "Lambda-Runtime-Aws-Request-Id": invocation.id,
    "Lambda-Runtime-Deadline-Ms": String(deadline),
    "Lambda-Runtime-Invoked-Function-Arn": arn,
    "Lambda-Runtime-Trace-Id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0"
  }).end(invocation.event)
  if (isConcurrent()) return
  for (const extension of self.extensions.values()) {
    log("INVOKE", extension.name)
    const waiting = extension.waiting!
    extension.waiting = undefined
    reply(waiting, 200, {
      eventType: "INVOKE",
      deadlineMs: deadline,
      requestId: invocation.id,
      invokedFunctionArn: arn,
      tracing: { type: "X-Amzn-Trace-Id", value: "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0" }
    })
  }
}

/** Moves the environment on after an event: boots it, hands out invocations, or freezes it. */
const advance = (): void => {
  if (environment === undefined) {
    if (queue.length > 0 && address !== "") boot()
    return
  }
  const self = environment
  if (self.isShuttingDown || self.killed) return
  const isReady = self.waiting.length > 0 && [...self.extensions.values()].every(({ waiting }) => waiting !== undefined)
  if (!self.initialized && isReady) {
    self.initialized = true
    clearTimeout(self.initTimer)
    log("initialized")
  }
  if (!self.initialized) return
  if (isConcurrent()) {
    while (queue.length > 0 && self.waiting.length > 0 && running.size < plan.concurrency!) {
      handOut(self, queue.shift()!)
    }
    return
  }
  if (!isReady) return
  for (const invocation of [...running.values()]) over(invocation, false)
  const frozenFor = self.frozenAt === undefined ? 0 : performance.now() - self.frozenAt
  if (queue.length > 0 && frozenFor >= queue[0]!.frozenFor) return handOut(self, queue.shift()!)
  if (self.frozenAt === undefined) {
    signal(self, "SIGSTOP")
    // One reading for the log and for the length of the freeze, which a test compares.
    self.frozenAt = performance.now()
    log("freeze", undefined, self.frozenAt)
  }
  if (queue.length > 0) {
    clearTimeout(self.thawTimer)
    self.thawTimer = setTimeout(advance, Math.ceil(queue[0]!.frozenFor - frozenFor))
  }
}

const shutdown = (): void => {
  const self = environment
  if (self === undefined) return
  self.isShuttingDown = true
  clearTimeout(self.thawTimer)
  thaw(self)
  const window = self.extensions.size > 0 ? 500 : plan.externalExtension === true ? 300 : 0
  if (window === 0) return kill(self)
  log("SIGTERM")
  signal(self, "SIGTERM")
  const timer = setTimeout(() => kill(self), window + killDelay())
  self.child.on("close", () => clearTimeout(timer))
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

const header = (request: IncomingMessage, name: string): string | undefined => {
  const value = request.headers[name]
  return Array.isArray(value) ? value[0] : value
}

const serveRuntime = (
  self: Environment,
  method: string,
  path: string,
  text: string,
  request: IncomingMessage,
  response: ServerResponse
): void => {
  if (method === "GET" && path === "invocation/next") {
    self.hasRequestedInvocation = true
    log("runtime next")
    // A request that is given up gets no invocation.
    response.on("close", () => {
      const at = self.waiting.indexOf(response)
      if (at !== -1) self.waiting.splice(at, 1)
    })
    self.waiting.push(response)
    return advance()
  }
  if (method === "POST" && path === "init/error") {
    log("init error", text)
    return reply(response, 202, { status: "OK" })
  }
  const [, id, kind] = /^invocation\/([^/]+)\/(response|error)$/.exec(path) ?? []
  if (method !== "POST" || kind === undefined) return refuse(response, 404, "NotFound", `no ${method} ${path}`)
  const invocation = running.get(decodeURIComponent(id!))
  if (invocation === undefined || invocation.answered) {
    return refuse(response, 400, "InvalidRequestID", "Invalid request ID")
  }
  const failed = kind === "error" || request.trailers["lambda-runtime-function-error-type"] !== undefined
  answered(invocation, failed ? "error" : "response", parse(text))
  reply(response, 202, { status: "OK" })
  if (!isConcurrent()) return
  over(invocation, false)
  advance()
}

const serveExtensions = (
  self: Environment,
  method: string,
  path: string,
  text: string,
  request: IncomingMessage,
  response: ServerResponse
): void => {
  if (method === "POST" && path === "register") {
    const name = header(request, "lambda-extension-name") ?? ""
    const refused = (status: number, type: string, message: string) => {
      log("register refused", `${name} ${type}`)
      refuse(response, status, type, message)
    }
    const events = (parse(text) as { readonly events?: ReadonlyArray<string> }).events ?? []
    if (name === "") return refused(400, "Extension.InvalidExtensionName", "Invalid extension name")
    if (plan.refuseRegistration === true || self.hasRequestedInvocation) {
      return refused(403, "Extension.RegistrationClosed", "Extension registration closed already")
    }
    if ([...self.extensions.values()].some((extension) => extension.name === name)) {
      return refused(403, "Extension.AlreadyRegistered", "Extension is registered already")
    }
    if (isConcurrent() || events.some((event) => event !== "INVOKE")) {
      return refused(403, "Extension.InvalidEventType", "These events are not for an internal extension here")
    }
    const extension: Extension = { id: randomUUID(), name, waiting: undefined }
    self.extensions.set(extension.id, extension)
    log("register", name)
    return reply(
      response,
      200,
      { functionName: "emulated", functionVersion: "$LATEST", handler: "function.handler" },
      { "Lambda-Extension-Identifier": extension.id }
    )
  }
  const id = header(request, "lambda-extension-identifier")
  if (id === undefined) return refuse(response, 403, "Extension.MissingHeader", "Missing Lambda-Extension-Identifier")
  const extension = self.extensions.get(id)
  if (extension === undefined) {
    return refuse(response, 403, "Extension.UnknownExtensionIdentifier", "Unknown extension")
  }
  if (method !== "GET" || path !== "event/next") return refuse(response, 404, "NotFound", `no ${method} ${path}`)
  log("extension next", extension.name)
  extension.waiting = response
  return advance()
}

const server = createServer({ requestTimeout: 0, keepAliveTimeout: 0 }, (request, response) => {
  const chunks: Array<Buffer> = []
  request.on("error", () => {})
  request.on("data", (chunk) => chunks.push(chunk))
  request.on("end", () => {
    const self = environment
    if (self === undefined) return response.destroy()
    const [, version, api, path = ""] = /^\/([^/]+)\/(runtime|extension)\/(.*)$/.exec(request.url ?? "") ?? []
    const text = Buffer.concat(chunks).toString("utf8")
    if (version === "2018-06-01" && api === "runtime") {
      return serveRuntime(self, request.method!, path, text, request, response)
    }
    if (version === "2020-01-01" && api === "extension") {
      return serveExtensions(self, request.method!, path, text, request, response)
    }
    return refuse(response, 404, "NotFound", `no ${request.url}`)
  })
})

process.on("message", (command: Command) => {
  switch (command.type) {
    case "start": {
      plan = command.plan
      server.listen(0, "127.0.0.1", () => {
        address = `127.0.0.1:${(server.address() as AddressInfo).port}`
        boot()
      })
      return
    }
    case "invoke": {
      queue.push({
        key: command.key,
        id: randomUUID(),
        event: JSON.stringify(command.event ?? {}),
        frozenFor: command.frozenFor,
        handedOut: 0,
        answered: false,
        over: false,
        timer: undefined
      })
      return advance()
    }
    case "signal":
      return environment === undefined ? undefined : signal(environment, command.signal)
    case "synchronize":
      return send({ type: "synchronized", key: command.key })
    case "shutdown":
      return shutdown()
  }
})

process.on("disconnect", () => process.exit())

process.on("exit", () => {
  if (environment !== undefined) signal(environment, "SIGKILL")
})
