import { assert, describe, it } from "@effect/vitest"
import { EventPayload } from "effect-threadstats/Event"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import wire from "./fixtures/wire.json" with { type: "json" }
import { events } from "./support/reporterContract.js"

const accepts = (input: unknown) => Either.isRight(Schema.decodeUnknownEither(EventPayload)(input))

const event = { title: "Deployed", text: "version 42" }

describe("EventPayload", () => {
  it("requires a title and a text only", () => {
    assert.isTrue(accepts(event))
    assert.isTrue(accepts({ ...event, text: "" }))
    assert.isFalse(accepts({ title: "Deployed" }))
    assert.isFalse(accepts({ text: "version 42" }))
    assert.isFalse(accepts({ ...event, title: "" }))
  })

  it("limits the length of text and aggregation key, but not of the title", () => {
    assert.isTrue(accepts({ ...event, title: "t".repeat(5000) }))
    assert.isTrue(accepts({ ...event, text: "x".repeat(4000) }))
    assert.isFalse(accepts({ ...event, text: "x".repeat(4001) }))
    assert.isTrue(accepts({ ...event, aggregation_key: "k".repeat(100) }))
    assert.isFalse(accepts({ ...event, aggregation_key: "k".repeat(101) }))
  })

  it("rejects unknown alert types and priorities", () => {
    for (
      const alert_type of ["error", "warning", "info", "success", "user_update", "recommendation", "snapshot"]
    ) assert.isTrue(accepts({ ...event, alert_type }))
    assert.isFalse(accepts({ ...event, alert_type: "fatal" }))
    for (const priority of ["low", "normal", null]) assert.isTrue(accepts({ ...event, priority }))
    assert.isFalse(accepts({ ...event, priority: "high" }))
  })

  it("accepts the events of the reference client", () => {
    const requests = [...wire.plain, ...wire.compressed].filter(({ path }) => path === "/api/v1/events")
    assert.isAbove(requests.length, 0)
    for (const { body } of requests) assert.isTrue(accepts(body))
  })

  it("decodes the events of this library unchanged", () => {
    for (const sent of events) {
      const decoded = Schema.decodeUnknownSync(EventPayload)(JSON.parse(JSON.stringify(sent)))
      assert.deepStrictEqual<unknown>(decoded, sent)
    }
  })
})
