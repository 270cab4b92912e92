/**
 * Records in dense bursts by the machine's own clock, in the main thread or (with the argument `worker`) in another: one, a
 * line on the standard output, and after a line on the standard input one point more. Prints what was recorded, by second.
 */
import * as Reporter from "effect-threadstats/Reporter"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { isMainThread, parentPort, Worker } from "node:worker_threads"

const program = (say: (line: unknown) => void, next: () => Promise<unknown>) =>
  Effect.gen(function*() {
    const memory = yield* Reporter.MemoryReporter
    const size = yield* ThreadStats.bindDistribution("size")
    const began = Math.floor(Date.now() / 1000)
    for (let i = 0; i < 1000; i++) size.unsafeRecord(i)
    say("recorded")
    yield* Effect.promise(next)
    const after = Math.floor(Date.now() / 1000)
    size.unsafeRecord(1)
    yield* ThreadStats.flush()
    const points = (yield* memory.distributions).flatMap(({ points }) =>
      points.map(([time, values]) => [time, values.length])
    )
    say({ began, after, points })
  }).pipe(
    Effect.provide(ThreadStats.layerTestWith({ rollUpInterval: "1 second" })),
    Effect.runPromise
  )

if (!isMainThread) {
  const port = parentPort!
  void program((line) => port.postMessage(line), () => once(port, "message")).then(() => port.close())
} else {
  const say = (line: unknown) => console.log(JSON.stringify(line))
  const next = () => once(process.stdin, "data")
  if (process.argv[2] === "worker") {
    const worker = new Worker(fileURLToPath(import.meta.url))
    worker.on("message", say)
    void next().then(() => worker.postMessage("next"))
    worker.on("exit", () => process.exit())
  } else await program(say, next).then(() => process.exit())
}
