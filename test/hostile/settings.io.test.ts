import { describe, it } from "@effect/vitest"
import {
  checkArrays,
  checkOption,
  checkOptions,
  checkRedactedKeys,
  checkVariable,
  makeCheck,
  optionNames,
  variableNames
} from "./settings.js"

const all = { every: 1 }

describe("ThreadStats with hostile variables", () => {
  it.effect.each(variableNames)(
    "records and sends valid payloads with every accepted text of %s",
    (name) => checkVariable(makeCheck(all), name)
  )
})

describe("ThreadStats with hostile options", () => {
  it.effect.each(optionNames)(
    "records and sends valid payloads with every accepted value of %s",
    (name) => checkOption(makeCheck(all), name)
  )

  it.effect("records and sends valid payloads with every accepted element of an array option", () =>
    checkArrays(makeCheck(all)))

  it.effect("records and sends valid payloads with every accepted redacted apiKey", () =>
    checkRedactedKeys(makeCheck(all)))

  it.effect("records and sends valid payloads with every accepted value in place of the options", () =>
    checkOptions(makeCheck(all)))
})
