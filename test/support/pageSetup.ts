import type { TestProject } from "vitest/node"
import { installed, notInstalled } from "./chromium.js"

/** Builds the page of the local intake before the tests, and reports that its tests are skipped if Chromium is missing. */
export const setup = async (project: TestProject): Promise<void> => {
  await import("../../src/page/build.js")
  if (!installed && project.vite.config.mode !== "test") console.warn(notInstalled)
}
