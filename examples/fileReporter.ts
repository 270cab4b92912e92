/** A reporter of your own. It appends each series and event to a file, as one line of JSON. */
import { FileSystem } from "@effect/platform"
import { Effect, Layer } from "effect"
import { Reporter, Series } from "effect-threadstats"

export const layerFile = (path: string): Layer.Layer<Reporter.Reporter, never, FileSystem.FileSystem> =>
  Layer.effect(
    Reporter.Reporter,
    Effect.gen(function*() {
      const fileSystem = yield* FileSystem.FileSystem

      /** Appends lines. If that fails, the client keeps the items and reports them again at the next flush. */
      const append = (items: ReadonlyArray<Reporter.Item>, lines: ReadonlyArray<unknown>) => {
        const text = lines.map((line) => `${JSON.stringify(line)}\n`).join("")
        return fileSystem.writeFileString(path, text, { flag: "a" }).pipe(
          Effect.as({ items: lines.length, payloads: 1, bytes: Buffer.byteLength(text), retries: 0 }),
          Effect.mapError((cause) =>
            new Reporter.ReporterError({
              reason: "Transport",
              endpoint: path,
              description: cause.message,
              undelivered: items,
              refused: [],
              // A full disk may have taken a part of the text.
              ambiguous: items,
              receipt: Reporter.emptyReceipt,
              cause
            })
          )
        )
      }

      return Reporter.Reporter.of({
        // The lines of one interval add up: each flush writes the new points.
        temporality: "delta",
        reportSeries: (batch) =>
          Effect.flatMap(
            Reporter.pullAll(batch),
            (series) => append(series, series.flatMap((each) => Series.fromAggregated(each, batch.enrichment)))
          ),
        reportDistributions: (batch) =>
          Effect.flatMap(
            Reporter.pullAll(batch),
            (series) => append(series, series.map((each) => Series.distributionFromAggregated(each, batch.enrichment)))
          ),
        reportEvents: (events) => append(events, events)
      })
    })
  )
