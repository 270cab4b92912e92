/**
 * Records a burst of 1000 points by the machine's clock, prints a line, and records one point more after a line on the standard
 * input. Prints the number of points by second. With the argument `worker` it records in a worker thread.
 */
import * as Reporter from "effect-threadstats/Reporter"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Effect from "effect/Effect"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { isMainThread, parentPort, Worker } from "node:worker_threads"

const program = (print: (line: unknown) => void, nextLine: () => Promise<unknown>) =>
  Effect.gen(function*() {
    const memory = yield* Reporter.MemoryReporter
    const size = yield* ThreadStats.bindDistribution("size")
    for (let i = 0; i < 1000; i++) size.unsafeRecord(i)
    print("recorded")
    yield* Effect.promise(nextLine)
    size.unsafeRecord(1)
    yield* ThreadStats.flush()
    print((yield* memory.distributions).flatMap(({ points }) => points.map(([time, values]) => [time, values.length])))
  }).pipe(
    Effect.provide(ThreadStats.layerTestWith({ rollUpInterval: "1 second" })),
    Effect.runPromise
  )

if (!isMainThread) {
  const port = parentPort!
  void program((line) => port.postMessage(line), () => once(port, "message")).then(() => port.close())
} else {
  const print = (line: unknown) => console.log(JSON.stringify(line))
  const nextLine = () => once(process.stdin, "data")
  if (process.argv[2] === "worker") {
    const worker = new Worker(fileURLToPath(import.meta.url))
    worker.on("message", print)
    void nextLine().then(() => worker.postMessage("record"))
    worker.on("exit", () => process.exit())
  } else await program(print, nextLine).then(() => process.exit())
}
