/**
 * Access control: keeps pages of other sites away from an intake that listens on this machine. A browser sends the origin of the
 * page (`Origin`) and the name under which it found the server (`Host`). A page that makes its own name resolve to this machine
 * cannot change the latter.
 */
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import { isIP } from "node:net"
import { quoteText } from "./verdict.js"

const parseUrl = (url: string): URL | undefined => URL.canParse(url) ? new URL(url) : undefined

const isLocalName = (hostname: string, names: ReadonlyArray<string>): boolean =>
  hostname === "localhost" || isIP(hostname.replace(/^\[|\]$/g, "")) !== 0 || names.includes(hostname)

/** Returns the reason to refuse a request; `undefined` if it is allowed. `names` are allowed host names in lower case. */
export const findAccessViolation = (
  { headers, url }: Pick<HttpServerRequest.HttpServerRequest, "headers" | "url">,
  names: ReadonlyArray<string>
): string | undefined => {
  const { host, origin } = headers
  if (host !== undefined && host !== "") {
    const address = parseUrl(`http://${host}`)
    if (address === undefined || !isLocalName(address.hostname, names)) {
      return `Host ${quoteText(host)} is not a name of this intake. ` +
        "Allow it with --allow-host or the option hosts"
    }
  }
  if (origin !== undefined && (host === undefined || parseUrl(origin)?.host !== parseUrl(`http://${host}`)?.host)) {
    return `Origin ${quoteText(origin)} is not the origin of this intake`
  }
  // Images and scripts of another page are requested without an origin. A link to the page of the intake is allowed.
  const site = headers["sec-fetch-site"]
  const isLink = headers["sec-fetch-mode"] === "navigate" && url.split("?", 1)[0] === "/"
  return site === undefined || site === "same-origin" || site === "none" || isLink
    ? undefined
    : `The request comes from a page of another site (${site})`
}

/** Headers that forbid a browser to load anything, and other pages to frame or read the response. */
export const securityHeaders = {
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY"
}

/** Adds directives to the policy, such as `script-src …`. */
export const withPolicy = (...directives: ReadonlyArray<string>): typeof securityHeaders => ({
  ...securityHeaders,
  "content-security-policy": [securityHeaders["content-security-policy"], ...directives].join("; ")
})

/** Returns whether an `Accept` header prefers HTML to JSON. */
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
