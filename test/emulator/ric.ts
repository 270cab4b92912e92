/**
 * A runtime client like AWS's for Node.js. It loads the module that its first argument names, takes invocations, posts the result
 * or the error of the handler's promise, and requests the next invocation at once. The second argument is the handler's name. A
 * handler with the mark for streaming streams its response.
 *
 * On a Managed Instance it takes several invocations at a time: in the main thread, or in the worker threads of
 * `AWS_LAMBDA_NODEJS_WORKER_COUNT`, each with an instance of the function's module.
 */
import * as Http from "node:http"
import { isMainThread, Worker } from "node:worker_threads"

const base = `http://${process.env["AWS_LAMBDA_RUNTIME_API"]}/2018-06-01/runtime`
const agent = new Http.Agent({ keepAlive: true })

interface Answer {
  readonly headers: Http.IncomingHttpHeaders
  readonly body: string
}

const open = (method: string, path: string, headers: Http.OutgoingHttpHeaders) => {
  const request = Http.request(`${base}/${path}`, { method, agent, headers })
  const answer = new Promise<Answer>((resolve, reject) => {
    request.on("response", (response) => {
      const chunks: Array<Buffer> = []
      response.on("data", (chunk) => chunks.push(chunk))
      response.on("end", () => resolve({ headers: response.headers, body: Buffer.concat(chunks).toString("utf8") }))
    })
    request.on("error", reject)
  })
  return { request, answer }
}

const call = (method: string, path: string, body?: string): Promise<Answer> => {
  const { answer, request } = open(method, path, {})
  request.end(body)
  return answer
}

const report = (error: unknown) =>
  error instanceof Error
    ? { errorType: error.name, errorMessage: error.message, trace: error.stack?.split("\n") ?? [] }
    : { errorType: typeof error, errorMessage: String(error), trace: [] }

type Handler = (...args: ReadonlyArray<unknown>) => Promise<unknown>

const buffered = (handler: Handler, path: string, event: unknown, context: unknown): Promise<unknown> =>
  handler(event, context).then(
    (result) => call("POST", `${path}/response`, JSON.stringify(result ?? null)),
    (error) => call("POST", `${path}/error`, JSON.stringify(report(error)))
  )

const errorType = "Lambda-Runtime-Function-Error-Type"
const errorBody = "Lambda-Runtime-Function-Error-Body"

const streamed = (handler: Handler, path: string, event: unknown, context: unknown): Promise<unknown> => {
  const { answer, request } = open("POST", `${path}/response`, {
    "Lambda-Runtime-Function-Response-Mode": "streaming",
    "content-type": "application/octet-stream",
    "transfer-encoding": "chunked",
    trailer: `${errorType}, ${errorBody}`
  })
  const response = Object.assign(request, {
    setContentType: (type: string) => request.setHeader("content-type", type)
  })
  return handler(event, response, context).then(
    () => answer,
    (error) => {
      const reported = report(error)
      request.addTrailers([
        [errorType, reported.errorType],
        [errorBody, Buffer.from(JSON.stringify(reported)).toString("base64")]
      ])
      request.end()
      return answer
    }
  )
}

const take = async (handler: Handler): Promise<void> => {
  const { body, headers } = await call("GET", "invocation/next")
  const id = String(headers["lambda-runtime-aws-request-id"])
  const deadline = Number(headers["lambda-runtime-deadline-ms"])
  const context = {
    functionName: process.env["AWS_LAMBDA_FUNCTION_NAME"],
    functionVersion: process.env["AWS_LAMBDA_FUNCTION_VERSION"],
    memoryLimitInMB: process.env["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"],
    invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
    awsRequestId: id,
    callbackWaitsForEmptyEventLoop: true,
    getRemainingTimeInMillis: () => deadline - Date.now()
  }
  const isStreaming = Reflect.get(handler, Symbol.for("aws.lambda.runtime.handler.streaming")) === "response"
  const invoke = isStreaming ? streamed : buffered
  await invoke(handler, `invocation/${encodeURIComponent(id)}`, JSON.parse(body), context)
  return take(handler)
}

const load = async (): Promise<Handler> => {
  const module = await import(process.argv[2]!)
  return module[process.argv[3] ?? "handler"]
}

const workers = Number(process.env["AWS_LAMBDA_NODEJS_WORKER_COUNT"] ?? 0)

if (isMainThread && workers > 0) {
  for (let count = 0; count < workers; count++) new Worker(new URL(import.meta.url), { argv: process.argv.slice(2) })
} else {
  load().then(
    (handler) => {
      const count = Number(process.env["AWS_LAMBDA_MAX_CONCURRENCY"] ?? 1)
      return Promise.all(Array.from({ length: Math.ceil(count / Math.max(workers, 1)) }, () => take(handler)))
    },
    async (error) => {
      await call("POST", "init/error", JSON.stringify(report(error)))
      process.exit(1)
    }
  )
}
