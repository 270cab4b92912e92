/** Color theme of the page, which the reader chooses and the browser remembers. */
import { icon, type Palette, readPalette, setAttribute } from "./dom.js"

const themes = ["system", "light", "dark"] as const

type ThemeName = (typeof themes)[number]

/** Reads the remembered theme. A browser that forbids storage throws. */
const readTheme = (): ThemeName => {
  try {
    return themes.find((theme) => theme === localStorage.getItem("theme")) ?? "system"
  } catch {
    return "system"
  }
}

const storeTheme = (theme: ThemeName): void => {
  try {
    localStorage.setItem("theme", theme)
  } catch {
    // The theme lasts until the page is closed.
  }
}

export class Theme {
  private readonly button: HTMLButtonElement
  private readonly onChange: () => void
  private name = readTheme()
  private colors = readPalette()

  constructor(button: HTMLButtonElement, onChange: () => void) {
    this.button = button
    this.onChange = onChange
    button.addEventListener("click", () => this.chooseNext())
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.apply())
  }

  get palette(): Palette {
    return this.colors
  }

  chooseNext(): void {
    this.name = themes[(themes.indexOf(this.name) + 1) % themes.length]!
    storeTheme(this.name)
    this.apply()
  }

  apply(): void {
    const { button, name } = this
    setAttribute(document.documentElement, "data-theme", name === "system" ? undefined : name)
    this.colors = readPalette()
    button.replaceChildren(icon(`theme-${name}`))
    setAttribute(button, "aria-label", `Colors: ${name}`)
    setAttribute(button, "title", `Colors: ${name} (t)`)
    this.onChange()
  }
}
