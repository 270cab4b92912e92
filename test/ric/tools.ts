/**
 * Checks that the programs that compile AWS's runtime client are installed. With `--list` it prints the Debian packages of the
 * missing programs, one per line, and succeeds.
 */
import { accessSync, constants, statSync } from "node:fs"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"

export interface Tool {
  readonly command: string
  readonly debianPackage: string
}

export const tools: ReadonlyArray<Tool> = [
  { command: "autoconf", debianPackage: "autoconf" },
  { command: "automake", debianPackage: "automake" },
  { command: "libtoolize", debianPackage: "libtool" },
  { command: "cmake", debianPackage: "cmake" },
  { command: "make", debianPackage: "make" },
  { command: "g++", debianPackage: "g++" },
  { command: "unzip", debianPackage: "unzip" },
  { command: "xz", debianPackage: "xz-utils" },
  { command: "python3", debianPackage: "python3" }
]

/** Returns the tools whose command is absent. */
export const missingTools = (hasCommand: (command: string) => boolean): ReadonlyArray<Tool> =>
  tools.filter(({ command }) => !hasCommand(command))

/** Returns one sentence that names the missing programs and the command that installs them. */
export const describeMissing = (missing: ReadonlyArray<Tool>): string =>
  `AWS's runtime client cannot be compiled without ${
    missing.map(({ command }) => command).join(", ")
  }: install the missing programs with \`apt-get install --no-install-recommends ${
    missing.map(({ debianPackage }) => debianPackage).join(" ")
  }\`.`

/** Returns true if one of the folders of the search path has an executable file of this name. */
export const isInPath = (command: string, searchPath: string): boolean =>
  searchPath.split(delimiter).filter((folder) => folder !== "").some((folder) => {
    try {
      const path = join(folder, command)
      accessSync(path, constants.X_OK)
      return statSync(path).isFile()
    } catch {
      return false
    }
  })

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const missing = missingTools((command) => isInPath(command, process.env["PATH"] ?? ""))
  if (process.argv.includes("--list")) {
    for (const { debianPackage } of missing) console.log(debianPackage)
  } else if (missing.length > 0) {
    console.error(describeMissing(missing))
    process.exitCode = 1
  }
}
