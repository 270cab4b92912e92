import * as Effect from "effect/Effect"

export const handler = (): Promise<string> => Effect.runPromise(Effect.succeed("done"))
