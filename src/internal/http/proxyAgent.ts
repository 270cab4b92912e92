/** Requests through a proxy, over `node:http`: a tunnel to an address with TLS, and requests with the whole address to others. */
import type * as Http from "node:http"
import type * as Https from "node:https"
import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import { builtin } from "../runtime/nodeBuiltin.js"
import type { ProxySettings } from "./proxySettings.js"

type Connected = (error: Error | null, socket?: Duplex) => void

/** Method of an agent that opens a connection. Node.js documents it; its types lack the options and the callback. */
interface Connecting {
  createConnection(options: Https.RequestOptions & { readonly socket?: Duplex }, done: Connected): Duplex | undefined
}

/** Code of a tunnel that the proxy refused. The request was not sent. */
export const tunnelRefused = "ERR_PROXY_TUNNEL"

/** Time limit of an idle tunnel that is not open yet, in milliseconds. */
const tunnelTimeout = 30_000

/** Returns the headers with which the proxy accepts a request. */
export const proxyHeaders = ({ url: { password, username } }: ProxySettings): Record<string, string> =>
  username === "" ? {} : {
    "proxy-authorization": `Basic ${
      Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString("base64")
    }`
  }

/** Returns an error that names the proxy, in place of an error of the connection to it. */
export const nameProxy = ({ name }: ProxySettings, error: unknown): unknown =>
  error instanceof Error && !error.message.includes(name)
    ? Object.assign(new Error(`${error.message || "the connection failed"} (through the proxy ${name})`), {
      name: error.name,
      code: (error as NodeJS.ErrnoException).code
    })
    : error

const refusal = ({ name }: ProxySettings, status: number | undefined): Error => {
  const advice = status === 407
    ? "Add a user name and a password to the address of the proxy"
    : "Check the settings of the proxy"
  return Object.assign(new Error(`the proxy ${name} refused the connection with status ${status}. ${advice}`), {
    code: tunnelRefused
  })
}

/** Makes an agent of `node:https` whose connections go through a tunnel. */
export const makeTunnelAgent = (proxy: ProxySettings, options: Https.AgentOptions): Http.Agent => {
  const { Agent } = builtin<typeof import("node:https")>("node:https")
  const { request } = builtin<typeof import("node:http")>(proxy.url.protocol === "https:" ? "node:https" : "node:http")
  const openTls = (Agent.prototype as unknown as Connecting).createConnection
  class TunnelAgent extends Agent implements Connecting {
    override createConnection(target: Parameters<Connecting["createConnection"]>[0], done: Connected): undefined {
      const authority = `${target.host}:${target.port}`
      const connect = request({
        method: "CONNECT",
        hostname: proxy.url.hostname.replace(/^\[|\]$/g, ""),
        port: proxy.url.port,
        path: authority,
        headers: { host: authority, ...proxyHeaders(proxy) },
        agent: false,
        timeout: tunnelTimeout
      })
      // The time limit of the request keeps the process alive, not a tunnel that its request no longer waits for.
      connect.once("socket", (socket) => socket.unref())
      connect.once("timeout", () => connect.destroy(new Error(`the proxy ${proxy.name} did not answer`)))
      connect.once("error", (error) => done(error))
      connect.once("connect", (response, socket: Socket) => {
        if (response.statusCode === 200) {
          socket.ref()
          done(null, openTls.call(this, { ...target, socket }, () => {}))
          return
        }
        socket.destroy()
        done(refusal(proxy, response.statusCode))
      })
      connect.end()
    }
  }
  return new TunnelAgent(options)
}
