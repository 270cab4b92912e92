/** The command of the benchmark for one client: `benchLossy.ts CLIENT [--quick …]`. */
import { main } from "../../bench/main.js"
import { groupOf, programOf } from "./bench.js"

const [client, ...args] = process.argv.slice(2)
process.exitCode = await main(args, {
  groups: [groupOf({ bare: programOf("distribution", "bare"), [client!]: programOf("distribution", client!) })],
  baselineFile: "/dev/null/none"
})
