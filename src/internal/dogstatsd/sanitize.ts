/** Replaces and escapes the characters that would end a field or a line. */

const nameSeparators = /[:|\u0000-\u001f\u007f]/g

export const sanitizeName = (name: string): string => name.replace(nameSeparators, "_")

/** Characters that end a field or a line, and other control characters. */
const fieldSeparators = /[|\u0000-\u001f\u007f]/g

export const sanitizeField = (value: string): string => value.replace(fieldSeparators, "_")

export const removeFieldSeparators = (value: string): string => value.replace(fieldSeparators, "")

/** Escapes line ends as `\n`, which the Agent turns back into line feeds. */
export const escapeText = (text: string): string => text.replace(/\r\n|\r|\n/g, "\\n")

/** Cuts a text to a size in UTF-8, without cutting through a character or an escape. */
export const cutToBytes = (text: string, bytes: number): string => {
  const buffer = Buffer.from(text)
  if (buffer.byteLength <= bytes) return text
  let end = bytes
  while (end > 0 && (buffer[end]! & 0xc0) === 0x80) end--
  const cut = buffer.toString("utf8", 0, end)
  return cut.endsWith("\\") && buffer[end] === 0x6e ? cut.slice(0, -1) : cut
}
