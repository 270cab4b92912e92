/** Connection to the feed of the intake. It reconnects after a failure, and then receives a new snapshot. */
import type { Messages } from "../feedProtocol.js"

export interface FeedListener {
  readonly message: <Name extends keyof Messages>(name: Name, data: Messages[Name]) => void
  readonly connected: () => void
  readonly lost: () => void
}

const names: ReadonlyArray<keyof Messages> = ["hello", "snapshot", "update", "clear"]

/** Pauses before the first, second … attempt to reconnect, in milliseconds. */
const reconnectDelays = [250, 500, 1000, 2000, 4000] as const

/** Connects to the feed, and passes its messages to the listener. */
export const connect = (url: string, listener: FeedListener): void => {
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
      // The browser does not reconnect after every error, and is slow to do so.
      source.close()
      listener.lost()
      setTimeout(open, reconnectDelays[Math.min(failures++, reconnectDelays.length - 1)])
    })
  }
  open()
}
