import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { act, names, option } from "../../support/page.js"
import { describePage, openScripted, postSeries } from "../../support/pageTests.js"

describePage("connection to the feed", (it) => {
  it.scoped("reports a lost connection, connects again, and reports that the intake restarted", () =>
    Effect.gen(function*() {
      const { page, server, errors } = yield* openScripted()
      yield* postSeries(server, "before", "gauge", [[20, 1]])
      yield* act(() => option(page, "before").waitFor())
      yield* server.stop
      yield* act(() => page.getByText(/^Connection lost at/).waitFor())
      assert.deepStrictEqual(yield* names(page), ["before"])
      yield* server.start
      yield* act(() => page.getByText("Live", { exact: true }).waitFor())
      yield* act(() => page.getByText(/^The intake restarted/).waitFor())
      yield* postSeries(server, "after", "gauge", [[20, 1]])
      yield* act(() => option(page, "after").waitFor())
      assert.deepStrictEqual(yield* names(page), ["after"])
      assert.strictEqual(yield* server.listeners, 1)
      assert.deepStrictEqual(errors, [])
    }))
})
