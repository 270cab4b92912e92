/**
 * `npm run bench [-- --quick] [--update] [--json FILE] [--only GROUP,…] [--rounds N]`: measures the client against the
 * yardstick and its peers, and prints one table. README.md says how to read it.
 */
import { join } from "node:path"
import { folder } from "./bundle.js"
import { groups } from "./groups.js"
import { main } from "./main.js"

process.exitCode = await main(process.argv.slice(2), { groups, baselineFile: join(folder, "baseline.json") })
