/** End of the command: its summary, its file and its exit code. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as LocalIntake from "../../LocalIntake.js"
import { CommandError } from "./commandError.js"
import type { IntakeCommandConfig } from "./options.js"
import { saveData } from "./save.js"

/** Options that decide about {@link findProblems}. */
export type Allowances = Pick<IntakeCommandConfig, "allowEmpty" | "allowRefused" | "allowFaults">

const countOf = (count: number, noun: string): string => `${count} ${count === 1 ? noun : `${noun}s`}`

const codesOf = (
  findings: ReadonlyArray<LocalIntake.Finding>,
  outcome: LocalIntake.Finding["outcome"]
): ReadonlyArray<string> =>
  Array.from(new Set(findings.filter((finding) => finding.outcome === outcome).map(({ code }) => code)))

/** Returns the reasons for which Datadog would not have all data of a program, as sentences. */
export const findProblems = (
  { accepted, faulted, refused }: Pick<LocalIntake.IntakeSummary, "accepted" | "faulted" | "refused">,
  findings: ReadonlyArray<LocalIntake.Finding>,
  { allowEmpty, allowFaults, allowRefused }: Allowances
): ReadonlyArray<string> => {
  const dropped = codesOf(findings, "dropped")
  const refusals = codesOf(findings, "refused")
  const codes = refusals.length === 0 ? "" : ` (${refusals.join(", ")})`
  const isEmpty = accepted + faulted + refused + dropped.length === 0
  return [
    ...isEmpty && !allowEmpty ? ["nothing was received"] : [],
    ...dropped.length > 0 ? [`Datadog would drop data (${dropped.join(", ")})`] : [],
    ...refused > 0 && !allowRefused ? [`${countOf(refused, "request")} refused${codes}`] : [],
    ...faulted > 0 && !allowFaults ? [`${countOf(faulted, "request")} lost to a fault`] : []
  ]
}

/** Serializes a summary as one line. Characters that control a terminal, which names of metrics can contain, are escaped. */
const serializeSummary = (summary: unknown): string =>
  JSON.stringify(summary).replace(/[\u007f-\u009f]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`)

/** Prints the summary and saves the data. With `--strict` it fails if there are problems. */
export const finish = (
  config: IntakeCommandConfig,
  intake: typeof LocalIntake.LocalIntake.Service
): Effect.Effect<void, CommandError> =>
  Effect.gen(function*() {
    const { save, strict } = config
    const findings = yield* intake.findings
    const serviceChecks = yield* intake.serviceChecks
    const counts = yield* intake.summary
    const problems = findProblems(counts, findings, config)
    const summary = {
      ...counts,
      datagrams: yield* intake.datagrams,
      serviceChecks: serviceChecks.length,
      strict,
      ok: problems.length === 0,
      problems,
      findings
    }
    const saved = Option.isNone(save) ? Effect.void : saveData(save.value, {
      summary,
      series: yield* intake.series,
      distributions: yield* intake.distributions,
      events: yield* intake.events,
      serviceChecks,
      requests: yield* intake.requests
    })
    // A file that cannot be written does not cost the summary.
    yield* Effect.ensuring(saved, Console.log(serializeSummary(summary)))
    if (strict && problems.length > 0) {
      return yield* new CommandError({ message: `Datadog would not have all data: ${problems.join("; ")}` })
    }
  })
