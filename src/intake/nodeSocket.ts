import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import { Socket } from "node:net"

/** Returns the socket of a request if the server is that of Node.js; `undefined` otherwise. */
export const socketOf = ({ source }: HttpServerRequest.HttpServerRequest): Socket | undefined =>
  typeof source === "object" && source !== null && "socket" in source && source.socket instanceof Socket
    ? source.socket
    : undefined
