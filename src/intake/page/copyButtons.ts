/** Buttons that copy the text of an element, named by their attribute `data-copy`. */
import { element, setText } from "./dom.js"

/** Time for which a button confirms the copy, in milliseconds. */
const confirmation = 1500

/** Adds the listeners of all copy buttons. Without access to the clipboard a button selects the text. */
export const listen = (): void => {
  for (const button of document.querySelectorAll<HTMLButtonElement>("button[data-copy]")) {
    button.addEventListener("click", () => {
      const source = element(button.dataset["copy"]!)
      const label = button.querySelector("span")!
      const confirm = () => {
        setText(label, "Copied")
        setTimeout(() => setText(label, "Copy"), confirmation)
      }
      navigator.clipboard.writeText(source.textContent ?? "").then(confirm, () => {
        getSelection()?.selectAllChildren(source)
        setText(label, "Selected")
      })
    })
  }
}
