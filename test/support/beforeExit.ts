/** Tasks that clients registered for the end of the process. All clients of a process share one listener. */

type Task = (argument: unknown) => void

export const beforeExitTasks = (): ReadonlyArray<Task> =>
  process.listeners("beforeExit").flatMap((listener): ReadonlyArray<Task> =>
    "effectThreadstatsTasks" in listener ? Array.from(listener.effectThreadstatsTasks as Set<Task>) : []
  )

/** Returns the tasks that are not among those of before. */
export const addedTasks = (before: ReadonlyArray<Task>): ReadonlyArray<Task> =>
  beforeExitTasks().filter((task) => !before.includes(task))
