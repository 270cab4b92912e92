import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import type { AcceptedDistribution, AcceptedSeries } from "../../src/intake/model.js"
import * as Validate from "../../src/intake/validate.js"
import type { Verdict } from "../../src/intake/verdict.js"

const now = 1_700_000_000_000
const seconds = now / 1000

const codes = (verdicts: ReadonlyArray<Verdict>) => verdicts.map(({ code }) => code)

const series = (more: Partial<AcceptedSeries> = {}): AcceptedSeries => ({
  metric: "shop.orders",
  type: "gauge",
  points: [[seconds, 1]],
  tags: ["env:test"],
  ...more
})

/** Arbitrary text, and text near the limits of what Datadog accepts. */
const text = FastCheck.oneof(
  FastCheck.string({ unit: "binary", maxLength: 30 }),
  FastCheck.string({ unit: FastCheck.constantFrom(..."aZ9_:-./ é名🚀·"), maxLength: 30 })
)

describe("normalizeTag", () => {
  it("takes linear time for 100,000 marks that are not at the end", () => {
    for (const mark of [":", "_", "_:", " ", "é_"]) {
      const marks = mark.repeat(100_000)
      assert.strictEqual(Validate.normalizeTag(`a${marks}b`).at(-1), "b")
    }
  })

  it("keeps the case of the tags host and device", () => {
    assert.strictEqual(Validate.normalizeTag("host:Web-1"), "host:Web-1")
    assert.strictEqual(Validate.normalizeTag("device:Eth0"), "device:Eth0")
    assert.strictEqual(Validate.normalizeTag("Host:Web-1"), "host:web-1")
    assert.deepStrictEqual(Validate.validateTags("m", ["host:Web-1"]), [])
  })
})

describe("validation of names", () => {
  it("leaves a name unchanged when Datadog accepts it", () => {
    for (const name of ["a", "shop.orders", "A_b.9", "a".repeat(200)]) {
      assert.strictEqual(Validate.normalizeName(name), name)
      assert.deepStrictEqual(Validate.validateName(name), [])
    }
  })

  it("replaces each character that Datadog documents as invalid in a name", () => {
    for (
      const [name, known] of [["shop orders", "shop_orders"], ["shop.größe", "shop.gr__e"], ["a-b/c", "a_b_c"], [
        "a🚀",
        "a_"
      ]] as const
    ) {
      const [verdict, ...rest] = Validate.validateName(name)
      assert.strictEqual(Validate.normalizeName(name), known)
      assert.deepStrictEqual(rest, [])
      assert.deepInclude(verdict, { outcome: "rewritten", code: "NameRewritten", metric: name })
      assert.include(verdict?.message, JSON.stringify(known))
    }
  })

  it("drops a name that is too long or does not begin with a letter", () => {
    for (
      const [name, ...expected] of [
        ["a".repeat(201), "NameTooLong"],
        ["9lives", "NameStart"],
        ["_a", "NameStart"],
        ["", "NameStart"],
        ["été", "NameStart", "NameRewritten"]
      ] as const
    ) {
      const verdicts = Validate.validateName(name)
      assert.deepStrictEqual(codes(verdicts), expected)
      assert.strictEqual(verdicts[0]?.outcome, "dropped")
      assert.deepStrictEqual(Validate.validateSeries(series({ metric: name }), now).points, [])
    }
  })

  it("rewrites any name to a valid one that stays unchanged when rewritten again", () => {
    FastCheck.assert(FastCheck.property(text, (name) => {
      const known = Validate.normalizeName(name)
      assert.match(known, /^[A-Za-z0-9_.]*$/)
      assert.strictEqual(Validate.normalizeName(known), known)
      assert.strictEqual(codes(Validate.validateName(name)).includes("NameRewritten"), known !== name)
    }))
  })
})

describe("validation of tags", () => {
  it("replaces each character that Datadog documents as invalid in a tag", () => {
    for (
      const [tag, known] of [
        ["env:test", "env:test"],
        ["Env:Prod", "env:prod"],
        ["größe:L", "größe:l"],
        ["名:値", "名:値"],
        ["a b:c d", "a_b:c_d"],
        ["a  b", "a_b"],
        ["a__b", "a_b"],
        ["a:b_", "a:b"],
        ["a:", "a"],
        ["a:_:", "a"],
        ["🚀:x", "_:x"],
        ["url:http://a/b?c=d", "url:http://a/b_c_d"]
      ] as const
    ) {
      assert.strictEqual(Validate.normalizeTag(tag), known, tag)
      const rewritten = Validate.validateTags("m", [tag]).filter(({ code }) => code === "TagRewritten")
      assert.lengthOf(rewritten, tag === known ? 0 : 1)
      if (tag !== known) assert.include(rewritten[0]?.message, JSON.stringify(known))
    }
  })

  it("rewrites any tag to a valid one that stays unchanged when rewritten again", () => {
    FastCheck.assert(FastCheck.property(text, (tag) => {
      const known = Validate.normalizeTag(tag)
      assert.match(known, /^[\p{L}\p{M}\p{N}_\-:./]*$/u)
      assert.notMatch(known, /__|[_:]$/)
      assert.strictEqual(Validate.normalizeTag(known), known)
    }))
  })

  it("warns of tags that are too long, do not begin with a letter, or exceed 100", () => {
    const many = Array.from({ length: 101 }, (_, i) => `t:${i}`)
    assert.deepStrictEqual(Validate.validateTags("m", many.slice(1)), [])
    assert.deepStrictEqual(codes(Validate.validateTags("m", many)), ["TooManyTags"])
    assert.deepStrictEqual(codes(Validate.validateTags("m", [`t:${"x".repeat(198)}`])), [])
    assert.deepStrictEqual(codes(Validate.validateTags("m", [`t:${"x".repeat(199)}`])), ["TagTooLong"])
    assert.deepStrictEqual(codes(Validate.validateTags("m", ["9:a"])), ["TagStart"])
    assert.deepStrictEqual(codes(Validate.validateTags("m", ["A", "A"])), ["TagRewritten"])
  })
})

describe("validation of times", () => {
  it("keeps points from one hour ago to ten minutes ahead, to the second", () => {
    const at = [-3601, -3600, 0, 600, 601].map((offset): readonly [number, number] => [seconds + offset, 1])
    const { points, verdicts } = Validate.validateSeries(series({ points: at }), now)
    assert.deepStrictEqual(points, at.slice(1, 4))
    assert.deepStrictEqual(codes(verdicts), ["TooOld", "TooNew"])
    assert.isTrue(verdicts.every(({ outcome }) => outcome === "dropped"))
    assert.match(
      verdicts[0]!.message,
      /^1 of 5 points of "shop\.orders" not within the last 1 h: 2023-11-14T21:13:19\.000Z/
    )
    assert.match(verdicts[1]!.message, /the next 10 min: .*, in 10 min$/)
  })

  it("keeps each point of a payload or count it as dropped", () => {
    const point = FastCheck.tuple(
      FastCheck.oneof(
        FastCheck.integer({ min: seconds - 5000, max: seconds + 2000 }),
        FastCheck.double({ noNaN: true, noDefaultInfinity: true })
      ),
      FastCheck.double({ noNaN: true, noDefaultInfinity: true })
    )
    FastCheck.assert(FastCheck.property(FastCheck.array(point, { maxLength: 20 }), (points) => {
      for (
        const result of [
          Validate.validateSeries(series({ points }), now),
          Validate.validateDistribution(
            { metric: "d", points: points.map(([at, value]) => [at, [value]] as const) },
            now
          )
        ]
      ) {
        for (const [at] of result.points) assert.isTrue(at >= seconds - 3600 && at <= seconds + 600)
        const dropped = result.verdicts.reduce(
          (sum, { code, message }) =>
            code === "TooOld" || code === "TooNew" ? sum + Number(/^\d+/.exec(message)?.[0]) : sum,
          0
        )
        assert.strictEqual(result.points.length + dropped, points.length)
      }
    }))
  })

  it("accepts events up to two hours ahead", () => {
    const event = (date_happened: number) => Validate.validateEvent({ title: "t", text: "", date_happened }, now)
    assert.deepStrictEqual(event(seconds + 7200), [])
    assert.deepStrictEqual(codes(event(seconds + 7201)), ["TooNew"])
    assert.deepStrictEqual(codes(Validate.validateEvent({ title: "t", text: "", tags: ["A"] }, now)), ["TagRewritten"])
  })
})

describe("validation of series and distributions", () => {
  it("warns of a series without a type, and of a rate or count without an interval", () => {
    const validate = (item: AcceptedSeries) => codes(Validate.validateSeries(item, now).verdicts)
    assert.deepStrictEqual(validate(series({ type: "" })), ["NoType"])
    assert.deepStrictEqual(validate(series({ type: "rate" })), ["NoInterval"])
    assert.deepStrictEqual(validate(series({ type: "count", interval: 0 })), ["NoInterval"])
    assert.deepStrictEqual(validate(series({ type: "count", interval: 10 })), [])
    assert.deepStrictEqual(validate(series()), [])
  })

  it("applies the rules of names, times and tags to distributions", () => {
    const item: AcceptedDistribution = { metric: "größe", points: [[0, [1]]], tags: ["A"] }
    assert.deepStrictEqual(codes(Validate.validateDistribution(item, now).verdicts), [
      "NameRewritten",
      "TooOld",
      "TagRewritten"
    ])
  })
})

describe("findWidestTag", () => {
  it("returns the tag key with the most values", () => {
    const tags = Array.from({ length: 5 }, (_, i) => ["env:a", `user:${i}`, `shard:${i % 3}`])
    assert.deepStrictEqual(Validate.findWidestTag(tags), { key: "user", values: 5 })
    assert.deepStrictEqual(Validate.findWidestTag([]), { key: "", values: 0 })
  })
})

describe("verdict messages", () => {
  it("quotes names without control characters, and at most 700 characters in total", () => {
    const hostile = "<img src=x onerror=alert(1)>\u202e\n\u0000"
    FastCheck.assert(
      FastCheck.property(FastCheck.oneof(text, FastCheck.constant(hostile)), FastCheck.nat(300), (name, times) => {
        const long = name.repeat(1 + times)
        for (const { message } of [...Validate.validateName(long), ...Validate.validateTags(long, [long])]) {
          assert.notMatch(message, /[\n\u0000]/)
          assert.isBelow(message.length, 700)
        }
      })
    )
  })
})
