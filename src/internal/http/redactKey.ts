/** A way in which others escape a text: a pattern for one escaped character, and the character. */
interface Escaping {
  readonly pattern: RegExp
  readonly decode: (escape: string) => string
}

const characterOf = (code: number): string => code <= 0x10ffff ? String.fromCodePoint(code) : ""

const htmlNames: { readonly [name: string]: string } = {
  "&amp;": "&",
  "&lt;": "<",
  "&gt;": ">",
  "&quot;": "\"",
  "&apos;": "'",
  "&nbsp;": " "
}

const json: Escaping = {
  pattern: /\\(?:u[\da-f]{4}|x[\da-f]{2}|[^])/gi,
  decode: (escape) =>
    escape.length > 2
      ? characterOf(parseInt(escape.slice(2), 16))
      : /[bfnrt]/.test(escape)
      ? " "
      : escape.slice(1)
}

const html: Escaping = {
  pattern: /&#(?:\d{1,9}|x[\da-f]{1,7});?|&(?:amp|lt|gt|quot|apos|nbsp);/gi,
  decode: (escape) =>
    escape.startsWith("&#")
      ? characterOf(Number(`0${escape.slice(2).replace(";", "")}`))
      : htmlNames[escape.toLowerCase()]!
}

const address: Escaping = {
  pattern: /%[\da-f]{2}/gi,
  decode: (escape) => characterOf(parseInt(escape.slice(1), 16))
}

/** White space, control characters, and characters without width: all that may split a key. */
const gap = /[\s\p{Cc}\p{Cf}]/u

const isGap = (character: string): boolean => character < "\x7f" ? character <= " " : gap.test(character)

type Range = readonly [start: number, end: number]

/** A text in small letters, without escapes and gaps, and the place of each of its characters in the original. */
class PlainText {
  private text = ""
  private readonly ranges: Array<Range> = []

  add(character: string, start: number, end: number): void {
    if (isGap(character)) return
    const lowerCase = character.toLowerCase()
    this.text += lowerCase
    for (let i = 0; i < lowerCase.length; i++) this.ranges.push([start, end])
  }

  addAll(original: string, start: number, end: number): void {
    for (let i = start; i < end; i++) this.add(original[i]!, i, i + 1)
  }

  find(form: string): ReadonlyArray<Range> {
    const found: Array<Range> = []
    for (let at = this.text.indexOf(form); at >= 0; at = this.text.indexOf(form, at + form.length)) {
      found.push([this.ranges[at]![0], this.ranges[at + form.length - 1]![1]])
    }
    return found
  }
}

const unescape = (original: string, { decode, pattern }: Escaping): PlainText => {
  const plain = new PlainText()
  let end = 0
  for (const { 0: escape, index } of original.matchAll(pattern)) {
    plain.addAll(original, end, index)
    end = index + escape.length
    plain.add(decode(escape), index, end)
  }
  plain.addAll(original, end, original.length)
  return plain
}

/** Returns the text as it is, and as it reads without the escapes that it contains. */
const readings = (text: string): ReadonlyArray<PlainText> => {
  const verbatim = new PlainText()
  verbatim.addAll(text, 0, text.length)
  return [
    verbatim,
    ...[json, html, address].flatMap((escaping) => text.search(escaping.pattern) < 0 ? [] : [unescape(text, escaping)])
  ]
}

/**
 * Replaces an API key in a text from elsewhere. Finds the key in any case, with white space in it, escaped for JSON, addresses or HTML, and
 * as base64 or hexadecimal digits. Takes linear time.
 */
export const redactKey = (key: string) => (text: string): string => {
  const bytes = Buffer.from(key)
  const forms = [key, bytes.toString("base64"), bytes.toString("base64url"), bytes.toString("hex")]
    .map((form) => form.toLowerCase())
  const found = readings(text).flatMap((plain) => forms.flatMap((form) => plain.find(form)))
  let redacted = ""
  let end = 0
  for (const [from, to] of found.sort(([a], [b]) => a - b)) {
    if (from >= end) redacted += `${text.slice(end, from)}<redacted>`
    end = Math.max(end, to)
  }
  return redacted + text.slice(end)
}
