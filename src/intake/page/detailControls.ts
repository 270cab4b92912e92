/** Controls of the chosen metric: time window, split by a tag, statistic, scale and zoom. */
import { type Statistic, statistics } from "./distributionSteps.js"
import { h, setAttribute } from "./dom.js"
import * as Format from "./format.js"

/** Time ranges: identifier, label and length in seconds. `undefined` follows the points, `Infinity` shows all of them. */
const windows = [["auto", "Auto", undefined], ["5m", "5 min", 300], ["15m", "15 min", 900], ["1h", "1 h", 3600], [
  "all",
  "All",
  Infinity
]] as const

export interface DetailControlsOptions {
  readonly onChange: () => void
  /** Called before `onChange` when the reader chooses another tag to split by. */
  readonly onSplit: () => void
}

/** A span of time that the reader selected, in seconds. */
export interface Zoom {
  readonly from: number
  readonly to: number
}

export class DetailControls {
  /** Tag key to split by; `undefined` for one line. */
  split: string | undefined
  statistic: Statistic = "p95"
  /** Length of the time range, in seconds; `undefined` to follow the points of the metric. */
  windowLength: number | undefined
  isLog = false
  zoom: Zoom | undefined
  readonly root: HTMLElement
  private readonly windowButtons: ReadonlyArray<HTMLButtonElement>
  private readonly splitSelect: HTMLSelectElement
  private readonly statisticLabel: HTMLElement
  private readonly zoomButton: HTMLButtonElement

  constructor({ onChange, onSplit }: DetailControlsOptions) {
    this.windowButtons = windows.map(([id, label, length]) =>
      h("button", {
        type: "button",
        "data-window": id,
        title: id === "auto" ? "From the first point to the last, at most one hour" : undefined,
        click: () => {
          this.windowLength = length
          this.zoom = undefined
          onChange()
        }
      }, label)
    )
    this.splitSelect = h("select", {
      id: "split",
      change: () => {
        const { value } = this.splitSelect
        this.split = value === "" ? undefined : value.slice(1)
        onSplit()
        onChange()
      }
    })
    this.statisticLabel = h("label", { class: "control" }, "Statistic", this.makeStatisticSelect(onChange))
    this.zoomButton = h("button", {
      type: "button",
      class: "reset",
      click: () => {
        this.zoom = undefined
        onChange()
      }
    }, "Reset zoom")
    this.root = h(
      "div",
      { class: "controls" },
      h("div", { class: "segmented", role: "group", "aria-label": "Time range" }, ...this.windowButtons),
      h("label", { class: "control" }, "Split by", this.splitSelect),
      this.statisticLabel,
      h("label", { class: "control check" }, this.makeLogBox(onChange), "Log scale"),
      this.zoomButton
    )
  }

  /** Offers the tag keys of a metric. The split ends if the metric does not have its key. */
  setTagKeys(keys: ReadonlyArray<readonly [key: string, values: number]>): void {
    const { splitSelect } = this
    if (!keys.some(([key]) => key === this.split)) this.split = undefined
    const offered = JSON.stringify(keys)
    if (splitSelect.dataset["keys"] !== offered) {
      splitSelect.dataset["keys"] = offered
      splitSelect.replaceChildren(
        h("option", { value: "" }, "nothing"),
        // A key can be empty: the prefix distinguishes it from no key.
        ...keys.map(([key, values]) =>
          h("option", { value: `=${key}` }, `${Format.visible(key)} (${Format.count(values)})`)
        )
      )
    }
    splitSelect.value = this.split === undefined ? "" : `=${this.split}`
    splitSelect.disabled = keys.length === 0
  }

  refresh(isDistribution: boolean): void {
    this.statisticLabel.hidden = !isDistribution || this.split === undefined
    this.zoomButton.hidden = this.zoom === undefined
    this.windowButtons.forEach((button, i) => {
      const isPressed = this.zoom === undefined && windows[i]![2] === this.windowLength
      setAttribute(button, "aria-pressed", String(isPressed))
    })
  }

  private makeStatisticSelect(onChange: () => void): HTMLElement {
    const select = h(
      "select",
      {
        id: "statistic",
        change: () => {
          this.statistic = select.value as Statistic
          onChange()
        }
      },
      ...([...statistics, "mean", "count"] as const).map((name) =>
        h("option", { value: name, selected: name === this.statistic }, name)
      )
    )
    return select
  }

  private makeLogBox(onChange: () => void): HTMLElement {
    const box = h("input", {
      type: "checkbox",
      id: "log-scale",
      change: () => {
        this.isLog = box.checked
        onChange()
      }
    })
    return box
  }
}
