/**
 * The other end of DogStatsD: servers on real sockets, a strict reader of lines, and what an Agent and the Lambda extension
 * make of them.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { createSocket } from "node:dgram"
import { mkdtempSync, rmSync } from "node:fs"
import { type AddressInfo, createServer, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** What a server was sent, packet by packet. */
export interface Receiver {
  readonly url: string
  readonly packets: Array<Buffer>
  /** How many bytes arrived, the frames of a stream aside. */
  readonly bytes: () => number
  readonly lines: () => ReadonlyArray<string>
  readonly close: Effect.Effect<void>
}

const linesIn = (packets: ReadonlyArray<Buffer>): ReadonlyArray<string> =>
  packets.flatMap((packet) => {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(packet)
    if (!text.endsWith("\n")) throw new Error(`a packet ends within a line: ${JSON.stringify(text.slice(-200))}`)
    return text.slice(0, -1).split("\n")
  })

const receiver = (url: string, packets: Array<Buffer>, close: Effect.Effect<void>): Receiver => ({
  url,
  packets,
  bytes: () => packets.reduce((sum, { byteLength }) => sum + byteLength, 0),
  lines: () => linesIn(packets),
  close
})

export const udpServer = (
  options: { readonly port?: number; readonly onPacket?: (server: { readonly close: () => void }) => void } = {}
): Effect.Effect<Receiver & { readonly ports: Set<number> }, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async((resume) => {
      /** Of the senders. */
      const ports = new Set<number>()
      const socket = createSocket({ type: "udp4", recvBufferSize: 4 * 1024 * 1024 })
      const packets: Array<Buffer> = []
      let isOpen = true
      const close = () => {
        if (isOpen) socket.close()
        isOpen = false
      }
      socket.on("message", (packet, sender) => {
        packets.push(packet)
        ports.add(sender.port)
        options.onPacket?.({ close })
      })
      socket.bind(options.port ?? 0, "127.0.0.1", () => {
        const { port } = socket.address()
        resume(Effect.succeed({ ...receiver(`udp://127.0.0.1:${port}`, packets, Effect.sync(close)), ports }))
      })
    }),
    ({ close }) => close
  )

/** A port on which nobody listens. */
export const freePort: Effect.Effect<number> = Effect.async((resume) => {
  const socket = createSocket("udp4")
  socket.bind(0, "127.0.0.1", () => {
    const { port } = socket.address() as AddressInfo
    socket.close(() => resume(Effect.succeed(port)))
  })
})

/** A path for a socket, in a folder that goes with the scope. */
export const socketPath: Effect.Effect<string, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "dogstatsd-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  ),
  (folder) => join(folder, "dsd.socket")
)

/** As the Agent's: a connection whose next frame is longer than its buffer is dropped. */
export const streamServer = (
  path: string,
  options: { readonly onConnection?: (socket: Socket) => void } = {}
): Effect.Effect<Receiver & { readonly connections: Set<Socket> }, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async((resume) => {
      const packets: Array<Buffer> = []
      const connections = new Set<Socket>()
      const server = createServer((socket) => {
        connections.add(socket)
        socket.on("error", () => {})
        socket.on("close", () => connections.delete(socket))
        let read = Buffer.alloc(0)
        socket.on("data", (chunk) => {
          read = Buffer.concat([read, chunk])
          while (read.byteLength >= 4) {
            const length = read.readUInt32LE(0)
            if (length > 8192) socket.destroy()
            if (length > 8192 || read.byteLength < 4 + length) return
            packets.push(read.subarray(4, 4 + length))
            read = read.subarray(4 + length)
          }
        })
        options.onConnection?.(socket)
      })
      const close = Effect.async<void>((done) => {
        for (const socket of connections) socket.destroy()
        server.close(() => done(Effect.void))
      })
      server.listen(path, () =>
        resume(Effect.succeed({ ...receiver(`unixstream://${path}`, packets, close), connections })))
    }),
    ({ close }) =>
      close
  )

interface UnixDatagrams {
  readonly createSocket: (type: "unix_dgram", listener: (packet: Buffer) => void) => {
    readonly on: (event: string, listener: (argument: unknown) => void) => void
    readonly bind: (path: string) => void
    readonly close: () => void
  }
}

const packageName: string = "unix-dgram"

/** The native package for datagrams on Unix sockets, or why it does not load here. */
export const unixDatagrams: UnixDatagrams | Error = await import(packageName).then(
  (module) => module.default as UnixDatagrams,
  (error: Error) => error
)

export const datagramServer = (path: string): Effect.Effect<Receiver, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      if (unixDatagrams instanceof Error) return Effect.die(unixDatagrams)
      rmSync(path, { force: true })
      const packets: Array<Buffer> = []
      const socket = unixDatagrams.createSocket("unix_dgram", (packet) => packets.push(packet))
      socket.on("error", (error) => {
        throw error
      })
      socket.bind(path)
      let isOpen = true
      const close = Effect.sync(() => {
        if (isOpen) socket.close()
        isOpen = false
      })
      return Effect.succeed(receiver(`unixgram://${path}`, packets, close))
    }),
    ({ close }) => close
  )

/** Waits for what is on its way through the system, for as long as that may take on a busy machine. */
export const eventually = (holds: () => boolean): Effect.Effect<boolean> =>
  Effect.promise(async () => {
    for (const end = performance.now() + 10_000; performance.now() < end;) {
      if (holds()) return true
      await new Promise((resume) => setTimeout(resume, 2))
    }
    return holds()
  })

/** One line about a metric, as it is written. */
export interface MetricLine {
  readonly sort: "metric"
  readonly name: string
  readonly values: ReadonlyArray<string>
  readonly type: "c" | "g" | "ms" | "h" | "s" | "d"
  readonly rate: number
  readonly tags: ReadonlyArray<string>
  readonly time: number | undefined
  readonly container: string | undefined
  readonly external: string | undefined
  readonly cardinality: string | undefined
}

/** One event, unescaped. */
export interface EventLine {
  readonly sort: "event"
  readonly title: string
  readonly text: string
  readonly fields: { readonly [key: string]: string }
  readonly tags: ReadonlyArray<string>
}

const fault = (line: string, why: string): never => {
  throw new Error(`${why}: ${JSON.stringify(line.length > 500 ? `${line.slice(0, 500)}…` : line)}`)
}

const number = (line: string, text: string): number =>
  /^-?\d+(\.\d+)?(e[+-]\d+)?$/.test(text) && Number.isFinite(Number(text)) ? Number(text) : fault(line, "no number")

/** Reads a line as the protocol is documented, and throws where anything is not as it says. */
export const parse = (line: string): MetricLine | EventLine => {
  const isEvent = line.startsWith("_e{")
  if ((isEvent ? /\r/ : /[\u0000-\u001f\u007f]/).test(line)) fault(line, "a control character")
  return isEvent ? parseEvent(line) : parseMetric(line)
}

const tagsIn = (line: string, text: string): ReadonlyArray<string> => {
  const tags = text.split(",")
  return tags.some((tag) => tag === "" || /[\s|#@]/.test(tag)) ? fault(line, "a bad tag") : tags
}

const parseMetric = (line: string): MetricLine => {
  if (Buffer.byteLength(line) >= 8192) fault(line, "longer than the receiver reads")
  const [head = "", type = "", ...fields] = line.split("|")
  const colon = head.indexOf(":")
  const name = head.slice(0, colon)
  if (colon < 1 || !/^[\p{L}]/u.test(name)) fault(line, "no name")
  if (!["c", "g", "ms", "h", "s", "d"].includes(type)) fault(line, "no type")
  const text = head.slice(colon + 1)
  const values = type === "s" ? [text] : text.split(":")
  if (text === "") fault(line, "no value")
  if (type !== "s") values.forEach((value) => number(line, value))
  const seen = new Map<string, string>()
  for (const field of fields) {
    const [, key, value] = /^(@|#|T|c:|e:|card:)(.+)$/.exec(field) ?? fault(line, "an unknown field")
    if (seen.has(key!)) fault(line, "a field twice")
    seen.set(key!, value!)
  }
  const rate = seen.has("@") ? number(line, seen.get("@")!) : 1
  if (!(rate > 0 && rate <= 1) || (seen.has("@") && !["c", "h", "ms", "d"].includes(type))) fault(line, "a bad rate")
  const time = seen.get("T")
  if (time !== undefined && !/^[1-9]\d*$/.test(time)) fault(line, "a bad time")
  return {
    sort: "metric",
    name,
    values,
    type: type as MetricLine["type"],
    rate,
    tags: seen.has("#") ? tagsIn(line, seen.get("#")!) : [],
    time: time === undefined ? undefined : Number(time),
    container: seen.get("c:"),
    external: seen.get("e:"),
    cardinality: seen.get("card:")
  }
}

const parseEvent = (line: string): EventLine => {
  const bytes = Buffer.from(line)
  if (bytes.byteLength >= 8192) fault(line, "longer than the receiver reads")
  const [header, titleLength = "", textLength = ""] = /^_e\{(\d+),(\d+)\}:/.exec(line) ?? fault(line, "no header")
  const titleEnd = header!.length + Number(titleLength)
  const textEnd = titleEnd + 1 + Number(textLength)
  const unescaped = (from: number, to: number) =>
    new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(from, to)).replaceAll("\\n", "\n")
  if (bytes[titleEnd] !== 0x7c || textEnd > bytes.byteLength) fault(line, "wrong lengths")
  const rest = bytes.subarray(textEnd).toString()
  const fields: { [key: string]: string } = {}
  let tags: ReadonlyArray<string> = []
  for (const field of rest === "" ? [] : rest.slice(1).split("|")) {
    if (field.startsWith("#")) {
      tags = tagsIn(line, field.slice(1))
    } else {
      const [, key, value] = /^(d|h|k|p|s|t|c|e|card):(.+)$/.exec(field) ?? fault(line, "an unknown field")
      fields[key!] = value!
    }
  }
  if (rest !== "" && !rest.startsWith("|")) fault(line, "wrong lengths")
  return {
    sort: "event",
    title: unescaped(header!.length, titleEnd),
    text: unescaped(titleEnd + 1, textEnd),
    fields,
    tags
  }
}

/** Whom a line is about: name, tags as a set, and sort. */
export const contextOf = ({ name, tags }: { readonly name: string; readonly tags: ReadonlyArray<string> }): string =>
  JSON.stringify([name, Array.from(new Set(tags)).sort()])

const entry = <K, V>(map: Map<K, V>, key: K, make: () => V): V => {
  const found = map.get(key)
  if (found !== undefined) return found
  const made = make()
  map.set(key, made)
  return made
}

/**
 * What Datadog has after an Agent. It adds up what has no time, in buckets of ten seconds of arrival, and passes on what has one
 * as it is; of two points of one series and second Datadog keeps the last. (Sources: the Agent's parse.go and
 * no_aggregation_stream_worker.go.)
 */
export const makeAgent = (now: () => number) => {
  const sums = new Map<string, Map<number, number>>()
  const dated = new Map<string, Map<number, number>>()
  const gauges = new Map<string, Map<number, number>>()
  const histograms = new Map<string, { count: number; readonly values: Array<number> }>()
  const distributions = new Map<string, Array<number>>()
  const sets = new Map<string, Set<string>>()
  const events: Array<EventLine> = []
  const take = (line: string) => {
    const parsed = parse(line)
    if (parsed.sort === "event") {
      events.push(parsed)
      return
    }
    const { rate, time, type } = parsed
    const context = contextOf(parsed)
    const arrival = Math.floor(now() / 10) * 10
    for (const text of parsed.values) {
      const value = Number(text)
      switch (type) {
        case "c":
          if (time === undefined) {
            const points = entry(sums, context, () => new Map<number, number>())
            points.set(arrival, (points.get(arrival) ?? 0) + value / rate)
          } else {
            if (time > now()) throw new Error(`a time to come: ${line}`)
            entry(dated, context, () => new Map()).set(time, value)
          }
          break
        case "g":
          entry(gauges, context, () => new Map()).set(time ?? arrival, value)
          break
        case "h":
        case "ms": {
          const histogram = entry(histograms, context, () => ({ count: 0, values: [] }))
          histogram.count += Math.floor(1 / rate)
          histogram.values.push(value)
          break
        }
        case "d":
          entry(distributions, context, () => []).push(value)
          break
        case "s":
          entry(sets, context, () => new Set()).add(text)
      }
    }
  }
  return {
    take,
    events,
    histograms,
    distributions,
    sets,
    gauges,
    /** Where a passed on point and one that was added up have the same second, one of them is lost. */
    counts: (): Map<string, number> => {
      const totals = new Map<string, number>()
      for (const context of new Set([...sums.keys(), ...dated.keys()])) {
        const points = new Map([...(sums.get(context) ?? []), ...(dated.get(context) ?? [])])
        totals.set(context, Array.from(points.values()).reduce((sum, value) => sum + value, 0))
      }
      return totals
    }
  }
}

/**
 * What the Lambda extension makes of lines: of the types it knows, the first value only, no rates, whatever the time says in
 * buckets of ten seconds, and nothing of what has too many tags. (Source: its dogstatsd.rs and metric.rs.)
 */
export const makeExtension = (now: () => number) => {
  const counts = new Map<string, number>()
  const gauges = new Map<string, Map<number, number>>()
  const distributions = new Map<string, Map<number, Array<number>>>()
  const dropped: Array<string> = []
  const take = (line: string) => {
    const parsed = parse(line)
    if (
      parsed.sort === "event" || parsed.tags.length > 100 || !["c", "g", "d"].includes(parsed.type) ||
      parsed.name.startsWith("aws.lambda.enhanced.invocations")
    ) {
      dropped.push(line)
      return
    }
    const time = Math.floor(Math.min(parsed.time ?? now(), now()) / 10) * 10
    const context = contextOf(parsed)
    const value = Number(parsed.values[0])
    if (parsed.type === "c") counts.set(context, (counts.get(context) ?? 0) + value)
    else if (parsed.type === "g") entry(gauges, context, () => new Map()).set(time, value)
    else entry(entry(distributions, context, () => new Map()), time, () => []).push(value)
  }
  return { take, counts, gauges, distributions, dropped }
}
