import * as Effect from "effect/Effect"

/** The inode of the cgroup namespace that the kernel starts with. */
const hostNamespace = 0xeffffffb

/** A container id as Docker, ECS and others write it, at the end of a path. */
const containerId =
  /(?:^|[^0-9a-f])([0-9a-f]{64}|[0-9a-f]{32}-\d+|[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})(?:\.scope)?$/

interface Group {
  readonly controllers: ReadonlyArray<string>
  readonly path: string
}

/** Lines such as `4:memory:/docker/…` (version 1) and `0::/` (version 2). */
const groupsOf = (text: string): ReadonlyArray<Group> =>
  text.split("\n").flatMap((line) => {
    const match = /^\d+:([^:]*):(.+)$/.exec(line.trim())
    return match === null ? [] : [{ controllers: match[1]!.split(","), path: match[2]! }]
  })

/**
 * The container this process is in, as the Agent takes it: `ci-` and its id where the process sees the cgroups of the host,
 * else `in-` and the inode of its cgroup, which the Agent finds the container by. `undefined` where there is neither. As
 * the reference does it; nothing here is worth a failure.
 */
export const container = (root: string): Effect.Effect<string | undefined> =>
  Effect.promise(async () => {
    try {
      const { readFile, stat } = await import("node:fs/promises")
      const under = (path: string) => `${root.endsWith("/") ? root.slice(0, -1) : root}${path}`
      const inodeOf = (path: string) => stat(under(path)).then(({ ino }) => ino, () => 0)
      const groups = groupsOf(await readFile(under("/proc/self/cgroup"), "utf8"))
      if (await inodeOf("/proc/self/ns/cgroup") === hostNamespace) {
        const found = groups.flatMap(({ path }) => containerId.exec(path.split("/").at(-1)!)?.[1] ?? [])
        return found.length === 0 ? undefined : `ci-${found[0]}`
      }
      for (const controller of ["memory", ""]) {
        const group = groups.find(({ controllers }) => controllers.includes(controller))
        if (group === undefined) continue
        const inode = await inodeOf(`/sys/fs/cgroup/${controller}${controller === "" ? "" : "/"}${group.path.slice(1)}`)
        // 1 and 2 are no cgroup's: the bad blocks, and the root of a file system
        if (inode > 2) return `in-${inode}`
      }
    } catch {
      // not Linux, or not to be read
    }
    return undefined
  })
