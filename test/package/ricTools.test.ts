import { assert, describe, it } from "@effect/vitest"
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { describeMissing, isInPath, missingTools, tools } from "../ric/tools.js"

describe("missingTools", () => {
  it("returns nothing when every command is found", () => {
    assert.deepStrictEqual(missingTools(() => true), [])
  })

  it("returns all tools that compile AWS's runtime client when no command is found", () => {
    assert.deepStrictEqual(
      missingTools(() => false).map(({ command }) => command),
      ["autoconf", "automake", "libtoolize", "cmake", "make", "g++", "unzip", "xz", "python3"]
    )
  })

  it("returns the Debian package of a command whose package has another name", () => {
    const missing = missingTools((command) => command !== "libtoolize" && command !== "xz")
    assert.deepStrictEqual(missing.map(({ debianPackage }) => debianPackage), ["libtool", "xz-utils"])
  })
})

describe("describeMissing", () => {
  it("names the missing commands and the command that installs their Debian packages", () => {
    assert.strictEqual(
      describeMissing(tools.filter(({ command }) => command === "libtoolize" || command === "xz")),
      "AWS's runtime client cannot be compiled without libtoolize, xz: install the missing programs with "
        + "`apt-get install --no-install-recommends libtool xz-utils`."
    )
  })
})

describe("isInPath", () => {
  it("finds an executable file in one of the folders and no other file", () => {
    const folder = mkdtempSync(join(tmpdir(), "tools-"))
    try {
      mkdirSync(join(folder, "bin"))
      for (const [name, mode] of [["tool", 0o755], ["document", 0o644]] as const) {
        writeFileSync(join(folder, "bin", name), "")
        chmodSync(join(folder, "bin", name), mode)
      }
      const searchPath = [join(folder, "absent"), "", join(folder, "bin")].join(delimiter)
      assert.isTrue(isInPath("tool", searchPath))
      assert.isFalse(isInPath("document", searchPath))
      assert.isFalse(isInPath("other", searchPath))
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
