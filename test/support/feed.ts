import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Messages } from "../../src/internal/intakeFeed.js"

/** One event of a feed, as it came. */
export type Message = { readonly [Name in keyof Messages]: { readonly event: Name; readonly data: Messages[Name] } }[
  keyof Messages
]

export interface Reader {
  readonly headers: Headers
  /** All that came so far. */
  readonly messages: ReadonlyArray<Message>
  /** What came, comments and all. */
  readonly text: () => string
  /** Waits for a message of this name, of those that are new since the last time. */
  readonly next: <Name extends keyof Messages>(
    name: Name,
    is?: (data: Messages[Name]) => boolean
  ) => Effect.Effect<Messages[Name]>
  /** Whether the stream ended, and how. */
  readonly ended: Effect.Effect<"end" | "error">
}

const within = <A>(promise: Promise<A>, what: string): Promise<A> =>
  Promise.race([
    promise,
    new Promise<never>((_, reject) => {
      setTimeout(() => reject(new Error(`timed out: ${what}`)), 15_000).unref()
    })
  ])

/** Reads `GET /feed` for as long as the scope is open, as a browser does. */
export const open = (
  url: string,
  headers: Record<string, string> = {}
): Effect.Effect<Reader, never, Scope.Scope> =>
  Effect.gen(function*() {
    const controller = yield* Effect.acquireRelease(
      Effect.sync(() => new AbortController()),
      (controller) => Effect.sync(() => controller.abort())
    )
    const response = yield* Effect.promise(() => fetch(`${url}/feed`, { signal: controller.signal, headers }))
    const messages: Array<Message> = []
    let seen = 0
    let text = ""
    let wake = () => {}
    const take = (block: string) => {
      const fields = Object.fromEntries(
        block.split("\n").map((line) => {
          const colon = line.indexOf(":")
          return [line.slice(0, colon), line.slice(colon + 1).trim()]
        })
      )
      if (fields["event"] !== undefined) {
        messages.push({ event: fields["event"], data: JSON.parse(fields["data"] ?? "") } as Message)
      }
    }
    const ended = (async (): Promise<"end" | "error"> => {
      let rest = ""
      const decoder = new TextDecoder()
      try {
        for await (const chunk of response.body!) {
          const more = decoder.decode(chunk as Uint8Array, { stream: true })
          text += more
          const blocks = (rest + more).split("\n\n")
          rest = blocks.pop()!
          blocks.forEach(take)
          wake()
        }
        return "end"
      } catch {
        return "error"
      } finally {
        wake()
      }
    })()
    return {
      headers: response.headers,
      messages,
      text: () => text,
      ended: Effect.promise(() => within(ended, "the end of the feed")),
      next: <Name extends keyof Messages>(name: Name, is: (data: Messages[Name]) => boolean = () => true) =>
        Effect.promise(() =>
          within(
            (async () => {
              for (;;) {
                while (seen < messages.length) {
                  const message = messages[seen++]!
                  if (message.event === name && is(message.data as Messages[Name])) {
                    return message.data as Messages[Name]
                  }
                }
                await new Promise<void>((resume) => {
                  wake = resume
                })
              }
            })(),
            `${name} after ${messages.length} messages`
          )
        )
    }
  })
