import * as Effect from "effect/Effect"
import { ThreadStatsConfig } from "../../ThreadStatsConfig.js"
import type { Reporter } from "../model/Reporter.js"
import * as noop from "./noop.js"

/** Makes a reporter, or one that sends nothing if the client is disabled, so that no setting of the reporter can fail that client. */
export const unlessDisabled = <E, R>(
  make: Effect.Effect<Reporter["Type"], E, R>
): Effect.Effect<Reporter["Type"], E, R | ThreadStatsConfig> =>
  Effect.flatMap(ThreadStatsConfig, ({ disabled }) => disabled ? Effect.sync(noop.make) : make)
