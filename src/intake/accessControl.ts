/**
 * Keeps web pages of elsewhere away from an intake that listens on this machine: what a browser sends says where the page it is
 * sent for comes from (`Origin`), and under which name it found the server (`Host`), which a page that rebinds its own name
 * to this machine cannot change.
 */
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import { isIP } from "node:net"

/** Name and port of a `Host` header or the address of a page; nothing of what is neither. */
const addressOf = (url: string): URL | undefined => URL.canParse(url) ? new URL(url) : undefined

const isLocal = (hostname: string, names: ReadonlyArray<string>): boolean =>
  hostname === "localhost" || isIP(hostname.replace(/^\[|\]$/g, "")) !== 0 || names.includes(hostname)

/** Why a request is not answered, or nothing. Names are in lower case. */
export const refusalOf = (
  { headers, url }: Pick<HttpServerRequest.HttpServerRequest, "headers" | "url">,
  names: ReadonlyArray<string>
): string | undefined => {
  const { host, origin } = headers
  if (host !== undefined && host !== "") {
    const address = addressOf(`http://${host}`)
    if (address === undefined || !isLocal(address.hostname, names)) {
      return `Host ${JSON.stringify(host)} is not a name of this intake`
    }
  }
  if (origin !== undefined && (host === undefined || addressOf(origin)?.host !== addressOf(`http://${host}`)?.host)) {
    return `Origin ${JSON.stringify(origin)} is another one`
  }
  // an image or a script of another page asks without an origin; a link to this page is fine
  const site = headers["sec-fetch-site"]
  const isLink = headers["sec-fetch-mode"] === "navigate" && url.split("?", 1)[0] === "/"
  return site === undefined || site === "same-origin" || site === "none" || isLink
    ? undefined
    : `a request from ${site}`
}

/** Of what a browser shows: nothing is loaded from anywhere, and nothing else may hold or read it. */
export const securityHeaders = {
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY"
}

/** With what a document needs besides: `script-src …`, and the like. */
export const withPolicy = (...directives: ReadonlyArray<string>): typeof securityHeaders => ({
  ...securityHeaders,
  "content-security-policy": [securityHeaders["content-security-policy"], ...directives].join("; ")
})

/** Whether who asks would rather have a page than JSON. */
export const prefersHtml = (accept: string | undefined): boolean => {
  let html = 0
  let json = 0
  for (const entry of (accept ?? "").toLowerCase().split(",")) {
    const [type = "", ...parameters] = entry.split(";").map((part) => part.trim())
    const weight = Number(parameters.find((parameter) => parameter.startsWith("q="))?.slice(2) ?? 1)
    if (type === "text/html") html = weight
    else if (type === "application/json") json = weight
    else if (type === "*/*") json = Math.max(json, weight)
  }
  return html > json
}
