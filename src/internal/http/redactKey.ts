/** Returns a function that replaces the key in a text, as it is and in the encodings of other programs. */
export const redactKey = (key: string) => (text: string): string => {
  const bytes = Buffer.from(key)
  return [
    key,
    encodeURIComponent(key),
    encodeURI(key),
    JSON.stringify(key).slice(1, -1),
    bytes.toString("base64"),
    bytes.toString("base64url"),
    bytes.toString("hex")
  ].reduce((cleaned, form) => cleaned.replaceAll(form, "<redacted>"), text)
}
