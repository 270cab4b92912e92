import * as Effect from "effect/Effect"

/** Inode of the cgroup namespace of the host. */
const hostNamespace = 0xeffffffb

/** Container id at the end of a path, in the forms of Docker, ECS and others. */
const containerId =
  /(?:^|[^0-9a-f])([0-9a-f]{64}|[0-9a-f]{32}-\d+|[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})(?:\.scope)?$/

interface ControlGroup {
  readonly controllers: ReadonlyArray<string>
  readonly path: string
}

/** Parses lines such as `4:memory:/docker/…` (version 1) and `0::/` (version 2). */
const parseControlGroups = (text: string): ReadonlyArray<ControlGroup> =>
  text.split("\n").flatMap((line) => {
    const [match, controllers = "", path = ""] = /^\d+:([^:]*):(.+)$/.exec(line.trim()) ?? []
    return match === undefined ? [] : [{ controllers: controllers.split(","), path }]
  })

/** Inodes 1 and 2 never belong to a cgroup: they are the bad blocks and the root of a file system. */
const isControlGroupInode = (inode: number): boolean => inode > 2

/**
 * Returns the container of this process in the form of the Agent: `ci-` and its id if the process sees the cgroups of the host, else
 * `in-` and the inode of its cgroup. Undefined if there is neither, or if the files are not readable. The reference client does the
 * same.
 */
export const detectContainer = (root: string): Effect.Effect<string | undefined> =>
  Effect.promise(async () => {
    try {
      const { readFile, stat } = await import("node:fs/promises")
      const under = (path: string) => `${root.endsWith("/") ? root.slice(0, -1) : root}${path}`
      const inodeOf = (path: string) => stat(under(path)).then(({ ino }) => ino, () => 0)
      const groups = parseControlGroups(await readFile(under("/proc/self/cgroup"), "utf8"))
      if (await inodeOf("/proc/self/ns/cgroup") === hostNamespace) {
        const [id] = groups.flatMap(({ path }) => containerId.exec(path.split("/").at(-1)!)?.[1] ?? [])
        return id === undefined ? undefined : `ci-${id}`
      }
      for (const controller of ["memory", ""]) {
        const group = groups.find(({ controllers }) => controllers.includes(controller))
        if (group === undefined) continue
        const folder = controller === "" ? "/sys/fs/cgroup/" : `/sys/fs/cgroup/${controller}/`
        const inode = await inodeOf(`${folder}${group.path.slice(1)}`)
        if (isControlGroupInode(inode)) return `in-${inode}`
      }
    } catch {
      // Other systems than Linux have no such files.
    }
    return undefined
  })
