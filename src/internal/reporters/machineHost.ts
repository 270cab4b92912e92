import type * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { functionName } from "../config/environment.js"
import { hostLength } from "../model/datadogLimits.js"
import { type Item, ReporterError } from "../model/Delivery.js"
import type { Event } from "../model/Event.js"
import type { Reporter } from "../model/Reporter.js"
import { builtin } from "../runtime/nodeBuiltin.js"

const localNames: ReadonlySet<string> = new Set([
  "localhost",
  "localhost.localdomain",
  "localhost6.localdomain6",
  "ip6-localhost"
])

/** A name by RFC 1123. The reference client has the same rule for the name of a machine. */
const isHostName = (name: string): boolean =>
  name.length <= hostLength && !localNames.has(name.toLowerCase()) &&
  name.split(".").every((label) => /^[A-Za-z0-9-]+$/.test(label) && !label.startsWith("-") && !label.endsWith("-"))

/** Returns the name of the machine, or none if it has only a local or an invalid one. */
const readMachineName = (): Option.Option<string> => {
  try {
    return Option.filter(Option.some(builtin<typeof import("node:os")>("node:os").hostname()), isHostName)
  } catch {
    return Option.none()
  }
}

/** Gives events without a host this one, and series with an empty host. Errors name the given events. */
const withHost = (reporter: Reporter["Type"], host: string): Reporter["Type"] => ({
  ...reporter,
  reportSeries: (batch) => reporter.reportSeries({ ...batch, enrichment: { ...batch.enrichment, hostname: host } }),
  reportDistributions: (batch) =>
    reporter.reportDistributions({ ...batch, enrichment: { ...batch.enrichment, hostname: host } }),
  reportEvents: (events) => {
    const given = new Map<Item, Event>(
      events.map((event) => [event.host === undefined ? { ...event, host } : event, event])
    )
    const givenOf = (items: ReadonlyArray<Item>) => items.map((item) => given.get(item) ?? item)
    return Effect.mapError(
      reporter.reportEvents(Array.from(given.keys()) as ReadonlyArray<Event>),
      (error) =>
        new ReporterError({
          reason: error.reason,
          endpoint: error.endpoint,
          description: error.description,
          status: error.status,
          undelivered: givenOf(error.undelivered),
          refused: givenOf(error.refused),
          ambiguous: givenOf(error.ambiguous),
          receipt: error.receipt,
          cause: error.cause
        })
    )
  }
})

/**
 * Gives events and series without a host the name of the machine, like the reference client. Does nothing for a client with a host of its
 * own, and on AWS Lambda, because an execution environment is not a host.
 */
export const withMachineHost = (
  reporter: Reporter["Type"],
  settings: { readonly hostname?: string | undefined }
): Effect.Effect<Reporter["Type"], ConfigError.ConfigError> =>
  settings.hostname !== undefined ?
    Effect.succeed(reporter) :
    Effect.map(functionName, (name) =>
      Option.match(Option.isSome(name) ? Option.none() : readMachineName(), {
        onNone: () => reporter,
        onSome: (host) => withHost(reporter, host)
      }))
