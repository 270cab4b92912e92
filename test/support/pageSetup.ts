import { readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { TestProject } from "vitest/node"
import { installed, notInstalled } from "./chromium.js"

const src = fileURLToPath(new URL("../../src", import.meta.url))

const page = join(src, "intake/intakePage.html")

const changedAt = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0

/** True if the page is newer than every source. A build would take a good part of the time that one test file takes. */
const isUpToDate = (): boolean => {
  const builtAt = changedAt(page)
  return readdirSync(src, { recursive: true, encoding: "utf8" })
    .map((file) => join(src, file))
    .filter((file) => /\.(ts|css|html)$/.test(file) && file !== page)
    .every((file) => changedAt(file) < builtAt)
}

/** Builds the page of the local intake before the tests, and reports that its tests are skipped if Chromium is missing. */
export const setup = async (project: TestProject): Promise<void> => {
  if (!isUpToDate()) await import("../../src/intake/page/build.js")
  if (!installed && project.vite.config.mode !== "test") console.warn(notInstalled)
}
