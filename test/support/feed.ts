/** Reads the feed of a local intake, as its page does. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Messages } from "../../src/intake/feedProtocol.js"
import { Handler } from "./intake.js"
import { requestOf } from "./intakeClient.js"

/** One event of a feed, as it arrived. */
export type Message = { readonly [Name in keyof Messages]: { readonly event: Name; readonly data: Messages[Name] } }[
  keyof Messages
]

export interface Reader {
  readonly headers: Headers
  /** All messages that arrived so far. */
  readonly messages: ReadonlyArray<Message>
  /** The stream so far, with its comments. */
  readonly text: () => string
  /** Waits for a message of this name among those that no earlier call consumed. It dies if the feed ends before. */
  readonly next: <Name extends keyof Messages>(
    name: Name,
    isWanted?: (data: Messages[Name]) => boolean
  ) => Effect.Effect<Messages[Name]>
  /** Waits until the text of the stream ends with this. */
  readonly textEndsWith: (end: string) => Effect.Effect<void>
  /** Waits for the end of the stream. Returns whether it was ended or broken. */
  readonly ended: Effect.Effect<"end" | "error">
}

const parse = (block: string): Message | undefined => {
  const fields = Object.fromEntries(
    block.split("\n").map((line) => {
      const colon = line.indexOf(":")
      return [line.slice(0, colon), line.slice(colon + 1).trim()]
    })
  )
  return fields["event"] === undefined
    ? undefined
    : { event: fields["event"], data: JSON.parse(fields["data"] ?? "") } as Message
}

/** Reads a response until its end, or until the scope closes. */
const read = (response: Response): Effect.Effect<Reader, never, Scope.Scope> =>
  Effect.gen(function*() {
    const body = yield* Effect.acquireRelease(
      Effect.sync(() => response.body!.getReader()),
      (body) => Effect.promise(() => body.cancel().catch(() => {}))
    )
    const messages: Array<Message> = []
    let consumed = 0
    let text = ""
    let isOver = false
    let wake = () => {}
    const ended = (async (): Promise<"end" | "error"> => {
      let incomplete: Array<string> = []
      const decoder = new TextDecoder()
      try {
        for (;;) {
          const { done, value } = await body.read()
          if (done) return "end"
          const chunk = decoder.decode(value, { stream: true })
          text += chunk
          incomplete.push(chunk)
          // A message of a megabyte arrives in many chunks: they are joined once.
          if (!`${incomplete.at(-2)?.at(-1) ?? ""}${chunk}`.includes("\n\n")) continue
          const blocks = incomplete.join("").split("\n\n")
          incomplete = [blocks.pop()!]
          for (const block of blocks) {
            const message = parse(block)
            if (message !== undefined) messages.push(message)
          }
          wake()
        }
      } catch {
        return "error"
      } finally {
        isOver = true
        wake()
      }
    })()
    const until = async <A>(find: () => A | undefined, wanted: string): Promise<A> => {
      for (;;) {
        const found = find()
        if (found !== undefined) return found
        if (isOver) throw new Error(`The feed ended before ${wanted}. Messages received: ${messages.length}.`)
        await new Promise<void>((resume) => {
          wake = resume
        })
      }
    }
    return {
      headers: response.headers,
      messages,
      text: () => text,
      ended: Effect.promise(() => ended),
      textEndsWith: (end) =>
        Effect.promise(async () => {
          await until(() => text.endsWith(end) ? true : undefined, JSON.stringify(end))
        }),
      next: <Name extends keyof Messages>(name: Name, isWanted: (data: Messages[Name]) => boolean = () => true) =>
        Effect.promise(() =>
          until(() => {
            while (consumed < messages.length) {
              const message = messages[consumed++]!
              const data = message.data as Messages[Name]
              if (message.event === name && isWanted(data)) return data
            }
            return undefined
          }, name)
        )
    }
  })

/** Reads `GET /feed` over HTTP while the scope is open. */
export const open = (
  url: string,
  headers: Record<string, string> = {}
): Effect.Effect<Reader, never, Scope.Scope> =>
  Effect.flatMap(Effect.promise((signal) => fetch(`${url}/feed`, { signal, headers })), read)

/** Reads `GET /feed` of an intake in process while the scope is open. */
export const openInProcess: Effect.Effect<Reader, never, Scope.Scope | Handler> = Effect.flatMap(
  Handler,
  (handler) => Effect.flatMap(Effect.promise(() => handler(requestOf("GET", "/feed"))), read)
)
