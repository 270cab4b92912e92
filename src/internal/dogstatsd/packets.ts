/** Packs the lines of a batch into packets. */
import type { WireItem } from "../model/wireForm.js"
import { encodeEvent } from "./eventLine.js"
import { type Line, type LineFormat, maxLineSize, type RefusedItem, refuseTooLarge } from "./format.js"
import { type BatchContext, encodeMetric } from "./metricLines.js"
import type { SetMembers } from "./setMembers.js"
import type { TimestampAllocator } from "./timestampAllocator.js"

/** Whole lines of the items from `first` to `last`. The packets next to it may have more lines of these two. */
export interface Packet {
  readonly _tag: "Packet"
  readonly body: Buffer
  readonly first: number
  readonly last: number
}

/** Format of the receiver, state of earlier batches, and the current time in seconds. */
export interface EncodeContext {
  readonly format: LineFormat
  readonly timestamps: TimestampAllocator
  readonly members: SetMembers
  readonly now: number
}

export interface EncodedBatch {
  /** Packets and refused items, encoded while they are pulled. */
  readonly packets: Iterable<Packet | RefusedItem>
  /** Marks an item that was sent, or may have been. The caller does so after the whole batch. */
  readonly markSent: (index: number) => void
}

export const encode = (batch: ReadonlyArray<WireItem>, context: EncodeContext): EncodedBatch => {
  const timestamps = context.timestamps.beginBatch()
  return { packets: packBatch(batch, { ...context, timestamps }), markSent: timestamps.commit }
}

function* packBatch(batch: ReadonlyArray<WireItem>, context: BatchContext): Generator<Packet | RefusedItem> {
  const builder = new PacketBuilder(context.format)
  for (let index = 0; index < batch.length; index++) {
    const item = batch[index]!
    const lines = "title" in item ? encodeEvent(item, index, context.format) : encodeMetric(item, index, context)
    if ("_tag" in lines) {
      yield lines
      continue
    }
    for (const line of lines) yield* packLine(builder, line, index)
  }
  if (builder.size > 0) yield builder.finish()
}

/** Adds a line, and yields the packets that are full. A line that exceeds the receiver's buffer is refused. */
function* packLine(builder: PacketBuilder, line: Line, index: number): Generator<Packet | RefusedItem> {
  const headSize = Buffer.byteLength(line.head)
  const tailSize = Buffer.byteLength(line.tail)
  let isOpen = false
  for (const value of line.values) {
    const valueSize = Buffer.byteLength(value)
    if (isOpen && line.packed && builder.hasRoomFor(1 + valueSize + tailSize)) {
      builder.append(`:${value}`, 1 + valueSize)
      continue
    }
    if (isOpen) builder.append(line.tail, tailSize)
    isOpen = false
    const lineSize = headSize + valueSize + tailSize
    if (builder.size > 0 && !builder.hasRoomFor(lineSize)) yield builder.finish()
    if (lineSize > builder.maxLineSize) {
      yield refuseTooLarge(index, lineSize)
      break
    }
    builder.beginLine(index)
    builder.append(line.head + value, headSize + valueSize)
    isOpen = true
  }
  if (isOpen) builder.append(line.tail, tailSize)
}

class PacketBuilder {
  readonly maxLineSize: number
  size = 0
  private readonly packetSize: number
  private text = ""
  private first = 0
  private last = 0

  constructor(format: LineFormat) {
    this.maxLineSize = maxLineSize(format)
    this.packetSize = format.packetSize
  }

  hasRoomFor(bytes: number): boolean {
    return this.size + bytes <= this.packetSize
  }

  beginLine(index: number): void {
    if (this.size === 0) this.first = index
    this.last = index
  }

  append(text: string, bytes: number): void {
    this.text += text
    this.size += bytes
  }

  finish(): Packet {
    const body = Buffer.from(this.text)
    this.text = ""
    this.size = 0
    return { _tag: "Packet", body, first: this.first, last: this.last }
  }
}
