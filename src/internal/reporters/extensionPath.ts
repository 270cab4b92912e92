import * as Context from "effect/Context"

/** Path of a file that exists if Datadog's Lambda extension is installed. Source: Datadog's own Lambda libraries check it. */
export class ExtensionPath
  extends /*#__PURE__*/ Context.Reference<ExtensionPath>()("effect-threadstats/AutoReporter/ExtensionPath", {
    defaultValue: () => "/opt/extensions/datadog-agent"
  })
{}
