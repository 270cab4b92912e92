/** Mark at the place where a text was cut. */
const cutMark = "…"

/** Encloses markdown in the text of an event. Source: Datadog API reference, `POST /api/v1/events`. */
const fence = "%%%"

/** Maximum length of the text behind markdown that stays when the markdown is cut, in characters. It often mentions a team. */
const maxTailLength = 500

/** Cuts a text to a number of UTF-16 units, without cutting through a surrogate pair. */
export const cutText = (text: string, length: number): string => {
  if (text.length <= length) return text
  const last = text.charCodeAt(length - 1)
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? length - 1 : length)
}

/** Returns the position behind the fence that opens markdown and is not closed in the text, or -1. */
const findOpenMarkdown = (text: string): number => {
  let isOpen = false
  let end = 0
  for (let at = text.indexOf(fence); at >= 0; at = text.indexOf(fence, end)) {
    isOpen = !isOpen
    end = at + fence.length
  }
  return isOpen ? end : -1
}

/** Returns the text between the end of the markdown and the next one, shortened, or undefined if the markdown has no end. */
const textBehindMarkdown = (text: string, openedAt: number): string | undefined => {
  const close = text.indexOf(fence, openedAt)
  if (close < 0) return undefined
  const begin = close + fence.length
  const nextFence = text.indexOf(fence, begin)
  const behind = text.slice(begin, nextFence < 0 ? text.length : nextFence)
  return behind.length <= maxTailLength ? behind : cutText(behind, maxTailLength) + cutMark
}

/**
 * Cuts the text of an event and marks the cut. Keeps the end of markdown in which it cuts, and the text behind it: Datadog would show
 * unfinished markdown as plain text, and notify nobody whom that text mentions.
 */
export const cutEventText = (text: string, length: number): string => {
  if (text.length <= length) return text
  const head = cutText(text, length - cutMark.length)
  const openedAt = findOpenMarkdown(head)
  const behind = openedAt < 0 ? undefined : textBehindMarkdown(text, openedAt)
  if (behind === undefined) return head + cutMark
  const tail = `${cutMark}\n ${fence}${behind}`
  const shorter = cutText(text, length - tail.length)
  return shorter.length >= openedAt
    ? shorter + tail
    // Leaves out markdown that begins so late.
    : cutText(text, Math.min(shorter.length, openedAt - fence.length)) + cutMark + behind
}
