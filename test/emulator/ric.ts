/**
 * A runtime client as AWS's for Node.js: loads the module that its first argument names, takes invocations, posts what the
 * handler's promise settles with, and asks for the next one at once. The second argument is the handler's name.
 *
 * On a Managed Instance it takes several at a time, in one process.
 */
import * as Http from "node:http"

const base = `http://${process.env["AWS_LAMBDA_RUNTIME_API"]}/2018-06-01/runtime`
const agent = new Http.Agent({ keepAlive: true })

const call = (method: string, path: string, body?: string, headers: Record<string, string> = {}) =>
  new Promise<{ readonly headers: Http.IncomingHttpHeaders; readonly body: string }>((resolve, reject) => {
    const request = Http.request(`${base}/${path}`, { method, agent, headers }, (response) => {
      const chunks: Array<Buffer> = []
      response.on("data", (chunk) => chunks.push(chunk))
      response.on("end", () => resolve({ headers: response.headers, body: Buffer.concat(chunks).toString("utf8") }))
    })
    request.on("error", reject)
    request.end(body)
  })

const report = (error: unknown) =>
  error instanceof Error
    ? { errorType: error.name, errorMessage: error.message, trace: error.stack?.split("\n") ?? [] }
    : { errorType: typeof error, errorMessage: String(error), trace: [] }

const take = async (handler: (event: unknown, context: unknown) => Promise<unknown>): Promise<void> => {
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
  const path = `invocation/${encodeURIComponent(id)}`
  await handler(JSON.parse(body), context).then(
    (result) => call("POST", `${path}/response`, JSON.stringify(result ?? null)),
    (error) => call("POST", `${path}/error`, JSON.stringify(report(error)))
  )
  return take(handler)
}

const load = async () => {
  const module = await import(process.argv[2]!)
  return module[process.argv[3] ?? "handler"]
}

load().then(
  (handler) => {
    const count = Number(process.env["AWS_LAMBDA_MAX_CONCURRENCY"] ?? 1)
    return Promise.all(Array.from({ length: count }, () => take(handler)))
  },
  async (error) => {
    await call("POST", "init/error", JSON.stringify(report(error)))
    process.exit(1)
  }
)
