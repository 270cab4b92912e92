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
  ofFreeze,
  ofHandler,
  ofManaged,
  ofStream,
  ofThreads,
  oneByOne,
  scenario,
  start,
  whats
} from "./scenarios.js"

building("emulator", "ric", "function", "program", "../ric/stream")

/** The function under the stand-in for AWS's runtime client. */
const standIn: Client = () => [process.execPath, built["ric"]!, built["function"]!, "handler"]

const streaming: Client = () => [process.execPath, built["ric"]!, built["../ric/stream"]!, "handler"]

/** The same in the library's own runtime, which flushes after the response and needs no extension for it. */
const own: Client = () => [process.execPath, built["program"]!]

ofFreeze(standIn, ["before-response"], ["resetAndDestroy"], "2500 millis")
ofFreeze(standIn, ["after-response"], ["destroy"], "2500 millis")
ofFreeze(own, ["after-response"], ["resetAndDestroy"], "2500 millis", ", with the library's own runtime")
ofHandler(standIn)
ofStream(streaming)
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

describe.concurrent("the library's own runtime, beside an external extension", () => {
  scenario(
    "delivers what is left within the 300 ms of a signal",
    () =>
      Effect.gen(function*() {
        const emulator = yield* start(own, "after-response", { externalExtension: true })
        yield* emulator.finish({ record: "first", atTheEnd: "left" })
        yield* emulator.until("freeze")
        assert.deepStrictEqual(yield* arrived, ["first"])
        const { code, killed, shutdownTime } = yield* emulator.shutdown
        assert.deepStrictEqual({ code, killed }, { code: 0, killed: false })
        assert.isBelow(shutdownTime!, 300)
        assert.deepStrictEqual(yield* arrived, ["first", "left"])
      }),
    layerIntake(0),
    "30 seconds",
    // A machine that has a lot else to do may need longer.
    2
  )
})

ofManaged(standIn, true)
ofManaged(own, false, {}, ", with the library's own runtime")

ofThreads(standIn)

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
