import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Effect from "effect/Effect"

const series = {
  series: [{
    metric: "orders.received",
    points: [[Date.now() / 1000, 1]],
    type: "rate",
    tags: ["shop:eu"],
    interval: 10
  }]
}

export const handler = (): Promise<string> =>
  HttpClient.execute(
    HttpClientRequest.post(`${process.env.DATADOG_HOST}/api/v1/series`, {
      headers: { "dd-api-key": process.env.DD_API_KEY },
      body: HttpBody.unsafeJson(series)
    })
  ).pipe(
    Effect.flatMap((response) => response.text),
    Effect.as("done"),
    Effect.provide(FetchHttpClient.layer),
    Effect.runPromise
  )
