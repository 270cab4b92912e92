import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import type * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"

/** What a variable says, without the space around it; one that is not set, or empty, says nothing. */
export const read = (
  variable: string,
  provider: ConfigProvider.ConfigProvider
): Effect.Effect<string, ConfigError.ConfigError> =>
  provider.load(Config.string(variable)).pipe(
    Effect.map((value) => value.trim()),
    Effect.catchAll((error) => ConfigError.isMissingDataOnly(error) ? Effect.succeed("") : Effect.fail(error))
  )
