/** Decoders of the receiver's address. */
import * as Either from "effect/Either"
import { type Decoder, decodeTrimmedText, decodeWholeNumber, parseNumber } from "../config/decoders.js"
import type { Target } from "./connection.js"

export const defaultPort = 8125

export const decodePort: Decoder<unknown, number> = decodeWholeNumber(1, 65_535)

export const decodeTargetHost: Decoder<unknown, string> = (value) =>
  Either.flatMap(decodeTrimmedText(value), (text) => {
    const host = text.replace(/^\[(.*)\]$/, "$1")
    return /^[\w.-]+$|^[\da-f:.]+(%[\w.-]+)?$/i.test(host)
      ? Either.right(host)
      : Either.left("expected the name or address of a host. A socket belongs in url, or in DD_DOGSTATSD_URL")
  })

export const decodeTarget: Decoder<unknown, Target> = (value) =>
  Either.flatMap(decodeTrimmedText(value), (text) => {
    const [, scheme = "", rest = ""] = /^(\w+):\/\/(.*)$/.exec(text) ?? []
    switch (scheme.toLowerCase()) {
      case "udp":
        return decodeUdp(rest)
      case "unix":
        return decodeUnix(rest, "either")
      case "unixgram":
        return decodeUnix(rest, "datagram")
      case "unixstream":
        return decodeUnix(rest, "stream")
      default:
        return Either.left("expected udp://host:port, unix:///path, unixgram:///path or unixstream:///path")
    }
  })

const decodeUdp: Decoder<string, Target> = (rest) => {
  const [match, hostText, portText] = /^(\[[^\]]*\]|[^:/]*)(?::([^/]*))?\/?$/.exec(rest) ?? []
  if (match === undefined) return Either.left("expected udp://host:port, with an IPv6 address in brackets")
  return Either.all({
    _tag: Either.right("Udp" as const),
    host: decodeTargetHost(hostText),
    port: portText === undefined ? Either.right(defaultPort) : decodePortText(portText)
  })
}

export const decodePortText: Decoder<string, number> = (text) =>
  /^\d+$/.test(text) ? Either.flatMap(parseNumber(text), decodePort) : decodePort(text)

/** Maximum size of a socket's path on every system: 104 bytes, the last of which is zero. */
const maxPathSize = 103

const decodeUnix = (path: string, framing: "datagram" | "stream" | "either"): Either.Either<Target, string> =>
  path === ""
    ? Either.left("expected a path")
    : Buffer.byteLength(path) > maxPathSize
    ? Either.left(`expected a path of at most ${maxPathSize} bytes, the limit of the operating system`)
    : Either.right({ _tag: "Unix", path, framing })
