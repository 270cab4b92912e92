import { assert, describe, it } from "@effect/vitest"
import { findProblems } from "../../src/intake/cli/finish.js"
import { type SavedData, serializeData } from "../../src/intake/cli/save.js"
import type { IntakeRequest } from "../../src/intake/model.js"
import { makeVerdict } from "../../src/intake/verdict.js"

const request = (body: unknown): IntakeRequest => ({
  receivedAt: 0,
  method: "POST",
  path: "/api/v1/series",
  headers: {},
  bytes: 1,
  unpackedBytes: 1,
  encoding: "identity",
  body,
  status: 202,
  duration: 1,
  fault: undefined,
  reason: undefined,
  verdicts: []
})

const empty: SavedData = { summary: {}, series: [], distributions: [], events: [], serviceChecks: [], requests: [] }

const saved = (part: Partial<SavedData>) => JSON.parse([...serializeData({ ...empty, ...part })].join(""))

describe("serializeData", () => {
  it("writes the same document as JSON.stringify", () => {
    const data = { ...empty, summary: { ok: true }, requests: [request({ series: [] }), request(null)] }
    assert.strictEqual([...serializeData(data)].join(""), `${JSON.stringify(data, undefined, 2)}\n`)
  })

  it("replaces the body of a request that cannot be serialized, and keeps everything else", () => {
    let deep: unknown = 1
    for (let i = 0; i < 100_000; i++) deep = [deep]
    const { requests } = saved({ requests: [request("first"), request(deep), request("last")] })
    assert.deepStrictEqual([requests[0].body, requests[2].body], ["first", "last"])
    assert.strictEqual(requests[1].path, "/api/v1/series")
    assert.match(requests[1].body.notSerializable, /call stack/)
  })

  it("replaces an element of another kind that cannot be serialized", () => {
    const cyclic: Record<string, unknown> = {}
    cyclic["self"] = cyclic
    const { events, series } = saved({ events: [cyclic as never], series: [] })
    assert.match(events[0].notSerializable, /circular/)
    assert.deepStrictEqual(series, [])
  })
})

describe("findProblems", () => {
  const none = { accepted: 0, faulted: 0, refused: 0 }
  const strict = { allowEmpty: false, allowFaults: false, allowRefused: false }
  const refusal = { ...makeVerdict("refused", "WrongKey", null, "Forbidden"), count: 1 }
  const drop = { ...makeVerdict("dropped", "TooOld", "a", "a point is too old"), count: 1 }
  const warning = { ...makeVerdict("warning", "NoType", "a", "a has no type"), count: 1 }

  it("returns nothing when Datadog has all data", () => {
    assert.deepStrictEqual(findProblems({ ...none, accepted: 1 }, [warning], strict), [])
  })

  it("returns each problem in words", () => {
    assert.deepStrictEqual(findProblems(none, [], strict), ["nothing was received"])
    assert.deepStrictEqual(findProblems({ accepted: 1, faulted: 1, refused: 2 }, [drop, refusal], strict), [
      "Datadog would drop data (TooOld)",
      "2 requests refused (WrongKey)",
      "1 request lost to a fault"
    ])
  })

  it("returns no problem that is allowed, and always dropped data", () => {
    assert.deepStrictEqual(findProblems(none, [], { ...strict, allowEmpty: true }), [])
    const counts = { accepted: 0, faulted: 1, refused: 2 }
    const allowances = { ...strict, allowFaults: true, allowRefused: true }
    assert.deepStrictEqual(findProblems(counts, [refusal], allowances), [])
    assert.deepStrictEqual(findProblems(counts, [drop], allowances), ["Datadog would drop data (TooOld)"])
  })
})
