import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { writeChunk } from "../../src/internal/lambda/writeChunk.js"
import { nextTurn } from "../support/wait.js"

describe("writeChunk", () => {
  it("continues when the writer drains in the turn of the write, before a fiber can wait for it", async () => {
    const listeners = new Set<() => void>()
    const writer = {
      write: () => {
        process.nextTick(() => {
          for (const listener of listeners) listener()
        })
        return false
      },
      on: (_: "drain", listener: () => void) => listeners.add(listener),
      off: (_: "drain", listener: () => void) => listeners.delete(listener)
    }
    const ended = Effect.zipRight(Effect.repeatN(nextTurn, 10), Effect.fail("ended"))
    const exit = await new Promise((resolve) => {
      // Only after a callback of the event loop, Node.js runs callbacks of `nextTick` before those of promises.
      setImmediate(() => Effect.runCallback(writeChunk(writer, "chunk", ended), { onExit: resolve }))
    })
    assert.deepStrictEqual(exit, Exit.void)
    assert.strictEqual(listeners.size, 0)
  })
})
