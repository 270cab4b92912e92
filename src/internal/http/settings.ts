import type { ThreadStatsSettings } from "../model/settings.js"

export interface HttpReporterSettings
  extends
    Pick<ThreadStatsSettings, "apiKey" | "apiUrl" | "compress" | "delivery" | "disabled" | "requestTimeout">,
    Partial<Pick<ThreadStatsSettings, "hostname" | "seriesVersion" | "acceptedTimestamps" | "units">>
{}
