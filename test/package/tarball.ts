import { execFile } from "node:child_process"
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

export const root = fileURLToPath(new URL("../..", import.meta.url))

export const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))

/** Time limit of a build, in milliseconds. The TypeScript compiler takes minutes on a busy machine. */
export const compiles = 900_000

/** Everything that `npm pack` needs, apart from the installed packages. */
const sources = ["package.json", "tsconfig.json", "src", "docs", "examples"]
  .concat("bench/README.md", "test/README.md", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE")

const pack = async (): Promise<string> => {
  mkdirSync(join(root, "build"), { recursive: true })
  const folder = mkdtempSync(join(root, "build/tarball-"))
  // The build replaces `dist`, which other tests may be reading.
  const stage = join(folder, "stage")
  for (const path of sources) {
    if (existsSync(join(root, path))) cpSync(join(root, path), join(stage, path), { recursive: true })
  }
  symlinkSync(join(root, "node_modules"), join(stage, "node_modules"))
  await promisify(execFile)("npm", ["pack", "--pack-destination", folder], { cwd: stage }).catch((error) => {
    throw new Error(`npm pack failed\n${error.stdout}${error.stderr}`)
  })
  rmSync(stage, { recursive: true })
  return join(folder, `${manifest.name}-${manifest.version}.tgz`)
}

let packed: Promise<string> | undefined

/** Path of the package, packed as `npm publish` does. The test files of a worker share it. */
export const packedTarball = (): Promise<string> => packed ??= pack()
