/** The client of this project, which loses the last call of every workload. */
import { recordUnsafe } from "../../bench/subjects/threadstats.js"

export const lossy: typeof recordUnsafe = (client) => {
  const recording = recordUnsafe(client)
  return { ...recording, record: (workload) => recording.record({ ...workload, calls: workload.calls - 1 }) }
}
