import { assert, describe, it } from "@effect/vitest"
import type { Event } from "effect-threadstats/Event"
import { encodeLines, makeEncoder } from "./encoding.js"
import { type EventLine, parse } from "./lineParser.js"

const parseEvent = (line: string): EventLine => {
  const parsed = parse(line)
  return parsed.sort === "event" ? parsed : assert.fail(line)
}

const hostile = "a|b:c\nd,e#f@g\u0000h\r\ti\ud83d\ud83d\ude80ü"

describe("eventLine", () => {
  it("escapes line ends of title and text, and replaces separators in fields and tags", () => {
    const events: ReadonlyArray<Event> = [
      {
        title: hostile,
        text: hostile,
        host: hostile,
        aggregation_key: hostile,
        source_type_name: hostile,
        device_name: hostile,
        alert_type: "snapshot",
        tags: [hostile]
      },
      { title: "\n", text: "\r\n|\r", date_happened: 1.9, tags: [] },
      { title: "next", text: "", tags: [] }
    ]
    const [first, second, third] = encodeLines(events).map(parseEvent)
    const field = "a_b:c_d,e#f@g_h__i\ufffd\ud83d\ude80ü"
    const tag = "a_b:c_d_e_f_g_h__i__ü"
    const text = "a|b:c\nd,e#f@g\u0000h\n\ti\ufffd\ud83d\ude80ü"
    assert.deepInclude(first, { title: text, text, fields: { h: field, k: field, s: field } })
    assert.deepStrictEqual(first!.tags, [tag, `device:${tag}`])
    assert.deepInclude(second, { title: "\n", text: "\n|\n", fields: { d: "1" } })
    assert.deepInclude(third, { title: "next", text: "", fields: {}, tags: [] })
  })

  it("refuses an event without a title, and one whose title is longer than a packet", () => {
    const { lines, refused } = makeEncoder()([
      { title: "", text: "text", tags: [] },
      { title: "t".repeat(9000), text: "", tags: [] },
      { title: "next", text: "", tags: [] }
    ])
    assert.deepStrictEqual(lines, ["_e{4,0}:next|"])
    assert.deepStrictEqual(refused.map(({ index, reason }) => [index, reason]), [
      [0, "Encoding"],
      [1, "PayloadTooLarge"]
    ])
  })

  it("cuts a text that is too long, between characters and escapes", () => {
    const { lines, packets } = makeEncoder()([
      { title: "u", text: "ü".repeat(4000) + "\ud83d\ude80".repeat(100) + "\n\n", tags: ["a:b"] },
      { title: "v", text: `${"x".repeat(8176)}\n${"y".repeat(100)}`, tags: [] }
    ])
    assert.strictEqual(packets.length, 2)
    for (const line of lines) {
      assert.isAtMost(Buffer.byteLength(line) + 1, 8192)
      assert.isAtLeast(Buffer.byteLength(line) + 1, 8188)
      assert.match(parseEvent(line).text, /^ü+\ud83d\ude80*$|^x+$/u)
    }
  })
})
