/**
 * `npm run flame -- GROUP RUN FILE.svg`: profiles one run of a group, and draws its time as a flame graph. The width
 * of a frame is its time; the calls of a function are below it.
 */
import { execFileSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { folder, program } from "./bundle.js"
import { groups } from "./groups.js"

interface ProfileNode {
  readonly id: number
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  readonly children?: ReadonlyArray<number>
}

interface Profile {
  readonly nodes: ReadonlyArray<ProfileNode>
  readonly samples: ReadonlyArray<number>
  readonly timeDeltas: ReadonlyArray<number>
}

/** A call of a function, with the calls that it made. Times are in microseconds. */
interface Frame {
  readonly name: string
  readonly children: Map<string, Frame>
  total: number
}

const frame = (name: string): Frame => ({ name, children: new Map(), total: 0 })

/** Merges calls of one name below one caller into one frame. Idle time is left out. */
const framesOf = ({ nodes, samples, timeDeltas }: Profile): Frame => {
  const own = new Map<number, number>()
  samples.forEach((id, i) => own.set(id, (own.get(id) ?? 0) + timeDeltas[i]!))
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const merge = (node: ProfileNode, into: Frame): number => {
    let total = own.get(node.id) ?? 0
    for (const id of node.children ?? []) {
      const child = byId.get(id)!
      const name = child.callFrame.functionName || "(anonymous)"
      if (name === "(idle)" || name === "(program)") continue
      let below = into.children.get(name)
      if (below === undefined) into.children.set(name, below = frame(name))
      total += merge(child, below)
    }
    into.total += total
    return total
  }
  const root = frame("all")
  merge(nodes[0]!, root)
  return root
}

const width = 1200
const row = 18
const narrowest = 1.5

const escape = (text: string) => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)

/** Warm colors, equal for equal names. Frames of other packages are pale. */
const colorOf = (name: string): string => {
  let hash = 0
  for (const character of name) hash = (hash * 31 + character.charCodeAt(0)) % 997
  return name.startsWith("(") ? "#d9dde3" : `hsl(${20 + hash % 32} 85% ${62 + hash % 14}%)`
}

const draw = (root: Frame, title: string): string => {
  const boxes: Array<string> = []
  let depth = 0
  const place = (one: Frame, x: number, level: number) => {
    const wide = one.total / root.total * width
    if (wide < narrowest) return
    depth = Math.max(depth, level)
    const share = (one.total / root.total * 100).toFixed(1)
    const letters = Math.floor((wide - 6) / 6.6)
    const label = letters < 3 ? "" : one.name.length > letters ? `${one.name.slice(0, letters - 1)}…` : one.name
    boxes.push(
      `<g><title>${escape(one.name)}: ${share} %, ${(one.total / 1000).toFixed(1)} ms</title>` +
        `<rect x="${x.toFixed(1)}" y="${30 + level * row}" width="${(wide - 0.5).toFixed(1)}" height="${row - 1}" ` +
        `fill="${colorOf(one.name)}" rx="1"/>` +
        (label === "" ? "" : `<text x="${(x + 3).toFixed(1)}" y="${43 + level * row}">${escape(label)}</text>`) +
        "</g>"
    )
    let at = x
    for (const child of [...one.children.values()].sort((a, b) => b.total - a.total)) {
      place(child, at, level + 1)
      at += child.total / root.total * width
    }
  }
  place(root, 0, 0)
  const height = 30 + (depth + 1) * row + 6
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="monospace" font-size="11">` +
    `<rect width="${width}" height="${height}" fill="#fff"/>` +
    `<text x="4" y="19" font-family="sans-serif" font-size="14">${escape(title)}</text>${boxes.join("\n")}</svg>\n`
}

const [groupId, runId, file] = process.argv.slice(2)
const run = groups.find(({ id }) => id === groupId)?.runs.find(({ id }) => id === runId)
if (run === undefined || run.spawn._tag !== "Program" || file === undefined) {
  console.error("usage: npm run flame -- GROUP RUN FILE.svg, of a run that is a program")
  process.exit(2)
}

const { args, child, module, node = [], value } = run.spawn
const profiles = mkdtempSync(join(tmpdir(), "flame-"))
try {
  const path = await program(child, "run", module, value)
  execFileSync(
    process.execPath,
    [...node, "--cpu-prof", `--cpu-prof-dir=${profiles}`, path, JSON.stringify(args.quick)],
    { cwd: folder, stdio: ["ignore", "ignore", "inherit"] }
  )
  const profile = JSON.parse(readFileSync(join(profiles, readdirSync(profiles)[0]!), "utf8")) as Profile
  const root = framesOf(profile)
  writeFileSync(file, draw(root, `${run.title}, ${groupId}: ${Math.round(root.total / 1000)} ms`))
} finally {
  rmSync(profiles, { recursive: true })
}
