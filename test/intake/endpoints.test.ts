import { assert, describe, it } from "@effect/vitest"
import * as Endpoints from "../../src/intake/endpoints.js"
import * as ClientEndpoints from "../../src/internal/http/endpoints.js"

describe("intake endpoints", () => {
  for (const name of ["series", "seriesV2", "distributionPoints", "events"] as const) {
    it(`have the path and limits, and accept the encodings, that the client uses for ${name}`, () => {
      const { encodings, limits, path } = ClientEndpoints[name]
      assert.deepInclude(Endpoints[name], { path, limits })
      assert.includeMembers([...Endpoints[name].encodings], [...encodings])
    })
  }

  it("have the key header and the validation path that the client uses", () => {
    assert.strictEqual(Endpoints.keyHeader, ClientEndpoints.keyHeader)
    assert.strictEqual(Endpoints.validatePath, ClientEndpoints.validatePath)
  })
})
