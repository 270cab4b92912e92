import * as Predicate from "effect/Predicate"

/** The methods of an `EventEmitter` of Node.js. An emitter without `listeners` gets one listener for each task. */
export interface Emitter<Event extends string> {
  readonly on: (event: Event, listener: (argument: unknown) => void) => unknown
  readonly off: (event: Event, listener: (argument: unknown) => void) => unknown
}

type Task = (argument: unknown) => void

type SharedListener = Task & { readonly effectThreadstatsTasks: Set<Task> }

const isShared = (listener: unknown): listener is SharedListener =>
  Predicate.hasProperty(listener, "effectThreadstatsTasks")

const findShared = (emitter: object, event: string): SharedListener | undefined =>
  Predicate.hasProperty(emitter, "listeners") && typeof emitter.listeners === "function"
    ? (emitter.listeners(event) as ReadonlyArray<unknown>).find(isShared)
    : undefined

/**
 * Runs a task at an event until the returned function is called. All tasks share one listener: Node.js warns of a leak from the eleventh
 * listener on, and a program may have more clients than that. The emitter holds the tasks, and modules hold nothing.
 */
export const listen = <Event extends string>(emitter: Emitter<Event>, event: Event, task: Task): () => void => {
  const own: Task = (argument) => task(argument)
  const shared = findShared(emitter, event) ?? makeShared(emitter, event)
  const tasks = shared.effectThreadstatsTasks
  tasks.add(own)
  return () => {
    if (tasks.delete(own) && tasks.size === 0) emitter.off(event, shared)
  }
}

const makeShared = <Event extends string>(emitter: Emitter<Event>, event: Event): SharedListener => {
  const tasks = new Set<Task>()
  const shared = Object.assign(
    (argument: unknown) => {
      for (const task of Array.from(tasks)) task(argument)
    },
    { effectThreadstatsTasks: tasks }
  )
  emitter.on(event, shared)
  return shared
}
