import type { APIGatewayProxyEventV2, EventBridgeEvent, SQSEvent } from "aws-lambda"
import { readFileSync } from "node:fs"

const read = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`./events/${name}.json`, import.meta.url), "utf8"))

/** Event documents in the shape in which AWS passes them. */
export const documents = {
  /** Two orders from a queue; the payment of the second is declined. */
  "queue": read("queue") as SQSEvent,
  /** An order over HTTP. */
  "http": read("http") as APIGatewayProxyEventV2,
  /** A stock count from the event bus. */
  "stock": read("stock") as EventBridgeEvent<string, unknown>,
  /** A stock count that cannot be read: this invocation fails. */
  "stock-unreadable": read("stock-unreadable") as EventBridgeEvent<string, unknown>
}

export type Name = keyof typeof documents
