/**
 * Short links behind an HTTP API, with `@effect-aws/lambda`: its handler, this library's invocation.
 *
 *     npx esbuild handler.ts --bundle --minify --platform=node --format=esm --target=node22 --outfile=dist/index.mjs
 *     cd dist && zip ../function.zip index.mjs
 *
 * The function's handler is `index.handler`, its variables are `DD_API_KEY`, `DD_SITE` and `LINKS`, such as
 * `{"docs":"https://example.com/docs"}`.
 */
import { LambdaHandler } from "@effect-aws/lambda"
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from "aws-lambda"
import * as Lambda from "effect-threadstats/Lambda"
import * as ThreadStats from "effect-threadstats/ThreadStats"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"

class NoLink extends Data.TaggedError("NoLink")<{ readonly name: string }> {}

class Links extends Context.Tag("links/Links")<Links, {
  readonly get: (name: string) => Effect.Effect<string, NoLink>
}>() {}

const layerLinks = Layer.effect(
  Links,
  Effect.map(
    Schema.Config("LINKS", Schema.parseJson(Schema.Record({ key: Schema.String, value: Schema.String }))),
    (links) => ({
      get: (name) => Object.hasOwn(links, name) ? Effect.succeed(links[name]!) : new NoLink({ name })
    })
  )
)

const redirect = ({ rawPath }: APIGatewayProxyEventV2) =>
  Effect.flatMap(Links, (links) => links.get(rawPath.slice(1))).pipe(
    ThreadStats.timer("links.duration"),
    Effect.map((location): APIGatewayProxyStructuredResultV2 => ({ statusCode: 302, headers: { location } })),
    Effect.catchTag("NoLink", ({ name }) =>
      Lambda.contextTags.pipe(
        Effect.flatMap((tags) => ThreadStats.event("Unknown link", `somebody asked for ${name}`, { tags })),
        Effect.as<APIGatewayProxyStructuredResultV2>({ statusCode: 404 })
      )),
    Effect.tap(({ statusCode }) => ThreadStats.increment("links.answers", 1, { tags: { status: statusCode } }))
  )

export const handler = LambdaHandler.make({
  handler: (event: APIGatewayProxyEventV2, context) =>
    redirect(event).pipe(
      Lambda.lambdaProgram(),
      Effect.provideService(Lambda.LambdaContext, context)
    ),
  layer: Layer.merge(layerLinks, ThreadStats.layer)
})
