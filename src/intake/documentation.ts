/** Documentation of the routes: the document at `/openapi.json` and the page at `/docs`, which derives from it. */
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as OpenApi from "@effect/platform/OpenApi"
import * as Effect from "effect/Effect"
import { withPolicy } from "./accessControl.js"
import { IntakeApi } from "./api.js"

/** Builds the OpenAPI document for each request: it takes longer than the start of an intake. */
export const openApiDocument = Effect.sync(() => HttpServerResponse.unsafeJson(OpenApi.fromApi(IntakeApi)))

const escapeHtml = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("\"", "&quot;")

const methods = ["get", "post"] as const

/** Writes the schema of a body, folded. */
const renderContent = (title: string, content: OpenApi.OpenApiSpecContent | undefined): string =>
  Object.entries(content ?? {}).map(([type, body]) => {
    const schema = escapeHtml(JSON.stringify(body?.schema, undefined, 2))
    return `<details><summary>${escapeHtml(`${title}: ${type}`)}</summary><pre>${schema}</pre></details>`
  }).join("")

const renderOperation = (method: string, path: string, operation: OpenApi.OpenAPISpecOperation): string => {
  const responses = Object.entries(operation.responses)
    .map(([status, { content, description }]) => renderContent(`${status} ${description}`, content))
  return `<section><h2><code>${method.toUpperCase()} ${escapeHtml(path)}</code></h2>` +
    `<p>${escapeHtml(operation.description ?? "")}</p>` +
    renderContent("Body", operation.requestBody?.content) + responses.join("") + "</section>"
}

const style =
  "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}" +
  "h2{font-size:1.1rem;margin:2rem 0 0}p{margin:.25rem 0}pre{overflow:auto;padding:.5rem;border:1px solid #8888}"

const renderPage = ({ components, info, paths }: OpenApi.OpenAPISpec): string => {
  const operations = Object.entries(paths).flatMap(([path, item]) =>
    methods.flatMap((method) => item[method] === undefined ? [] : [renderOperation(method, path, item[method])])
  )
  const schemas = escapeHtml(JSON.stringify(components.schemas, undefined, 2))
  return "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">" +
    `<meta name="viewport" content="width=device-width"><title>${
      escapeHtml(info.title)
    }</title><style>${style}</style></head>` +
    `<body><h1>${escapeHtml(info.title)} ${escapeHtml(info.version)}</h1><p>${escapeHtml(info.description ?? "")}</p>` +
    `<p>The same as OpenAPI: <code>/openapi.json</code>.</p>${operations.join("")}` +
    `<section><h2>Schemas</h2><details><summary>All</summary><pre>${schemas}</pre></details></section></body></html>`
}

/** Builds the page for each request. It has no script. */
export const documentationPage = Effect.sync(() =>
  HttpServerResponse.setHeaders(
    HttpServerResponse.html(renderPage(OpenApi.fromApi(IntakeApi))),
    withPolicy("style-src 'unsafe-inline'")
  )
)
