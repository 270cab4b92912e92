import { FileSystem } from "@effect/platform"
import { SystemError } from "@effect/platform/Error"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger, LogLevel, TestClock } from "effect"
import { ThreadStats } from "effect-threadstats"
import { readFileSync } from "node:fs"
import { layerFile } from "../../examples/fileReporter.js"
import { layerEventsAggregatorWith, layerMetricsAggregatorWith, layerReporterWith } from "../support/layers.js"
import { distributions, events, metrics, reporterContract } from "../support/reporterContract.js"

/** A file in memory, and a switch that makes writing fail. */
class Disk extends Context.Tag("test/Disk")<Disk, { text: string; isFull: boolean }>() {}

const layerDisk = Layer.sync(Disk, () => ({ text: "", isFull: false }))

const layerFileSystem = Layer.unwrapEffect(Effect.map(Disk, (disk) =>
  FileSystem.layerNoop({
    writeFileString: (path, text) =>
      Effect.suspend(() => {
        if (disk.isFull) {
          const cause = { module: "FileSystem", method: "writeFileString", pathOrDescriptor: path } as const
          return Effect.fail(new SystemError({ ...cause, reason: "Unknown", description: "no space left on device" }))
        }
        disk.text += text
        return Effect.void
      })
  })))

const layerReporter = Layer.provide(layerFile("metrics.jsonl"), layerFileSystem)

const linesOf = ({ text }: { readonly text: string }): ReadonlyArray<Record<string, unknown>> =>
  text.trimEnd().split("\n").map((line) => JSON.parse(line))

describe("examples/fileReporter", () => {
  reporterContract(Layer.provideMerge(layerReporter, layerDisk), {
    arrived: Effect.map(Disk, (disk) => {
      const lines = disk.text === "" ? [] : linesOf(disk)
      return {
        metrics: lines.filter((line) => metrics.some(({ metric }) => metric === line["metric"])),
        distributions: lines.filter((line) => distributions.some(({ metric }) => metric === line["metric"])),
        events: lines.filter((line) => events.some(({ title }) => title === line["title"]))
      }
    }),
    dead: Layer.provide(layerReporter, Layer.succeed(Disk, { text: "", isFull: true }))
  })

  const layerClient = layerReporterWith({ namespace: "shop", periodicFlush: false }).pipe(
    Layer.provide(Layer.mergeAll(
      layerReporter,
      Layer.fresh(layerMetricsAggregatorWith()),
      Layer.fresh(layerEventsAggregatorWith())
    )),
    Layer.provideMerge(layerDisk),
    Layer.orDie
  )

  it.effect("writes series, distributions and events of a client, and keeps them pending while the disk is full", () =>
    Effect.gen(function*() {
      const disk = yield* Disk
      yield* TestClock.setTime(1_700_000_000_000)
      yield* ThreadStats.increment("orders", 2)
      yield* ThreadStats.distribution("latency", 7)
      yield* ThreadStats.event("Deployed", "version 42")
      disk.isFull = true
      const failed = yield* ThreadStats.flush()
      assert.deepStrictEqual([failed.metrics.delivered, failed.events.delivered, disk.text], [0, 0, ""])
      assert.deepStrictEqual(failed.errors.map(({ reason }) => reason), ["Transport", "Transport", "Transport"])
      disk.isFull = false
      yield* ThreadStats.increment("orders", 3)
      const { events, metrics } = yield* ThreadStats.flush()
      assert.deepStrictEqual([metrics.delivered, events.delivered], [3, 1])
      assert.sameDeepMembers(
        linesOf(disk).map((line) => line["metric"] === undefined ? line["title"] : [line["metric"], line["points"]]),
        [["shop.orders", [[1_700_000_000, 0.5]]], ["shop.latency", [[1_700_000_000, [7]]]], "Deployed"]
      )
    }).pipe(Effect.provide(layerClient), Logger.withMinimumLogLevel(LogLevel.None)))

  it("is shown unchanged in docs/layers.md", () => {
    const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8")
    assert.include(read("docs/layers.md"), `\`\`\`ts\n${read("examples/fileReporter.ts")}\`\`\``)
  })
})
