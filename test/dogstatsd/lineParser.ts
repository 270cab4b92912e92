/** Strict parser of DogStatsD lines: it throws on everything that the protocol does not describe. */

/** One line of a metric. Values and tags stay as they are written. */
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

const fault = (line: string, reason: string): never => {
  throw new Error(`${reason}: ${JSON.stringify(line.length > 500 ? `${line.slice(0, 500)}…` : line)}`)
}

const number = (line: string, text: string): number =>
  /^-?\d+(\.\d+)?(e[+-]\d+)?$/.test(text) && Number.isFinite(Number(text)) ? Number(text) : fault(line, "no number")

/** Parses one line, or throws an error that names the fault. */
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
  const byKey = new Map<string, string>()
  for (const field of fields) {
    const [, key, value] = /^(@|#|T|c:|e:|card:)(.+)$/.exec(field) ?? fault(line, "an unknown field")
    if (byKey.has(key!)) fault(line, "a field twice")
    byKey.set(key!, value!)
  }
  const rate = byKey.has("@") ? number(line, byKey.get("@")!) : 1
  if (!(rate > 0 && rate <= 1) || (byKey.has("@") && !["c", "h", "ms", "d"].includes(type))) fault(line, "a bad rate")
  const time = byKey.get("T")
  if (time !== undefined && !/^[1-9]\d*$/.test(time)) fault(line, "a bad time")
  return {
    sort: "metric",
    name,
    values,
    type: type as MetricLine["type"],
    rate,
    tags: byKey.has("#") ? tagsIn(line, byKey.get("#")!) : [],
    time: time === undefined ? undefined : Number(time),
    container: byKey.get("c:"),
    external: byKey.get("e:"),
    cardinality: byKey.get("card:")
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
