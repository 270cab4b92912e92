/**
 * The connection to the intake. It comes back by itself, and begins with everything there is when it does.
 */
import type { Messages } from "../feedProtocol.js"

export interface Listener {
  readonly message: <Name extends keyof Messages>(name: Name, data: Messages[Name]) => void
  readonly connected: () => void
  readonly lost: () => void
}

const names: ReadonlyArray<keyof Messages> = ["hello", "snapshot", "update", "clear"]

/** How long to wait before connecting again: longer each time, in milliseconds. */
const waits = [250, 500, 1000, 2000, 4000] as const

export const connect = (url: string, listener: Listener): void => {
  let failures = 0
  const open = () => {
    const source = new EventSource(url)
    for (const name of names) {
      source.addEventListener(name, (event) => {
        if (name === "snapshot") {
          failures = 0
          listener.connected()
        }
        listener.message(name, JSON.parse((event as MessageEvent<string>).data))
      })
    }
    source.addEventListener("error", () => {
      // The browser would come back by itself, but not from every error, and not soon.
      source.close()
      listener.lost()
      setTimeout(open, waits[Math.min(failures++, waits.length - 1)])
    })
  }
  open()
}
