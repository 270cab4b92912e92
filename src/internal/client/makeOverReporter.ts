import * as Effect from "effect/Effect"
import { Reporter } from "../../Reporter.js"
import type { ThreadStatsConfig } from "../../ThreadStatsConfig.js"
import { wayTo } from "../pipeline/reporterExporter.js"
import { type ClientOptions, makeWithPipeline } from "./makeClient.js"

/** Creates a client that sends through the reporter of the context, or through one pipeline for each part of a combined reporter. */
export const makeOverReporter = (config: ThreadStatsConfig, options?: ClientOptions) =>
  makeWithPipeline(
    config,
    (shared) => Effect.flatMap(Reporter, (reporter) => wayTo(shared, reporter)),
    options
  )
