/** Keyboard shortcuts of the page. */

/** Actions by key. */
export interface KeyActions {
  readonly [key: string]: () => void
}

export interface KeyboardOptions {
  readonly actions: KeyActions
  /** Actions while {@link KeyboardOptions.isListActive} returns true. They come first. */
  readonly listActions: KeyActions
  readonly isListActive: (target: Element) => boolean
  /** Whether the page ignores all keys. */
  readonly isDisabled: () => boolean
}

/** Returns whether the focused control handles the key itself. */
const isHandledByControl = (target: Element, key: string): boolean =>
  target.matches("input:not([type=checkbox]), textarea") ||
  (key === " " && target.matches("button, select, input, a")) ||
  (key !== "Escape" && target.matches("select"))

/** Listens for the shortcuts. */
export const listen = ({ actions, isDisabled, isListActive, listActions }: KeyboardOptions): void => {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isDisabled()) return
    const target = event.target as Element
    const { key } = event
    if (isHandledByControl(target, key)) return
    const action = isListActive(target) && Object.hasOwn(listActions, key)
      ? listActions[key]
      : Object.hasOwn(actions, key)
      ? actions[key]
      : undefined
    if (action === undefined) return
    event.preventDefault()
    action()
  })
}
