/**
 * Returns JSON that any parser accepts. `JSON.stringify` writes half a surrogate pair as an escape. Many parsers refuse such a body
 * (RFC 7493 forbids it), so U+FFFD replaces it here.
 */
export const stringify = (item: unknown): string => {
  const json = JSON.stringify(item)
  return json.includes("\\ud")
    ? JSON.stringify(item, (_, value) => typeof value === "string" ? Buffer.from(value).toString() : value)
    : json
}
