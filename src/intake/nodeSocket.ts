import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import { Socket } from "node:net"

const sourceOf = ({ source }: HttpServerRequest.HttpServerRequest): { readonly [field: string]: unknown } =>
  typeof source === "object" && source !== null ? source as never : {}

/** Returns the socket of a request if the server is that of Node.js; `undefined` otherwise. */
export const socketOf = (request: HttpServerRequest.HttpServerRequest): Socket | undefined => {
  const { socket } = sourceOf(request)
  return socket instanceof Socket ? socket : undefined
}

/**
 * Returns whether Node.js handed over the connection of a request because the client wants another protocol. Node.js then handles
 * neither errors nor the end of the socket.
 */
export const isUpgrade = (request: HttpServerRequest.HttpServerRequest): boolean =>
  sourceOf(request)["upgrade"] === true
