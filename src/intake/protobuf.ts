/**
 * Parser of the protobuf form of `POST /api/v2/series`, which the Agent, Vector and others send. Source: `MetricPayload` in
 * `proto/metrics/agent_payload.proto` of DataDog/agent-payload.
 */

/** A field of a message: its number, and its value as it is on the wire. */
interface Field {
  readonly number: number
  /** Whole number, 64 bits as a float, or bytes. */
  readonly value: number | Uint8Array
}

const wireTypes = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 }

const utf8 = /*#__PURE__*/ new TextDecoder("utf-8", { fatal: true })

/** Reads the fields of a message. It throws if the bytes are not a message. */
function* fieldsOf(bytes: Uint8Array): Generator<Field> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = 0
  const readVarint = (): number => {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = view.getUint8(at++)
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return Number(BigInt.asIntN(64, value))
    }
    throw new RangeError("a whole number has more than 64 bits")
  }
  while (at < bytes.byteLength) {
    const tag = readVarint()
    const number = Math.floor(tag / 8)
    const type = tag % 8
    if (type === wireTypes.varint) yield { number, value: readVarint() }
    else if (type === wireTypes.fixed64) {
      yield { number, value: view.getFloat64(at, true) }
      at += 8
    } else if (type === wireTypes.bytes) {
      const length = readVarint()
      if (length < 0 || length > bytes.byteLength - at) throw new RangeError("a field exceeds its message")
      yield { number, value: bytes.subarray(at, at + length) }
      at += length
    } else if (type === wireTypes.fixed32) at += 4
    else throw new RangeError("a field has an unknown type")
  }
  if (at > bytes.byteLength) throw new RangeError("a field exceeds its message")
}

const toNumber = ({ value }: Field): number => {
  if (typeof value !== "number") throw new TypeError("a field is not a number")
  return value
}

const toBytes = ({ value }: Field): Uint8Array => {
  if (typeof value === "number") throw new TypeError("a field is a number")
  return value
}

const toText = (field: Field): string => utf8.decode(toBytes(field))

const parseResource = (bytes: Uint8Array) => {
  const resource = { type: "", name: "" }
  for (const field of fieldsOf(bytes)) {
    if (field.number === 1) resource.type = toText(field)
    else if (field.number === 2) resource.name = toText(field)
  }
  return resource
}

const parsePoint = (bytes: Uint8Array) => {
  const point = { timestamp: 0, value: 0 }
  for (const field of fieldsOf(bytes)) {
    if (field.number === 1) point.value = toNumber(field)
    else if (field.number === 2) point.timestamp = toNumber(field)
  }
  return point
}

const parseSeries = (bytes: Uint8Array) => {
  const resources: Array<unknown> = []
  const tags: Array<string> = []
  const points: Array<unknown> = []
  const fields: { [name: string]: unknown } = { metric: "", type: 0 }
  for (const field of fieldsOf(bytes)) {
    if (field.number === 1) resources.push(parseResource(toBytes(field)))
    else if (field.number === 2) fields["metric"] = toText(field)
    else if (field.number === 3) tags.push(toText(field))
    else if (field.number === 4) points.push(parsePoint(toBytes(field)))
    else if (field.number === 5) fields["type"] = toNumber(field)
    else if (field.number === 6) fields["unit"] = toText(field)
    else if (field.number === 7) fields["source_type_name"] = toText(field)
    else if (field.number === 8) fields["interval"] = toNumber(field)
  }
  return { ...fields, resources, tags, points }
}

/** Parses a payload to its form in JSON. It throws if the bytes are not a payload. */
export const parseSeriesV2 = (bytes: Uint8Array): { readonly series: ReadonlyArray<object> } => {
  const series: Array<object> = []
  for (const field of fieldsOf(bytes)) if (field.number === 1) series.push(parseSeries(toBytes(field)))
  return { series }
}
