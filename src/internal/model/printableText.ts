/** Text from elsewhere in log lines and errors: it must not forge a line, nor control a terminal. */

/** Control characters, line and paragraph separators, and characters that change the direction of the text after them. */
const unprintable = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu

const unprintableInLines = /(?![\n\t])[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu

const escapes: { readonly [character: string]: string } = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }

const escapeCharacter = (character: string): string =>
  escapes[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`

/** Escapes control and bidirectional characters as JSON does, so that the text is one line. Text that is JSON keeps its meaning. */
export const toPrintable = (text: string): string => text.replace(unprintable, escapeCharacter)

/** Escapes like {@link toPrintable}, but keeps line feeds and tabs, for a stack trace. */
export const toPrintableLines = (text: string): string => text.replace(unprintableInLines, escapeCharacter)
