import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { node } from "../support/childProcess.js"
import * as Servers from "../support/dogstatsd.js"
import { bundledProgram } from "./connections.js"

describe("DogStatsDReporter without the package unix-dgram", () => {
  const run = (url: string, variable = "DD_DOGSTATSD_URL") =>
    Effect.flatMap(
      bundledProgram,
      (path) => node(["--import", "./test/dogstatsd/missing.mjs", path], { [variable]: url })
    )

  for (
    const [source, variable, name] of [
      ["the variable", "DD_DOGSTATSD_URL", "DD_DOGSTATSD_URL"],
      ["the option url", "URL_OPTION", "url"]
    ] as const
  ) {
    it.scopedLive(`fails at the start with an error that names the package and ${source} of a unixgram:// address`, () =>
      Effect.gen(function*() {
        const child = yield* run("unixgram:///run/dsd.socket", variable)
        const { code, stderr } = yield* child.ended
        assert.strictEqual(code, 1)
        assert.include(
          stderr,
          `Invalid data at ${name}: "unixgram:// needs the package unix-dgram, and loading it failed`
        )
      }))
  }

  it.scopedLive("sends over a stream when the URL begins with unix://", () =>
    Effect.gen(function*() {
      const server = yield* Servers.streamServer(yield* Servers.socketPath)
      const child = yield* run(server.url.replace("unixstream", "unix"))
      assert.strictEqual((yield* child.ended).code, 0)
      yield* server.drained
      assert.strictEqual(server.lines().length, 2)
    }))

  it.scopedLive.skipIf(Servers.unixDatagrams instanceof Error)(
    "names the package in the error when unix:// leads to a socket for datagrams",
    () =>
      Effect.gen(function*() {
        const server = yield* Servers.datagramServer(yield* Servers.socketPath)
        const child = yield* run(server.url.replace("unixgram", "unix"))
        const { stdout } = yield* child.ended
        assert.include(stdout, "the socket receives datagrams. Install the package unix-dgram")
      })
  )
})
