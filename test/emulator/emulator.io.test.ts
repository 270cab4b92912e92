import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import {
  arrived,
  assertFlushAfterResponse,
  buildAll,
  built,
  type Client,
  kindsOf,
  layerGatedIntake,
  names,
  start,
  testDeadline,
  testFreeze,
  testHandler,
  testManagedInstance,
  testScenario,
  testStream,
  testWorkerThreads
} from "./scenarios.js"

buildAll("emulator", "ric", "function", "program", "../ric/stream")

/** The function under the fake of AWS's runtime client. */
const fakeRuntimeClient: Client = () => [process.execPath, built["ric"]!, built["function"]!, "handler"]

const streaming: Client = () => [process.execPath, built["ric"]!, built["../ric/stream"]!, "handler"]

/** The function in the library's own runtime, which flushes after the response without an extension. */
const ownRuntime: Client = () => [process.execPath, built["program"]!]

testFreeze("Lambda.makeHandler", fakeRuntimeClient, ["before-response"], ["resetAndDestroy"], "2500 millis")
testFreeze("Lambda.makeHandler", fakeRuntimeClient, ["after-response"], ["destroy"], "2500 millis")
testFreeze("LambdaRuntime.run", ownRuntime, ["after-response"], ["resetAndDestroy"], "2500 millis")
testHandler("Lambda.makeHandler", fakeRuntimeClient)
testStream("Lambda.streamHandler", streaming)
testDeadline("LambdaRuntime.run", ownRuntime, ["after-response"])

describe.concurrent("LambdaRuntime.run in an environment", () => {
  testScenario("responds before the intake answers, and registers no extension", () =>
    Effect.gen(function*() {
      const emulator = yield* start(ownRuntime, "after-response")
      for (const record of names) yield* assertFlushAfterResponse(emulator, { record })
      assert.notInclude(kindsOf(emulator.log), "register")
    }), layerGatedIntake)

  testScenario(
    "delivers the remaining points and ends by itself on the SIGTERM of an external extension",
    () =>
      Effect.gen(function*() {
        const emulator = yield* start(ownRuntime, "after-response", { externalExtension: true })
        yield* emulator.finish({ record: "first", atTheEnd: "left" })
        yield* emulator.until("freeze")
        assert.deepStrictEqual(yield* arrived, ["first"])
        const { code, killed } = yield* emulator.shutdown
        assert.deepStrictEqual({ code, killed }, { code: 0, killed: false })
        assert.sameMembers([...new Set(yield* arrived)], ["first", "left"])
      })
  )
})

testManagedInstance("Lambda.makeHandler", fakeRuntimeClient, true)
testManagedInstance("LambdaRuntime.run", ownRuntime, false)

testWorkerThreads("Lambda.makeHandler", fakeRuntimeClient)

describe.concurrent("emulator", () => {
  const ignoringSigterm = "data:text/javascript,process.on('SIGTERM', () => {})"

  for (
    const [extension, mode, externalExtension, window] of [
      ["an internal", "after-response", false, 500],
      ["an external", "before-response", true, 300]
    ] as const
  ) {
    testScenario(
      `kills a process that ignores SIGTERM after ${window} ms when it has ${extension} extension`,
      () =>
        Effect.gen(function*() {
          const emulator = yield* start(fakeRuntimeClient, mode, {
            command: [process.execPath, "--import", ignoringSigterm, built["ric"]!, built["function"]!, "handler"],
            externalExtension,
            killDelay: 0
          })
          yield* emulator.finish({ record: "first" })
          const { killed, signal } = yield* emulator.shutdown
          assert.deepStrictEqual({ killed, signal }, { killed: true, signal: "SIGKILL" })
          const [sigterm, sigkill] = [yield* emulator.until("SIGTERM"), yield* emulator.until("SIGKILL")]
          assert.isAtLeast(sigkill.at - sigterm.at, window - 1)
        })
    )
  }

  /** Requests an invocation and registers an extension, in this order on one connection. */
  const lateRegistration = `
    import { connect } from "node:net"
    const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":")
    const body = JSON.stringify({ events: ["INVOKE"] })
    connect(port, host).write([
      "GET /2018-06-01/runtime/invocation/next HTTP/1.1",
      "Host: lambda",
      "",
      "POST /2020-01-01/extension/register HTTP/1.1",
      "Host: lambda",
      "Lambda-Extension-Name: late",
      "Content-Length: " + body.length,
      "",
      body
    ].join("\\r\\n"))`

  testScenario("refuses a registration after the runtime has requested an invocation", () =>
    Effect.gen(function*() {
      const emulator = yield* start(fakeRuntimeClient, "before-response", {
        command: [process.execPath, "--input-type=module", "-e", lateRegistration]
      })
      const { detail } = yield* emulator.until("refused")
      assert.strictEqual(detail, "403 Extension.RegistrationClosed")
      const kinds = kindsOf(emulator.log)
      assert.isAbove(kinds.indexOf("register refused"), kinds.indexOf("runtime next"))
    }))
})
