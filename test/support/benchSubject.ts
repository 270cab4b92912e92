/** Clients that the benchmark must refuse, and one whose figures the tests know. */
import { totalsOf, type Workload } from "../../bench/children/workload.js"
import { make } from "../../bench/subjects/bare.js"
import { type MakeSubject, NotAvailable } from "../../bench/subjects/subject.js"

const withoutLast = (workload: Workload): Workload => ({ ...workload, calls: workload.calls - 1 })

/** The yardstick, which loses the last call of every workload. */
export const lossy: MakeSubject = async (options) => {
  const subject = await make(options)
  return { ...subject, record: (workload) => subject.record(withoutLast(workload)) }
}

/** A client whose bodies have one byte for each call, and four as JSON. */
export const known: MakeSubject = async () => {
  let workload: Workload | undefined
  return {
    record: (recorded) => {
      workload = recorded
    },
    flush: async () => {
      const bytes = workload!.calls
      return { bytes, check: () => ({ totals: totalsOf(workload!), jsonBytes: 4 * bytes }) }
    }
  }
}

export const missing: MakeSubject = () => Promise.reject(new NotAvailable("it is made up"))

/** A handler with a wrong answer. */
export const confused = async () => async (): Promise<string> => "what?"
