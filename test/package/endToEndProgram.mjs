/**
 * Runs in plain Node.js beside the package: imports every entry that its arguments name, then invokes the function of the demo as
 * Lambda would. Prints the exported names and the response as JSON.
 */
const entries = process.argv.slice(2)
const exported = {}
for (const entry of entries) exported[entry] = Object.keys(await import(entry)).sort()

const { handler } = await import("./handler.js")
const { documents } = await import("./documents.js")
const response = await handler(documents.queue, {
  functionName: "orders",
  awsRequestId: "1",
  getRemainingTimeInMillis: () => 30_000
})
console.log(JSON.stringify({ exported, response }))
