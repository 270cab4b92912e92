/** The browser that the tests of the page need. */
import { existsSync } from "node:fs"
import { delimiter, join } from "node:path"

/** Path of the first Chromium that is installed. */
export const executable: string | undefined = [
  process.env["CHROMIUM_PATH"] ?? "",
  ...(process.env["PATH"] ?? "").split(delimiter).flatMap((folder) =>
    ["chromium", "chromium-browser", "google-chrome"].map((name) => join(folder, name))
  )
].find((path) => path !== "" && existsSync(path))

export const installed: boolean = executable !== undefined

export const notInstalled =
  "Skipped: the browser tests of test/intake/page need Chromium. Install the Debian package chromium, or set CHROMIUM_PATH."
