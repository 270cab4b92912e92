/**
 * The page of the local intake: takes in the feed, and draws what can be seen of it once a frame.
 */
import type { Messages } from "../feedProtocol.js"
import * as Detail from "./detail.js"
import { byId, element, h, icon, readPalette, setAttribute, setText } from "./dom.js"
import * as EventList from "./eventList.js"
import * as Feed from "./feed.js"
import * as Format from "./format.js"
import * as List from "./list.js"
import * as Payloads from "./payloads.js"
import * as Store from "./store.js"

const state = Store.make()

const views = ["metrics", "payloads", "events"] as const
type View = (typeof views)[number]
let view: View = "metrics"

/** How far the intake's clock is ahead of this one, in milliseconds. */
let ahead = 0
let connected = false
let lostAt: number | undefined
/** By the intake's clock, in milliseconds. */
let pausedAt: number | undefined
let missed = 0
let fading: ReturnType<typeof setTimeout> | undefined

const now = (): number => pausedAt ?? Date.now() + ahead

// What is seen, once a frame at most.

let requested = false
/** While paused, only what the reader does changes what is seen. */
let asked = false

const draw = (byReader = false): void => {
  if (byReader) asked = true
  if (requested) return
  requested = true
  requestAnimationFrame(() => {
    requested = false
    drawHead()
    if (pausedAt !== undefined && !asked) return
    asked = false
    drawView()
  })
}

const drawView = (): void => {
  const empty = state.hello !== undefined && state.metrics.size === 0 && state.requests.size === 0
    && state.events.size === 0
  setAttribute(document.body, "data-empty", empty ? "" : undefined)
  if (view === "metrics") {
    list.refresh()
    if (list.chosen() === undefined) list.chooseFirst()
    const chosen = list.chosen()
    setAttribute(document.body, "data-chosen", chosen === undefined ? undefined : "")
    detail.show(chosen)
    if (!detail.refresh()) draw(true)
  } else if (view === "payloads") payloads.refresh()
  else refreshEvents()
}

const drawHead = (): void => {
  const status = pausedAt !== undefined ? "paused" : connected ? "live" : lostAt === undefined ? "connecting" : "lost"
  setAttribute(connection, "data-status", status)
  setText(
    connectionText,
    status === "paused"
      ? `Paused at ${Format.clock(now())}${missed > 0 ? ` · ${Format.plural(missed, "update")} since` : ""}`
        + (connected ? "" : " · connection lost")
      : status === "live"
      ? "Live"
      : status === "connecting"
      ? "Connecting …"
      : `Connection lost at ${Format.clock(lostAt!)}, trying again …`
  )
  for (
    const [name, count] of Object.entries({
      metrics: state.metrics.size,
      payloads: state.health.requests + state.health.datagrams,
      events: state.health.events
    })
  ) setText(element(`count-${name}`), Format.count(count))
  const flagged = Object.values(state.health.verdicts).reduce((a, b) => a + b, 0) + state.health.refused
  setAttribute(element("tab-payloads"), "data-flagged", flagged > 0 ? "" : undefined)
}

// Theme

let palette = readPalette()
const themes = ["system", "light", "dark"] as const
type Theme = (typeof themes)[number]

/** Where storage is forbidden, the choice lasts as long as the page. */
const stored = (): Theme => {
  try {
    return themes.find((theme) => theme === localStorage.getItem("theme")) ?? "system"
  } catch {
    return "system"
  }
}
let theme = stored()

const applyTheme = (): void => {
  setAttribute(document.documentElement, "data-theme", theme === "system" ? undefined : theme)
  palette = readPalette()
  themeButton.replaceChildren(icon(`theme-${theme}`))
  setAttribute(themeButton, "aria-label", `Colours: ${theme}`)
  setAttribute(themeButton, "title", `Colours: ${theme} (t)`)
  list.repaint()
  draw(true)
}

const nextTheme = (): void => {
  theme = themes[(themes.indexOf(theme) + 1) % themes.length]!
  try {
    localStorage.setItem("theme", theme)
  } catch {
    // It lasts as long as the page.
  }
  applyTheme()
}

// Parts

const connection = element("connection")
const connectionText = element("connection-text")
const pauseButton = byId("pause", HTMLButtonElement)
const themeButton = byId("theme", HTMLButtonElement)
const search = byId("search", HTMLInputElement)
const help = byId("help", HTMLDialogElement)
const notice = element("notice")
const scroller = element("list")

const list = List.make(scroller, state, {
  palette: () => palette,
  now: () => now() / 1000,
  onChoose: ({ key }, opened) => {
    history.replaceState(null, "", `#${encodeURIComponent(key)}`)
    if (opened) document.body.dataset["open"] = ""
    draw(true)
  },
  onCount: (shown, all) => {
    setText(element("list-count"), shown === all ? "" : `${Format.count(shown)} of ${Format.count(all)}`)
    element("list-none").hidden = shown > 0 || all === 0
  }
})

const back = (): void => {
  delete document.body.dataset["open"]
  list.focus()
}

const detail = Detail.make(element("detail-content"), state, {
  palette: () => palette,
  now: () => now() / 1000,
  onBack: back,
  onChange: () => draw(true)
})

const payloads = Payloads.make(
  {
    tiles: element("tiles"),
    filters: element("filters"),
    codes: element("codes"),
    log: element("log"),
    more: byId("log-more", HTMLButtonElement),
    none: element("log-none")
  },
  state,
  () => pausedAt ?? Infinity
)

const refreshEvents = EventList.make(element("event-list"), element("events-none"), state, () => pausedAt ?? Infinity)

// What the reader does

const showView = (next: View): void => {
  view = next
  for (const name of views) {
    const chosen = name === view
    const tab = element(`tab-${name}`)
    setAttribute(tab, "aria-selected", String(chosen))
    setAttribute(tab, "tabindex", chosen ? "0" : "-1")
    element(`view-${name}`).hidden = !chosen
  }
  draw(true)
}

const setPaused = (paused: boolean): void => {
  pausedAt = paused ? now() : undefined
  missed = 0
  setAttribute(pauseButton, "aria-pressed", String(paused))
  pauseButton.replaceChildren(icon(paused ? "play" : "pause"), paused ? "Resume" : "Pause")
  draw(true)
}

/** How long a notice stays that asks for nothing, in milliseconds. */
const brief = 3000

const say = (text: string, stays = Infinity): void => {
  notice.replaceChildren(
    h("span", {}, text),
    h("button", { type: "button", "aria-label": "Close", click: () => (notice.hidden = true) }, icon("refused"))
  )
  notice.hidden = false
  clearTimeout(fading)
  if (stays < Infinity) fading = setTimeout(() => (notice.hidden = true), stays)
}

const clear = async (): Promise<void> => {
  const answer = await fetch("clear", { method: "POST" }).catch(() => undefined)
  if (answer === undefined) say("Not cleared: the intake does not answer.")
  else if (!answer.ok) say(`Not cleared: the intake answered ${answer.status}.`)
}

for (const name of views) element(`tab-${name}`).addEventListener("click", () => showView(name))
element("tabs").addEventListener("keydown", (event) => {
  const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0
  if (by === 0) return
  showView(views[(views.indexOf(view) + by + views.length) % views.length]!)
  element(`tab-${view}`).focus()
})
pauseButton.addEventListener("click", () => setPaused(pausedAt === undefined))
element("clear").addEventListener("click", () => void clear())
themeButton.addEventListener("click", nextTheme)
element("help-open").addEventListener("click", () => help.showModal())
element("help-close").addEventListener("click", () => help.close())
help.addEventListener("click", (event) => {
  if (event.target === help) help.close()
})
search.addEventListener("input", () => {
  list.search(search.value)
  draw(true)
})
search.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    if (search.value === "") list.focus()
    search.value = ""
    list.search("")
  } else if (event.key === "ArrowDown" || event.key === "Enter") {
    list.focus()
    list.move(1)
  } else return
  event.preventDefault()
  event.stopPropagation()
})

const keys: { readonly [key: string]: () => void } = {
  "/": () => {
    showView("metrics")
    back()
    search.focus()
    search.select()
  },
  "?": () => help.showModal(),
  " ": () => setPaused(pausedAt === undefined),
  "1": () => showView("metrics"),
  "2": () => showView("payloads"),
  "3": () => showView("events"),
  t: nextTheme,
  j: () => list.move(1),
  k: () => list.move(-1),
  Escape: back
}

const listKeys: { readonly [key: string]: () => void } = {
  ArrowDown: () => list.move(1),
  ArrowUp: () => list.move(-1),
  PageDown: () => list.move(10),
  PageUp: () => list.move(-10),
  Home: () => list.move(-Infinity),
  End: () => list.move(Infinity),
  Enter: () => {
    if (list.chosen() === undefined) return
    document.body.dataset["open"] = ""
    draw(true)
    element("detail").focus()
  }
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || help.open) return
  const target = event.target as Element
  if (target.matches("input:not([type=checkbox]), textarea")) return
  const { key } = event
  // A control that has the focus has these keys for itself.
  if (key === " " && target.matches("button, select, input, a")) return
  if (target.matches("select") && key !== "Escape") return
  const moving = view === "metrics" && (target === scroller || target === document.body)
  const action = moving && Object.hasOwn(listKeys, key)
    ? listKeys[key]
    : Object.hasOwn(keys, key)
    ? keys[key]
    : undefined
  if (action === undefined) return
  event.preventDefault()
  action()
})

for (const button of document.querySelectorAll<HTMLButtonElement>("button[data-copy]")) {
  button.addEventListener("click", () => {
    const source = element(button.dataset["copy"]!)
    const label = button.querySelector("span")!
    const done = () => {
      setText(label, "Copied")
      setTimeout(() => setText(label, "Copy"), 1500)
    }
    navigator.clipboard.writeText(source.textContent ?? "").then(done, () => {
      getSelection()?.selectAllChildren(source)
      setText(label, "Selected")
    })
  })
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", applyTheme)
new ResizeObserver(() => detail.resize()).observe(element("detail"))
document.addEventListener("visibilitychange", () => draw(true))

// The feed

const introduce = (hello: Messages["hello"]): void => {
  const before = state.hello
  setText(element("host-value"), `DATADOG_HOST=${Format.visible(hello.url)}`)
  const dogstatsd = hello.dogstatsd
  setText(element("dogstatsd-value"), dogstatsd === null ? "" : `DD_DOGSTATSD_URL=${Format.visible(dogstatsd)}`)
  element("dogstatsd-line").hidden = dogstatsd === null
  setText(element("address"), Format.visible(hello.url))
  setText(element("version"), Format.visible(hello.version))
  element("strict").hidden = !hello.strict
  setText(element("faults"), hello.faults.map((fault) => `fault: ${Format.visible(fault)}`).join(" · "))
  element("faults").hidden = hello.faults.length === 0
  if (before !== undefined && before.instance !== hello.instance) {
    say(`The intake was started anew at ${Format.clock(hello.now)}. What it had before is forgotten.`)
  }
}

/** A reader who comes back, or follows a link, finds the metric chosen that was. */
const fromAddress = (): void => {
  let key: string
  try {
    key = decodeURIComponent(location.hash.slice(1))
  } catch {
    return
  }
  if (list.chosen() === undefined && state.metrics.has(key)) list.choose(key)
}

applyTheme()
showView("metrics")

Feed.connect("feed", {
  message: (name, data) => {
    if (name === "hello") introduce(data as Messages["hello"])
    Store.reduce(state, name, data)
    ahead = data.now - Date.now()
    if (name === "clear" || name === "snapshot") {
      if (name === "clear") say("Cleared.", brief)
      list.refresh()
      fromAddress()
      draw(true)
    } else {
      if (pausedAt !== undefined && name === "update") missed++
      draw()
    }
  },
  connected: () => {
    connected = true
    lostAt = undefined
    draw()
  },
  lost: () => {
    if (connected || lostAt === undefined) lostAt = Date.now()
    connected = false
    draw()
  }
})

// Time goes on when nothing is sent, too.
setInterval(() => draw(), 1000)
