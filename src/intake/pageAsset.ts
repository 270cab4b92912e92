import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import { readFile } from "node:fs/promises"
import { securityHeaders, withPolicy } from "./accessControl.js"

/** Paths of the page: beside this module, and relative to the folder of the bundled command. */
const paths = ["./intakePage.html", "../intakePage.html"]

const readPage = Effect.promise(async () => {
  for (const path of paths) {
    const text = await readFile(new URL(path, import.meta.url), "utf8").catch(() => undefined)
    if (text !== undefined) return text
  }
  return undefined
})

const missingPageText = [
  "The page is not available: the bundle of this program does not contain it. To see the page, run:",
  "",
  "    npx effect-threadstats intake",
  "",
  "To see the received data as JSON, run: curl -H 'accept: application/json' …",
  ""
].join("\n")

/** Returns the hashes of the scripts in a document, which allow them in its content security policy. */
const hashScripts = (html: string): string =>
  Array.from(
    html.matchAll(/<script[^>]*>([^]*?)<\/script>/g),
    ([, script = ""]) => `'sha256-${createHash("sha256").update(script).digest("base64")}'`
  ).join(" ") || "'none'"

const toResponse = (html: string | undefined): HttpServerResponse.HttpServerResponse =>
  html === undefined
    ? HttpServerResponse.text(missingPageText, { headers: securityHeaders })
    : HttpServerResponse.html(html).pipe(HttpServerResponse.setHeaders({
      ...withPolicy(
        `script-src ${hashScripts(html)}`,
        "style-src 'unsafe-inline'",
        "connect-src 'self'",
        "img-src data:"
      ),
      "cache-control": "no-cache"
    }))

/** Creates the response with the page. The file is read on the first request. */
export const make: Effect.Effect<Effect.Effect<HttpServerResponse.HttpServerResponse>> = Effect.cached(
  Effect.map(readPage, toResponse)
)
