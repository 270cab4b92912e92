import { assert, describe, it } from "@effect/vitest"
import { EventEmitter } from "node:events"
import { listen } from "../../src/internal/runtime/sharedListener.js"

describe("listen", () => {
  it("adds one listener for any number of tasks, runs all of them, and removes it after the last", () => {
    const emitter = new EventEmitter()
    const runs: Array<number> = []
    const stops = Array.from({ length: 12 }, (_, i) => listen(emitter, "event", () => runs.push(i)))
    assert.strictEqual(emitter.listenerCount("event"), 1)
    emitter.emit("event")
    assert.deepStrictEqual(runs, Array.from({ length: 12 }, (_, i) => i))
    stops.pop()!()
    emitter.emit("event")
    assert.lengthOf(runs, 23)
    for (const stop of stops) stop()
    assert.strictEqual(emitter.listenerCount("event"), 0)
  })

  it("runs the same function once for each registration, and a task that stops in its own run once", () => {
    const emitter = new EventEmitter()
    let runs = 0
    const task = () => runs++
    listen(emitter, "event", task)
    const stop = listen(emitter, "event", () => {
      stop()
      task()
    })
    emitter.emit("event")
    emitter.emit("event")
    assert.strictEqual(runs, 3)
  })

  it("passes the event's argument on, and keeps events and emitters apart", () => {
    const [first, second] = [new EventEmitter(), new EventEmitter()]
    const seen: Array<unknown> = []
    listen(first, "a", (value) => seen.push(["first a", value]))
    listen(first, "b", (value) => seen.push(["first b", value]))
    listen(second, "a", (value) => seen.push(["second a", value]))
    first.emit("a", 1)
    assert.deepStrictEqual(seen, [["first a", 1]])
  })
})
