// Runs the function once against an intake of its own, and writes V8's code cache to dist/function.cache.
import { rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"

const cache = new URL("dist/function.cache", import.meta.url)
rmSync(cache, { force: true })

const intake = createServer((request, response) => {
  request.resume().on("end", () => response.writeHead(202).end("{}"))
})
await new Promise((resolve) => intake.listen(0, "127.0.0.1", resolve))
Object.assign(process.env, {
  DATADOG_HOST: `http://127.0.0.1:${intake.address().port}`,
  DD_API_KEY: "none",
  AWS_LAMBDA_FUNCTION_NAME: "cache"
})

const { handler, script } = await import("./dist/index.mjs")
await handler({ orderId: "o-1", total: 1 }, { awsRequestId: "1", getRemainingTimeInMillis: () => 10_000 })
writeFileSync(cache, script.createCachedData())
process.exit(0)
