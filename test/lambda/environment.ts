/**
 * An execution environment. It loads the function that its first argument names, invokes it with each line of its standard
 * input, and prints each outcome as a line that starts with `> `.
 */
import { createInterface } from "node:readline"

const { handler } = await import(process.argv[2]!)

const print = (outcome: unknown) => process.stdout.write(`> ${JSON.stringify(outcome)}\n`)

for await (const line of createInterface({ input: process.stdin })) {
  await handler(JSON.parse(line), { getRemainingTimeInMillis: () => 30_000 }).then(
    (value: unknown) => print({ value }),
    (error: Error) => print({ error: { name: error.name, message: error.message, stack: error.stack } })
  )
}
