/** Elements of the page. They are created without an HTML parser: text from outside always stays text. */
import { divideName, visible } from "./format.js"

type ElementChild = Node | string | undefined | false

interface ElementAttributes {
  readonly [name: string]: string | number | boolean | ((event: never) => void) | undefined
}

/** Creates an element. Functions become listeners, `true` an empty attribute; `false` and `undefined` are left out. */
export const h = <Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: ElementAttributes = {},
  ...children: ReadonlyArray<ElementChild>
): HTMLElementTagNameMap[Name] => {
  const element = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value as (event: Event) => void)
    else if (value === true) element.setAttribute(key, "")
    else if (value !== undefined && value !== false) element.setAttribute(key, String(value))
  }
  element.append(...children.filter((child) => child !== undefined && child !== false))
  return element
}

const svg = "http://www.w3.org/2000/svg"

/** Creates an icon from a symbol of the page. */
export const icon = (name: string): SVGElement => {
  const element = document.createElementNS(svg, "svg")
  element.setAttribute("class", "icon")
  element.setAttribute("aria-hidden", "true")
  const use = document.createElementNS(svg, "use")
  use.setAttribute("href", `#i-${name}`)
  element.append(use)
  return element
}

/** Creates an element for text from outside. Its writing direction does not affect the text around it. */
export const outsideText = (text: string, className = "name"): HTMLElement =>
  h("bdi", { class: className }, visible(text))

/** Length of names that always have enough space. */
const shortName = 20

/** Shows a text from outside in an element with little space, which cuts the text in its middle. */
export const setName = (element: HTMLElement, text: string): void => {
  const name = visible(text)
  if (element.textContent === name) return
  const [head, tail] = divideName(name)
  element.title = name
  element.classList.toggle("cut", name.length > shortName)
  if (name.length <= shortName) {
    element.removeAttribute("aria-label")
    element.textContent = name
    return
  }
  // A screen reader would read two parts as two words.
  element.setAttribute("aria-label", name)
  element.replaceChildren(h("span", { class: "cut-head" }, head), h("span", { class: "cut-tail" }, tail))
}

/** Creates an element for {@link setName}. */
export const nameText = (text: string, className = "name"): HTMLElement => {
  const element = h("bdi", { class: className })
  setName(element, text)
  return element
}

/** Finds an element of a type by its id. */
export const byId = <Type extends HTMLElement>(id: string, type: new() => Type): Type => {
  const element = document.getElementById(id)
  if (!(element instanceof type)) throw new Error(`The page does not contain the element ${id}`)
  return element
}

/** Finds an element by its id. */
export const element = (id: string): HTMLElement => byId(id, HTMLElement)

/** Sets the text if it differs. An unnecessary write would cause a layout. */
export const setText = (node: Element, text: string): void => {
  if (node.textContent !== text) node.textContent = text
}

/** Sets or removes an attribute if it differs. */
export const setAttribute = (node: Element, name: string, value: string | undefined): void => {
  if (value === undefined) {
    if (node.hasAttribute(name)) node.removeAttribute(name)
  } else if (node.getAttribute(name) !== value) node.setAttribute(name, value)
}

/** Replaces the children of an element. Children that are in their place are not moved. */
export const setChildren = (parent: Element, children: ReadonlyArray<Element>): void => {
  const wanted = new Set(children)
  for (const child of [...parent.children]) {
    if (!wanted.has(child)) child.remove()
  }
  let next: Element | null = parent.firstElementChild
  for (const child of children) {
    if (child === next) next = next.nextElementSibling
    else parent.insertBefore(child, next)
  }
}

/** Sizes a canvas for the density of the screen, and clears it. */
export const sizeCanvas = (canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D => {
  const density = window.devicePixelRatio
  const [w, h] = [Math.round(width * density), Math.round(height * density)]
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w
    canvas.height = h
  }
  const context = canvas.getContext("2d")!
  context.setTransform(density, 0, 0, density, 0, 0)
  context.clearRect(0, 0, width, height)
  return context
}

/** Colors of the theme, for canvases. */
export interface Palette {
  readonly text: string
  readonly dim: string
  readonly grid: string
  readonly accent: string
  readonly surface: string
  readonly lines: ReadonlyArray<string>
  readonly alert: { readonly [type: string]: string }
}

/** Number of line colors in the style sheet. */
export const lineColors = 12

/** Reads the colors of the theme from the style sheet. */
export const readPalette = (): Palette => {
  // A canvas does not resolve variables of the style sheet.
  const probe = h("i", { hidden: true })
  document.body.append(probe)
  const read = (name: string) => {
    probe.style.color = `var(--${name})`
    return getComputedStyle(probe).color
  }
  const palette: Palette = {
    text: read("text"),
    dim: read("dim"),
    grid: read("grid"),
    accent: read("accent"),
    surface: read("surface"),
    lines: Array.from({ length: lineColors }, (_, i) => read(`line-${i}`)),
    alert: { error: read("bad"), warning: read("warn"), success: read("good"), info: read("info") }
  }
  probe.remove()
  return palette
}
