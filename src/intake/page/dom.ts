/**
 * Elements, made without a parser: what comes from outside becomes text and nothing else.
 */
import { visible } from "./format.js"

type Child = Node | string | undefined | false

interface Attributes {
  readonly [name: string]: string | number | boolean | ((event: never) => void) | undefined
}

/** Functions are listeners, `true` is an attribute without a value, `false` and `undefined` are none. */
export const h = <Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Attributes = {},
  ...children: ReadonlyArray<Child>
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

/** One of the symbols of the page. */
export const icon = (name: string): SVGElement => {
  const element = document.createElementNS(svg, "svg")
  element.setAttribute("class", "icon")
  element.setAttribute("aria-hidden", "true")
  const use = document.createElementNS(svg, "use")
  use.setAttribute("href", `#i-${name}`)
  element.append(use)
  return element
}

/** A name from outside, apart from the direction of what is around it. */
export const outside = (text: string, className = "name"): HTMLElement => h("bdi", { class: className }, visible(text))

export const byId = <Type extends HTMLElement>(id: string, type: new() => Type): Type => {
  const element = document.getElementById(id)
  if (!(element instanceof type)) throw new Error(`The page has no ${id}`)
  return element
}

export const element = (id: string): HTMLElement => byId(id, HTMLElement)

/** Writes only what is new: every write is a layout. */
export const setText = (node: Element, text: string): void => {
  if (node.textContent !== text) node.textContent = text
}

export const setAttribute = (node: Element, name: string, value: string | undefined): void => {
  if (value === undefined) {
    if (node.hasAttribute(name)) node.removeAttribute(name)
  } else if (node.getAttribute(name) !== value) node.setAttribute(name, value)
}

/** Makes `parent` have these children in this order, and moves none that is in its place. */
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

/** Sized for the screen it is on; a canvas is cleared by that, too. */
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

/** The colours of the theme, for what is drawn. */
export interface Palette {
  readonly text: string
  readonly dim: string
  readonly grid: string
  readonly accent: string
  readonly surface: string
  readonly lines: ReadonlyArray<string>
  readonly alert: { readonly [type: string]: string }
}

export const lineColours = 12

export const readPalette = (): Palette => {
  // A canvas knows nothing of variables.
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
    lines: Array.from({ length: lineColours }, (_, i) => read(`line-${i}`)),
    alert: { error: read("bad"), warning: read("warn"), success: read("good"), info: read("info") }
  }
  probe.remove()
  return palette
}
