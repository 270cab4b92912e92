/**
 * `npm test`: the tests, and beside them the checks that look at the text only, one after the other. What the checks print
 * comes at the end, in one piece. They yield to the tests, some of which look at the time.
 */
import { spawn } from "node:child_process"
import { constants, setPriority } from "node:os"

const tests = "vitest run --reporter=default --reporter=json --outputFile.json=build/test-report.json"
const checks = ["check", "format:check", "diagnostics"]

interface Ended {
  readonly isGood: boolean
  readonly output: string
}

const run = (command: string, beside: boolean): Promise<Ended> =>
  new Promise((resolve) => {
    const child = spawn(command, { shell: true, stdio: ["ignore", "pipe", "pipe"] })
    if (beside && child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_BELOW_NORMAL)
    let output = ""
    for (const [from, to] of [[child.stdout, process.stdout], [child.stderr, process.stderr]] as const) {
      from.on("data", (chunk) => {
        if (beside) output += chunk
        else to.write(chunk)
      })
    }
    child.on("error", (error) => resolve({ isGood: false, output: String(error) }))
    child.on("close", (code) => resolve({ isGood: code === 0, output }))
  })

const checked = (async () => {
  const all: Array<Ended & { readonly name: string }> = []
  for (const name of checks) all.push({ name, ...await run(`npm run ${name}`, true) })
  return all
})()

const tested = await run(tests, false)
const results = [...await checked, { name: "tests", ...tested }]
for (const { isGood, output } of results) if (!isGood) process.stdout.write(`${output}\n`)
for (const { isGood, name } of results) console.log(`${isGood ? "passed" : "FAILED"}: ${name}`)
process.exitCode = results.every(({ isGood }) => isGood) ? 0 : 1
