import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import { readFile } from "node:fs/promises"
import { securityHeaders, withPolicy } from "./accessControl.js"

/** Beside this module, or where the bundled command finds it from its own folder. */
const places = ["./intakePage.html", "../intakePage.html"]

const read = Effect.promise(async () => {
  for (const place of places) {
    const text = await readFile(new URL(place, import.meta.url), "utf8").catch(() => undefined)
    if (text !== undefined) return text
  }
  return undefined
})

const missing = [
  "The page is not part of this bundle. To have it:",
  "",
  "    npx effect-threadstats intake",
  "",
  "What arrived is shown as JSON to who asks for it: curl -H 'accept: application/json' …",
  ""
].join("\n")

/** The scripts of a document, as a policy names them: by what they are. */
const hashesOf = (html: string): string =>
  Array.from(
    html.matchAll(/<script[^>]*>([^]*?)<\/script>/g),
    ([, script = ""]) => `'sha256-${createHash("sha256").update(script).digest("base64")}'`
  ).join(" ") || "'none'"

const respond = (html: string | undefined): HttpServerResponse.HttpServerResponse =>
  html === undefined
    ? HttpServerResponse.text(missing, { headers: securityHeaders })
    : HttpServerResponse.html(html).pipe(HttpServerResponse.setHeaders({
      ...withPolicy(
        `script-src ${hashesOf(html)}`,
        "style-src 'unsafe-inline'",
        "connect-src 'self'",
        "img-src data:"
      ),
      "cache-control": "no-cache"
    }))

/** The page, read when it is first asked for. */
export const make: Effect.Effect<Effect.Effect<HttpServerResponse.HttpServerResponse>> = Effect.cached(
  Effect.map(read, respond)
)
