/** The page of the local intake: applies the messages of the feed to its state, and renders at most once per animation frame. */
import type { Hello, Messages } from "../feedProtocol.js"
import * as CopyButtons from "./copyButtons.js"
import { Detail } from "./detail.js"
import { byId, element, icon, setAttribute, setText } from "./dom.js"
import * as EventList from "./eventList.js"
import * as Feed from "./feed.js"
import * as Format from "./format.js"
import * as Keyboard from "./keyboard.js"
import { MetricList } from "./list.js"
import { Notice } from "./notice.js"
import { Payloads } from "./payloads.js"
import * as State from "./state.js"
import { Theme } from "./theme.js"

const state = State.make()

const views = ["metrics", "payloads", "events"] as const
type ViewName = (typeof views)[number]
let view: ViewName = "metrics"

/** Difference between the clock of the intake and that of the browser, in milliseconds. */
let clockOffset = 0
let isConnected = false
let connectionLostAt: number | undefined
/** Time of the pause on the clock of the intake, in milliseconds since the epoch. */
let pausedAt: number | undefined
/** Number of updates since the pause. */
let missedUpdates = 0

/** How long a notice without a problem is shown, in milliseconds. */
const briefNotice = 3000

const now = (): number => pausedAt ?? Date.now() + clockOffset

/** Time up to which requests and events are shown, in milliseconds. */
const asOf = (): number => pausedAt ?? Infinity

// Rendering

let isFrameRequested = false
/** Whether to render while paused: after an action of the reader, and not after an update. */
let isViewRequested = false

const requestRender = (isByReader = false): void => {
  if (isByReader) isViewRequested = true
  if (isFrameRequested) return
  isFrameRequested = true
  requestAnimationFrame(() => {
    isFrameRequested = false
    renderHeader()
    if (pausedAt !== undefined && !isViewRequested) return
    isViewRequested = false
    renderView()
  })
}

const renderView = (): void => {
  const isEmpty = state.hello !== undefined && state.metrics.size === 0 && state.requests.size === 0 &&
    state.events.size === 0
  setAttribute(document.body, "data-empty", isEmpty ? "" : undefined)
  if (view === "metrics") {
    list.refresh()
    if (list.chosen() === undefined) list.chooseFirst()
    const chosen = list.chosen()
    setAttribute(document.body, "data-chosen", chosen === undefined ? undefined : "")
    detail.show(chosen)
    if (!detail.refresh()) requestRender(true)
  } else if (view === "payloads") payloads.refresh()
  else renderEvents()
}

type ConnectionStatus = "paused" | "live" | "connecting" | "lost"

const connectionStatus = (): ConnectionStatus =>
  pausedAt !== undefined ? "paused" : isConnected ? "live" : connectionLostAt === undefined ? "connecting" : "lost"

const connectionTexts: { readonly [Status in ConnectionStatus]: () => string } = {
  paused: () =>
    `Paused at ${Format.clock(now())}` +
    (missedUpdates > 0 ? ` · ${Format.plural(missedUpdates, "update")} since` : "") +
    (isConnected ? "" : " · connection lost"),
  live: () => "Live",
  connecting: () => "Connecting …",
  lost: () => `Connection lost at ${Format.clock(connectionLostAt!)}, reconnecting …`
}

const renderHeader = (): void => {
  const status = connectionStatus()
  setAttribute(element("connection"), "data-status", status)
  setText(element("connection-text"), connectionTexts[status]())
  const { health, metrics } = state
  setText(element("count-metrics"), Format.count(metrics.size))
  setText(element("count-payloads"), Format.count(health.requests + health.datagrams))
  setText(element("count-events"), Format.count(health.events))
  const flagged = Object.values(health.verdicts).reduce((a, b) => a + b, 0) + health.refused
  setAttribute(element("tab-payloads"), "data-flagged", flagged > 0 ? "" : undefined)
}

// Parts of the page

const pauseButton = byId("pause", HTMLButtonElement)
const search = byId("search", HTMLInputElement)
const help = byId("help", HTMLDialogElement)
const scroller = element("list")
const notice = new Notice(element("notice"))

const theme = new Theme(byId("theme", HTMLButtonElement), () => {
  list.repaint()
  requestRender(true)
})

const list = new MetricList(scroller, state, {
  palette: () => theme.palette,
  now: () => now() / 1000,
  onChoose: ({ key }, isOpened) => {
    history.replaceState(null, "", `#${encodeURIComponent(key)}`)
    if (isOpened) document.body.dataset["open"] = ""
    requestRender(true)
  },
  onCount: (shown, all) => {
    setText(element("list-count"), shown === all ? "" : `${Format.count(shown)} of ${Format.count(all)}`)
    element("list-none").hidden = shown > 0 || all === 0
  }
})

const returnToList = (): void => {
  delete document.body.dataset["open"]
  list.focus()
}

const detail = new Detail(element("detail-content"), state, {
  palette: () => theme.palette,
  now: () => now() / 1000,
  onBack: returnToList,
  onChange: () => requestRender(true)
})

const payloads = new Payloads(
  {
    tiles: element("tiles"),
    filters: element("filters"),
    codes: element("codes"),
    log: element("log"),
    more: byId("log-more", HTMLButtonElement),
    none: element("log-none")
  },
  state,
  asOf
)

const renderEvents = EventList.make(element("event-list"), element("events-none"), state, asOf)

// Actions of the reader

const showView = (next: ViewName): void => {
  view = next
  for (const name of views) {
    const isChosen = name === view
    const tab = element(`tab-${name}`)
    setAttribute(tab, "aria-selected", String(isChosen))
    setAttribute(tab, "tabindex", isChosen ? "0" : "-1")
    element(`view-${name}`).hidden = !isChosen
  }
  requestRender(true)
}

const togglePause = (): void => {
  const isPaused = pausedAt === undefined
  pausedAt = isPaused ? now() : undefined
  missedUpdates = 0
  setAttribute(pauseButton, "aria-pressed", String(isPaused))
  pauseButton.replaceChildren(icon(isPaused ? "play" : "pause"), isPaused ? "Resume" : "Pause")
  requestRender(true)
}

const clearIntake = async (): Promise<void> => {
  const response = await fetch("clear", { method: "POST" }).catch(() => undefined)
  if (response === undefined) notice.show("Cannot clear the intake: it does not answer.")
  else if (!response.ok) notice.show(`Cannot clear the intake: it answered ${response.status}.`)
}

for (const name of views) element(`tab-${name}`).addEventListener("click", () => showView(name))
element("tabs").addEventListener("keydown", (event) => {
  const direction = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0
  if (direction === 0) return
  showView(views[(views.indexOf(view) + direction + views.length) % views.length]!)
  element(`tab-${view}`).focus()
})
pauseButton.addEventListener("click", togglePause)
element("clear").addEventListener("click", () => void clearIntake())
element("help-open").addEventListener("click", () => help.showModal())
element("help-close").addEventListener("click", () => help.close())
help.addEventListener("click", (event) => {
  if (event.target === help) help.close()
})
search.addEventListener("input", () => {
  list.search(search.value)
  requestRender(true)
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

Keyboard.listen({
  isDisabled: () => help.open,
  isListActive: (target) => view === "metrics" && (target === scroller || target === document.body),
  listActions: {
    ArrowDown: () => list.move(1),
    ArrowUp: () => list.move(-1),
    PageDown: () => list.move(10),
    PageUp: () => list.move(-10),
    Home: () => list.move(-Infinity),
    End: () => list.move(Infinity),
    Enter: () => {
      if (list.chosen() === undefined) return
      document.body.dataset["open"] = ""
      requestRender(true)
      element("detail").focus()
    }
  },
  actions: {
    "/": () => {
      showView("metrics")
      returnToList()
      search.focus()
      search.select()
    },
    "?": () => help.showModal(),
    " ": togglePause,
    "1": () => showView("metrics"),
    "2": () => showView("payloads"),
    "3": () => showView("events"),
    t: () => theme.chooseNext(),
    j: () => list.move(1),
    k: () => list.move(-1),
    Escape: returnToList
  }
})
CopyButtons.listen()
new ResizeObserver(() => detail.resize()).observe(element("detail"))
document.addEventListener("visibilitychange", () => requestRender(true))

// Feed

const showHello = (hello: Hello): void => {
  const previous = state.hello
  const { dogstatsd, faults, instance, isAnyKeyValid, strict, url, version } = hello
  const key = isAnyKeyValid ? "local" : "(the key of --api-key)"
  setText(element("host-value"), `DATADOG_HOST=${Format.visible(url)}\nDD_API_KEY=${key}`)
  setText(element("dogstatsd-value"), dogstatsd === null ? "" : `DD_DOGSTATSD_URL=${Format.visible(dogstatsd)}`)
  element("dogstatsd-line").hidden = element("dogstatsd-intro").hidden = dogstatsd === null
  setText(element("address"), Format.visible(url))
  setText(element("version"), Format.visible(version))
  element("strict").hidden = !strict
  setText(element("faults"), faults.map((fault) => `fault: ${Format.visible(fault)}`).join(" · "))
  element("faults").hidden = faults.length === 0
  if (previous !== undefined && previous.instance !== instance) {
    notice.show(`The intake restarted at ${Format.clock(hello.now)}. Its earlier data is gone.`)
  }
}

/** Chooses the metric in the address of the page, so that links and reloads show it. */
const chooseFromAddress = (): void => {
  let key: string
  try {
    key = decodeURIComponent(location.hash.slice(1))
  } catch {
    return
  }
  if (list.chosen() === undefined && state.metrics.has(key)) list.choose(key)
}

theme.apply()
showView("metrics")

Feed.connect("feed", {
  message: (name, data) => {
    if (name === "hello") showHello(data as Messages["hello"])
    State.applyMessage(state, name, data)
    clockOffset = data.now - Date.now()
    if (name === "clear" || name === "snapshot") {
      if (name === "clear") notice.show("Cleared.", briefNotice)
      list.refresh()
      chooseFromAddress()
      requestRender(true)
    } else {
      if (pausedAt !== undefined && name === "update") missedUpdates++
      requestRender()
    }
  },
  connected: () => {
    isConnected = true
    connectionLostAt = undefined
    requestRender()
  },
  lost: () => {
    if (isConnected || connectionLostAt === undefined) connectionLostAt = Date.now()
    isConnected = false
    requestRender()
  }
})

// The time window moves on when no message arrives.
setInterval(() => requestRender(), 1000)
