import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import {
  arrived,
  building,
  built,
  type Client,
  layerIntake,
  median,
  ofEach,
  ofHandler,
  oneByOne,
  scenario,
  start,
  warnings,
  whats
} from "./emulator/scenarios.js"

building("emulator", "ric", "function", "program")

/** The function under the stand-in for AWS's runtime client. */
const standIn: Client = () => [process.execPath, built["ric"]!, built["function"]!, "handler"]

/** The same in the library's own runtime, which flushes after the response and needs no extension for it. */
const own: Client = () => [process.execPath, built["program"]!]

ofHandler(standIn)
ofEach(own, ["after-response"], ", with the library's own runtime")

describe.concurrent("the library's own runtime, with an intake that takes 200 ms", () => {
  scenario("does not keep its callers waiting, and registers nothing", () =>
    Effect.gen(function*() {
      const emulator = yield* start(own, "after-response")
      const times = yield* oneByOne(emulator)
      assert.isBelow(median(times.map(({ responseTime }) => responseTime)), 100)
      assert.isAtLeast(median(times.map(({ duration }) => duration)), 200)
      assert.notInclude(whats(emulator.log), "register")
    }), layerIntake("200 millis"))
})

describe.concurrent("a Managed Instance", () => {
  scenario("eight invocations at a time leave before their responses, from one process", () =>
    Effect.gen(function*() {
      const emulator = yield* start(standIn, "after-response", { concurrency: 8 })
      const records = Array.from({ length: 8 }, (_, index) => `record.${index}`)
      const outcomes = yield* Effect.forEach(
        records,
        (record) =>
          Effect.gen(function*() {
            const outcome = yield* emulator.invoke({ record, together: 8 })
            assert.strictEqual(outcome.status, "response")
            assert.include(yield* arrived, record)
            return outcome
          }),
        { concurrency: 8 }
      )
      const processes = outcomes.map(({ payload }) => (payload as { readonly process: number }).process)
      assert.strictEqual(new Set(processes).size, 1)
      assert.sameMembers(yield* arrived, records)
      assert.lengthOf(warnings(emulator), 1)
      assert.notIncludeMembers(whats(emulator.log), ["register", "register refused", "freeze"])
    }))
})

describe.concurrent("the emulator itself", () => {
  const ignoring = "data:text/javascript,process.on('SIGTERM', () => {})"

  for (
    const [mode, externalExtension, window] of [["after-response", false, 500], ["before-response", true, 300]] as const
  ) {
    scenario(`kills a process that ignores the signal after ${window} ms`, () =>
      Effect.gen(function*() {
        const emulator = yield* start(standIn, mode, {
          command: [process.execPath, "--import", ignoring, built["ric"]!, built["function"]!, "handler"],
          externalExtension
        })
        yield* emulator.finish({ record: "first" })
        const { killed, shutdownTime, signal } = yield* emulator.shutdown
        assert.isTrue(killed)
        assert.strictEqual(signal, "SIGKILL")
        assert.isAtLeast(shutdownTime!, window - 1)
        assert.isBelow(shutdownTime!, window + 400)
      }))
  }

  /** Asks for an invocation, and then registers until it is refused. */
  const late = `
    const api = "http://" + process.env.AWS_LAMBDA_RUNTIME_API
    fetch(api + "/2018-06-01/runtime/invocation/next")
    for (let count = 0, status = 200; status === 200; count++) {
      const answer = await fetch(api + "/2020-01-01/extension/register", {
        method: "POST",
        headers: { "Lambda-Extension-Name": String(count) },
        body: JSON.stringify({ events: ["INVOKE"] })
      })
      status = answer.status
      if (status !== 200) console.log(status, (await answer.json()).errorType)
      else await new Promise((resume) => setTimeout(resume, 20))
    }`

  scenario("takes no registration once the runtime has asked for an invocation", () =>
    Effect.gen(function*() {
      const emulator = yield* start(standIn, "before-response", {
        command: [process.execPath, "--input-type=module", "-e", late]
      })
      // Else it would be frozen as soon as it asks.
      yield* emulator.send({})
      const { detail } = yield* emulator.until("stdout")
      assert.strictEqual(detail, "403 Extension.RegistrationClosed")
      assert.isAbove(whats(emulator.log).indexOf("register refused"), whats(emulator.log).indexOf("runtime next"))
    }))
})
