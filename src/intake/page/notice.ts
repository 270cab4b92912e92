/** Notice at the bottom of the page. */
import { h, icon } from "./dom.js"

export class Notice {
  private readonly root: HTMLElement
  private timer: ReturnType<typeof setTimeout> | undefined

  constructor(root: HTMLElement) {
    this.root = root
  }

  /** Shows a text until the reader closes it, or for some milliseconds. */
  show(text: string, duration = Infinity): void {
    const hide = () => {
      this.root.hidden = true
    }
    this.root.replaceChildren(
      h("span", {}, text),
      h("button", { type: "button", "aria-label": "Close", click: hide }, icon("refused"))
    )
    this.root.hidden = false
    clearTimeout(this.timer)
    if (duration < Infinity) this.timer = setTimeout(hide, duration)
  }
}
