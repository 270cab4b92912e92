/** The proxy that the environment names for the API. */
import * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { variable } from "../config/environment.js"

/** Address of a proxy. Its user name and password appear in no error. */
export interface ProxySettings {
  readonly url: URL
  /** Address without user name and password. */
  readonly name: string
}

const variables = {
  "https:": ["DD_PROXY_HTTPS", "HTTPS_PROXY", "https_proxy"],
  "http:": ["DD_PROXY_HTTP", "HTTP_PROXY", "http_proxy"]
} as const

const exclusions = ["DD_PROXY_NO_PROXY", "NO_PROXY", "no_proxy"]

const isLoopback = (host: string): boolean =>
  host === "localhost" || host.endsWith(".localhost") || /^127\.|^\[::1\]$/.test(host)

/** True if a list of hosts and domains contains the host of a URL. An entry may have a port; `*` stands for all hosts. */
const isExcluded = ({ hostname, port, protocol }: URL, list: string): boolean => {
  const ownPort = port || (protocol === "https:" ? "443" : "80")
  return list.toLowerCase().split(/[\s,]+/).some((entry) => {
    const [, host = "", entryPort = ownPort] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? []
    const domain = host.replace(/^\*?\./, "")
    return entry === "*" ||
      (domain !== "" && entryPort === ownPort && (hostname === domain || hostname.endsWith(`.${domain}`)))
  })
}

const parseProxy = (name: string, text: string): Effect.Effect<ProxySettings, ConfigError.ConfigError> => {
  const address = /^\w+:\/\//.test(text) ? text : `http://${text}`
  const url = URL.canParse(address) ? new URL(address) : undefined
  // The message does not show the value, which may contain a password.
  return url === undefined || !/^https?:$/.test(url.protocol)
    ? Effect.fail(
      ConfigError.InvalidData([name], "expected the address of an HTTP proxy, such as http://proxy.example:3128")
    )
    : Effect.succeed({ url, name: url.origin })
}

/** Returns the value of the first variable that is set, and its name. */
const firstOf = Effect.fnUntraced(function*(names: ReadonlyArray<string>) {
  for (const name of names) {
    const value = yield* variable(name)
    if (Option.isSome(value)) return { name, value: value.value }
  }
  return undefined
})

/** Returns the proxy for the API, or undefined. Loopback addresses have none. */
export const resolveProxy = Effect.fnUntraced(
  function*(apiUrl: string): Effect.fn.Return<ProxySettings | undefined, ConfigError.ConfigError> {
    if (!URL.canParse(apiUrl)) return undefined
    const target = new URL(apiUrl)
    const names = target.protocol === "https:" ? variables["https:"] : variables["http:"]
    const proxy = yield* firstOf(names)
    if (proxy === undefined || isLoopback(target.hostname)) return undefined
    for (const name of exclusions) {
      const list = yield* variable(name)
      if (Option.isSome(list) && isExcluded(target, list.value)) return undefined
    }
    return yield* parseProxy(proxy.name, proxy.value)
  }
)
