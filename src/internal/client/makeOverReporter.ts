import * as Effect from "effect/Effect"
import { Reporter } from "../model/Reporter.js"
import type { ThreadStatsSettings } from "../model/settings.js"
import * as fanOut from "../pipeline/fanOut.js"
import { type ClientOptions, makeWithPipeline } from "./makeClient.js"

/** Creates a client that sends through the reporter of the context, or through one pipeline for each part of a combined reporter. */
export const makeOverReporter = (config: ThreadStatsSettings, options?: ClientOptions) =>
  makeWithPipeline(
    config,
    (services) => Effect.flatMap(Reporter, (reporter) => fanOut.make(services, reporter)),
    options
  )
