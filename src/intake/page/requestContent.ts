/** Headers and body of a request, which the page requests from the intake when an entry of the log is opened. */
import { h, outsideText } from "./dom.js"
import * as Format from "./format.js"

/** Maximum number of characters of a body that are shown. */
const maxCharacters = 100_000

interface RequestContent {
  readonly headers: Readonly<Record<string, string>>
  readonly body?: unknown
}

const fetchContent = async (id: number): Promise<RequestContent | undefined> => {
  const response = await fetch(`requests/${id}`)
  return response.ok ? await response.json() : undefined
}

const makeBody = (body: unknown): HTMLElement => {
  if (body === undefined) {
    return h("p", { class: "dim" }, "The request has no body that the intake could read or still keeps.")
  }
  const text = Format.json(body)
  const shown = Format.visibleLines(text.slice(0, maxCharacters))
  const rest = text.length - maxCharacters
  return h(
    "div",
    {},
    h("pre", { class: "body", tabindex: 0, "aria-label": "Body" }, shown),
    rest > 0 && h("p", { class: "dim" }, `and ${Format.plural(rest, "character")} more`)
  )
}

const makeContent = ({ body, headers }: RequestContent): ReadonlyArray<HTMLElement> => [
  h("h3", {}, "Headers"),
  h(
    "dl",
    { class: "headers" },
    ...Object.entries(headers).map(([name, value]) =>
      h("div", {}, h("dt", {}, outsideText(name, "")), h("dd", {}, outsideText(value, "")))
    )
  ),
  h("h3", {}, "Body"),
  makeBody(body)
]

/** Creates the element with headers and body of a request. It is filled when the intake has answered. */
export const makeRequestContent = (id: number): HTMLElement => {
  const root = h("div", { class: "request-content" }, h("p", { class: "dim" }, "Reading headers and body …"))
  const showNote = (text: string) => root.replaceChildren(h("p", { class: "dim" }, text))
  fetchContent(id).then(
    (content) =>
      content === undefined
        ? showNote("The intake no longer has the headers and the body of this request.")
        : root.replaceChildren(...makeContent(content)),
    () => showNote("Cannot read headers and body: the intake does not answer. Close and open the request to try again.")
  )
  return root
}
