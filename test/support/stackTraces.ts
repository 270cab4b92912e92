import { afterAll, beforeAll } from "vitest"

/** Turns stack traces off while the tests of a file create thousands of errors whose traces no assertion reads. */
export const skipStackTraces = (): void => {
  const limit = Error.stackTraceLimit
  beforeAll(() => {
    Error.stackTraceLimit = 0
  })
  afterAll(() => {
    Error.stackTraceLimit = limit
  })
}
