import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { detectContainer } from "../../src/internal/dogstatsd/origin.js"

const id = "0123456789abcdef".repeat(4)

const makeRoot = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "cgroup-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

const write = (root: string, path: string, text: string) => {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}

/** True if this process is in the cgroup namespace of the host. Only the kernel gives a file that inode. */
const isHost = (() => {
  try {
    return statSync("/proc/self/ns/cgroup").ino === 0xeffffffb
  } catch {
    return false
  }
})()

describe("container origin", () => {
  it.scoped("returns the inode of the cgroup, with version 1, version 2 and a trailing slash of the root", () =>
    Effect.gen(function*() {
      const root = yield* makeRoot
      const inode = (path: string) => `in-${statSync(join(root, path)).ino}`
      write(root, "proc/self/ns/cgroup", "")
      write(root, "proc/self/cgroup", `0::/\n`)
      mkdirSync(join(root, "sys/fs/cgroup"), { recursive: true })
      assert.strictEqual(yield* detectContainer(root), inode("sys/fs/cgroup"))
      write(root, "proc/self/cgroup", `9:cpu:/x\n4:memory:/docker/${id}\n0::/y\n`)
      mkdirSync(join(root, "sys/fs/cgroup/y"))
      assert.strictEqual(yield* detectContainer(root), inode("sys/fs/cgroup/y"))
      mkdirSync(join(root, `sys/fs/cgroup/memory/docker/${id}`), { recursive: true })
      assert.strictEqual(yield* detectContainer(root), inode(`sys/fs/cgroup/memory/docker/${id}`))
      assert.strictEqual(yield* detectContainer(`${root}/`), inode(`sys/fs/cgroup/memory/docker/${id}`))
    }))

  it.scoped("returns undefined when the system has no cgroups", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* detectContainer(yield* makeRoot), undefined)
    }))

  it.scoped.skipIf(!isHost)(
    "returns the container id in the cgroup namespace of the host (skipped in any other namespace)",
    () =>
      Effect.gen(function*() {
        const root = yield* makeRoot
        mkdirSync(join(root, "proc/self/ns"), { recursive: true })
        symlinkSync("/proc/self/ns/cgroup", join(root, "proc/self/ns/cgroup"))
        const containerOf = (path: string) => {
          write(root, "proc/self/cgroup", `garbage\n3:cpu:/\n1:name=systemd:${path}\n`)
          return detectContainer(root)
        }
        assert.strictEqual(yield* containerOf(`/docker/${id}`), `ci-${id}`)
        assert.strictEqual(
          yield* containerOf(`/kubepods.slice/kubepods-pod1.slice/cri-containerd-${id}.scope`),
          `ci-${id}`
        )
        const task = `${id.slice(0, 32)}-1234567890`
        assert.strictEqual(yield* containerOf(`/ecs/${task}`), `ci-${task}`)
        const uuid = "34dc0b5e-626f-2c5c-4c51-70e34b10e765"
        assert.strictEqual(yield* containerOf(`/garden/${uuid}`), `ci-${uuid}`)
        assert.strictEqual(yield* containerOf(`/docker/${id}/init`), undefined)
        assert.strictEqual(yield* containerOf(`/docker/${id.slice(1)}`), undefined)
      })
  )
})
