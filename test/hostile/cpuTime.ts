/**
 * Measures the CPU time of a synchronous function in milliseconds: the shortest of four runs. CPU time does not grow when other
 * processes run, as the time of day does.
 */
export const cpuMillis = (run: () => unknown): number => {
  let shortest = Infinity
  for (let i = 0; i < 4; i++) {
    const before = process.cpuUsage()
    run()
    shortest = Math.min(shortest, process.cpuUsage(before).user / 1000)
  }
  return shortest
}
