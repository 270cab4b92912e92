import * as Effect from "effect/Effect"
import type { Connection, Target } from "./connection.js"
import { SocketError } from "./socketError.js"
import { openUdp } from "./udp.js"
import { openDatagram, type UnixDatagrams } from "./unixDatagram.js"
import { openStream } from "./unixStream.js"

/** Opens a connection. Datagrams over a Unix socket need the package `unix-dgram`, which the caller loads. */
export const openConnection = (
  target: Target,
  unixDatagrams: UnixDatagrams | undefined
): Effect.Effect<Connection, SocketError> => {
  if (target._tag === "Udp") return openUdp(target.host, target.port)
  if (target.framing === "stream") return openStream(target.path)
  if (unixDatagrams === undefined) return Effect.mapError(openStream(target.path), suggestPackage)
  const datagram = openDatagram(unixDatagrams, target.path)
  return target.framing === "datagram"
    ? datagram
    : Effect.catchIf(datagram, isSocketTypeMismatch, () => openStream(target.path))
}

const isSocketTypeMismatch = ({ code }: SocketError): boolean => code === "EPROTOTYPE"

const suggestPackage = (error: SocketError): SocketError =>
  isSocketTypeMismatch(error)
    ? new SocketError({ ...error, description: "the socket receives datagrams. Install the package unix-dgram" })
    : error
