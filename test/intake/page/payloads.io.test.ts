import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { emptyHealth } from "../../../src/intake/feedProtocol.js"
import { act, evaluate, until } from "../../support/page.js"
import { describePage, open, openScripted, postSeries, requestOf, verdict } from "../../support/pageTests.js"

describePage("payload log", (it) => {
  it.scoped("shows totals and verdicts of requests, and filters by verdict, fault and code", () =>
    Effect.gen(function*() {
      const { page, server, errors } = yield* openScripted()
      const old = verdict("dropped", "TooOld", "It is older than an hour.")
      yield* server.update({
        requests: [
          requestOf(1, {}),
          requestOf(2, { verdicts: [old, old], more: 3 }),
          requestOf(3, {
            status: 400,
            reason: "Not JSON.",
            verdicts: [verdict("refused", "NotJson", "Not JSON.")]
          }),
          requestOf(4, { status: 503, fault: "status=503 rate=0.2" }),
          requestOf(5, { verdicts: [verdict("rewritten", "NameRewritten", "a-b will be a_b.")] }),
          requestOf(6, { protocol: "dogstatsd", target: "UDP", status: null, duration: null, encoding: "identity" })
        ],
        health: {
          ...emptyHealth,
          requests: 5,
          datagrams: 1,
          refused: 2,
          bytes: 600,
          unpackedBytes: 2520,
          verdicts: { TooOld: 5 }
        }
      })
      yield* act(() => page.getByRole("tab", { name: "Payloads" }).click())
      yield* until(page, `document.querySelector(".tile .value")?.textContent === "5"`)
      const tiles = yield* evaluate<ReadonlyArray<string>>(
        page,
        `[...document.querySelectorAll(".tile")].map((tile) => tile.innerText.replace("\\n", " "))`
      )
      assert.deepStrictEqual(tiles.slice(0, 6), [
        "Requests 5",
        "Refused 2",
        "Datagrams 1",
        "Sent bytes 600 B",
        "Uncompressed 2.5 kB",
        "Compression 4.2×"
      ])
      const marks = () =>
        evaluate<ReadonlyArray<string>>(
          page,
          `[...document.querySelectorAll(".marks")].map((e) => e.innerText.replaceAll("\\n", " "))`
        )
      assert.deepStrictEqual(yield* marks(), [
        "accepted",
        "rewritten",
        "refused fault",
        "refused",
        "dropped ×2",
        "accepted"
      ])
      const icons = yield* evaluate<number>(page, `document.querySelectorAll(".marks .badge .icon").length`)
      assert.strictEqual(icons, 7)
      const filter = (name: RegExp) => act(() => page.locator("#filters").getByRole("button", { name }).click())
      yield* filter(/^Refused/)
      assert.deepStrictEqual(yield* marks(), ["refused fault", "refused"])
      yield* filter(/^Fault/)
      assert.deepStrictEqual(yield* marks(), ["refused fault"])
      yield* filter(/^Dropped/)
      yield* act(() => page.locator(".summary").click())
      yield* act(() => page.getByText("It is older than an hour.").first().waitFor())
      yield* act(() => page.getByText("and 3 verdicts more").waitFor())
      // An open row stays open when another update changes its request.
      yield* server.update({ requests: [requestOf(2, { verdicts: [old], duration: 9 })] })
      yield* act(() => page.getByText("9.0 ms").waitFor())
      assert.isTrue(yield* act(() => page.getByText("It is older than an hour.").isVisible()))
      yield* filter(/^All/)
      yield* act(() => page.locator("#codes").getByRole("button", { name: /TooOld/ }).click())
      assert.lengthOf(yield* marks(), 1)
      assert.deepStrictEqual(errors, [])
    }))

  it.scoped("shows headers and body of an opened request, without the key", () =>
    Effect.gen(function*() {
      const { page, server, errors } = yield* open()
      yield* postSeries(server, "orders.placed", "count", [[20, 3]], ["shop:eu"])
      yield* act(() => page.getByRole("tab", { name: "Payloads" }).click())
      yield* act(() => page.locator(".summary").click())
      const body = yield* act(() => page.locator(".body").innerText())
      assert.deepStrictEqual(JSON.parse(body), {
        series: [{
          metric: "orders.placed",
          type: "count",
          tags: ["shop:eu"],
          interval: 10,
          points: [[server.now() - 20, 3]]
        }]
      })
      assert.match(yield* act(() => page.locator(".headers").innerText()), /dd-api-key\s+<redacted>/)
      const missing = yield* act(() => fetch(`${server.url}/requests/999`).then(({ status }) => status))
      assert.strictEqual(missing, 404)
      assert.deepStrictEqual(errors, [])
    }))
})
