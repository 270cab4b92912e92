/**
 * One metric: its plot, what it is made of, and the histogram of a distribution.
 */
import * as Bars from "./bars.js"
import { h, icon, lineColours, outside, type Palette, setAttribute, setChildren, setText } from "./dom.js"
import * as Format from "./format.js"
import {
  collate,
  earliest,
  type Frame,
  type Group,
  groupsOf,
  heaviest,
  intervalOf,
  latest,
  line,
  rule,
  type Statistic,
  statistics,
  stepOf,
  Steps,
  tagKeys,
  type Value
} from "./lines.js"
import * as Plot from "./plot.js"
import { add, histogram, quantiles } from "./sketch.js"
import type { Metric, Series, State } from "./store.js"
import { badge, verdictItem } from "./verdicts.js"

/** In seconds; `Infinity` for everything there is. */
const windows = [["5m", "5 min", 300], ["15m", "15 min", 900], ["1h", "1 h", 3600], ["all", "All", Infinity]] as const

const mostSteps = 600
const mostLines = lineColours
const mostEvents = 100
const mostTags = 100
const columns = 72

/** How long sketches are put together in one frame, in milliseconds. */
const budget = 8

/** What matters more is drawn stronger. */
const weights: { readonly [S in (typeof statistics)[number]]: { readonly width: number; readonly ink: number } } = {
  min: { width: 1, ink: 40 },
  p50: { width: 2.25, ink: 100 },
  p75: { width: 1, ink: 60 },
  p95: { width: 1.75, ink: 90 },
  p99: { width: 1, ink: 60 },
  max: { width: 1, ink: 40 }
}

interface Drawn {
  readonly key: string
  readonly label: HTMLElement | string
  readonly colour: string
  readonly width: number
  readonly values: Array<Value>
}

export interface Detail {
  readonly show: (metric: Metric | undefined) => void
  /** Whether there is more to put together. */
  readonly refresh: () => boolean
  readonly resize: () => void
}

export const make = (
  root: HTMLElement,
  state: State,
  options: {
    readonly palette: () => Palette
    /** What is shown ends then, in seconds. */
    readonly now: () => number
    readonly onBack: () => void
    readonly onChange: () => void
  }
): Detail => {
  let metric: Metric | undefined
  let split: string | undefined
  let statistic: Statistic = "p95"
  let span: number = windows[1][2]
  let log = false
  let zoom: { readonly from: number; readonly to: number } | undefined
  let cursor: number | undefined
  let groups: ReadonlyArray<Group> = []
  let steps: ReadonlyArray<Steps> = []
  let stepsOf = ""
  let shape = -1
  let valueCells: ReadonlyArray<readonly [series: Series, cell: HTMLElement]> = []
  let drawnLines: ReadonlyArray<Drawn> = []
  let frame: Frame = { from: 0, step: 1, steps: 1 }
  const hidden = new Set<string>()
  /** Which colour a value of the tag has, for as long as it is shown. */
  const colours = new Map<string, number>()

  const title = h("h2", { class: "detail-title" })
  const facts = h("p", { class: "facts-line" })
  const verdicts = h("ul", { class: "verdicts" })
  const splitSelect = h("select", {
    id: "split",
    change: () => {
      split = splitSelect.value === "" ? undefined : splitSelect.value.slice(1)
      hidden.clear()
      colours.clear()
      shape = -1
      options.onChange()
    }
  })
  const statisticSelect = h(
    "select",
    {
      id: "statistic",
      change: () => {
        statistic = statisticSelect.value as Statistic
        options.onChange()
      }
    },
    ...([...statistics, "mean", "count"] as const).map((name) =>
      h("option", { value: name, selected: name === statistic }, name)
    )
  )
  const statisticLabel = h("label", { class: "control" }, "Statistic", statisticSelect)
  const logBox = h("input", {
    type: "checkbox",
    id: "log-scale",
    change: () => {
      log = logBox.checked
      options.onChange()
    }
  })
  const windowButtons = windows.map(([id, label, length]) =>
    h(
      "button",
      {
        type: "button",
        "data-window": id,
        click: () => {
          span = length
          zoom = undefined
          options.onChange()
        }
      },
      label
    )
  )
  const zoomButton = h(
    "button",
    {
      type: "button",
      class: "reset",
      click: () => {
        zoom = undefined
        options.onChange()
      }
    },
    "Reset zoom"
  )
  const caption = h("p", { class: "caption" })
  const plotBox = h("div", { class: "plot", role: "img", id: "plot" })
  const plotNote = h("p", { class: "plot-note" })
  const legendHead = h("th", { scope: "col" }, "Last")
  const legendBody = h("tbody")
  const legend = h(
    "table",
    { class: "legend" },
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col" }, "Line"),
        legendHead,
        ...["Min", "Mean", "Max"].map((name) => h("th", { scope: "col" }, name))
      )
    ),
    legendBody
  )
  const canvas = h("canvas", { class: "histogram", role: "img" })
  const histogramNote = h("span", { class: "dim" })
  const histogramBox = h(
    "section",
    { class: "histogram-box" },
    h("h3", {}, "Values in the window ", histogramNote),
    canvas
  )
  const tagList = h("ul", { class: "series-list" })
  const tagNote = h("span", { class: "dim" })
  const tagBox = h("section", { class: "series-box" }, h("h3", {}, "Series ", tagNote), tagList)

  root.append(
    h(
      "header",
      { class: "detail-head" },
      h("button", { type: "button", class: "back", click: () => options.onBack() }, icon("back"), "Metrics"),
      title,
      facts
    ),
    verdicts,
    h(
      "div",
      { class: "controls" },
      h("div", { class: "segmented", role: "group", "aria-label": "Time window" }, ...windowButtons),
      h("label", { class: "control" }, "Split by", splitSelect),
      statisticLabel,
      h("label", { class: "control check" }, logBox, "Log scale"),
      zoomButton
    ),
    caption,
    h("div", { class: "plot-box" }, plotBox, plotNote),
    legend,
    histogramBox,
    tagBox
  )

  const plot = Plot.make(plotBox, {
    onCursor: (at) => {
      cursor = at
      writeLegend()
    },
    onZoom: (next) => {
      zoom = next
      options.onChange()
    }
  })

  /** What depends on which series there are, and on nothing else. */
  const reshape = (metric: Metric) => {
    if (metric.shape === shape) return
    shape = metric.shape
    stepsOf = ""
    const keys = tagKeys(metric)
    if (split !== undefined && !keys.some(([key]) => key === split)) split = undefined
    groups = groupsOf(metric, split)
    const wanted = JSON.stringify(keys)
    if (splitSelect.dataset["keys"] !== wanted) {
      splitSelect.dataset["keys"] = wanted
      splitSelect.replaceChildren(
        h("option", { value: "" }, "nothing"),
        // A key may be empty as well.
        ...keys.map(([key, values]) =>
          h("option", { value: `=${key}` }, `${Format.visible(key)} (${Format.count(values)})`)
        )
      )
    }
    splitSelect.value = split === undefined ? "" : `=${split}`
    splitSelect.disabled = keys.length === 0
    const { kind, name, series, unit } = metric
    setText(title, Format.visible(name))
    const interval = intervalOf(metric)
    facts.replaceChildren(
      h("span", { class: `kind ${kind}` }, kind),
      ...unit === null ? [] : [h("span", {}, "unit ", outside(unit, ""))],
      h("span", {}, `${Format.count(series.size)} series`),
      h("span", {}, `every ${Format.span(interval)}`)
    )
    const said = new Map<string, HTMLElement>()
    let more = 0
    for (const { row } of series) {
      for (const verdict of row.verdicts) {
        const key = `${verdict.code} ${verdict.message}`
        if (said.has(key)) continue
        if (said.size === 5) more++
        else said.set(key, verdictItem(verdict))
      }
    }
    verdicts.replaceChildren(...said.values())
    if (more > 0) verdicts.append(h("li", { class: "dim" }, `and ${Format.count(more)} more`))
    verdicts.hidden = said.size === 0

    const sorted = [...series].sort((a, b) => collate(a.row.tags.join(), b.row.tags.join()))
    valueCells = sorted.slice(0, mostTags).map((series) => [series, h("span", { class: "series-value" })])
    tagList.replaceChildren(
      ...valueCells.map(([{ row: { device, host, tags, verdicts } }, cell]) =>
        h(
          "li",
          {},
          h(
            "span",
            { class: "series-tags" },
            ...host === "" ? [] : [h("span", { class: "tag host" }, "host:", outside(host, ""))],
            ...device === "" ? [] : [h("span", { class: "tag" }, "device:", outside(device, ""))],
            ...tags.map((tag) => h("span", { class: "tag" }, outside(tag, ""))),
            tags.length === 0 && host === "" && h("span", { class: "dim" }, "no tags"),
            verdicts[0] !== undefined && badge(verdicts[0].outcome)
          ),
          cell
        )
      )
    )
    const rest = sorted.length - mostTags
    setText(tagNote, rest > 0 ? `the first ${mostTags} of ${Format.count(sorted.length)}` : Format.count(sorted.length))
  }

  const writeValues = ({ kind, unit }: Metric) => {
    for (const [{ sketches, values }, cell] of valueCells) {
      const shown = kind === "distribution"
        ? Format.plural(sketches[sketches.length - 1]?.count ?? 0, "value")
        : Format.joined(Format.value(values[values.length - 1], unit))
      setText(cell, shown)
    }
  }

  const frameOf = (metric: Metric): Frame => {
    const now = options.now()
    let [from, to] = [now - span, now]
    if (zoom !== undefined) [from, to] = [zoom.from, zoom.to]
    else if (span === Infinity) from = Math.min(earliest(metric) ?? now, now - 60)
    // Some clients are ahead of the intake.
    if (zoom === undefined) to = Math.max(to, Math.min(latest(metric) ?? now, now + 600))
    const interval = intervalOf(metric)
    const step = stepOf(to - from, interval, mostSteps)
    const start = Math.floor(from / step) * step
    return { from: start, step, steps: Math.max(2, Math.floor(to / step) - start / step + 1) }
  }

  const colourOf = (label: string, shown: ReadonlySet<string>): number => {
    for (const known of colours.keys()) {
      if (!shown.has(known)) colours.delete(known)
    }
    const known = colours.get(label)
    if (known !== undefined) return known
    const taken = new Set(colours.values())
    let free = 0
    while (taken.has(free)) free++
    colours.set(label, free)
    return free
  }

  /** Puts sketches together for a while; whether all of them are. */
  const fill = (metric: Metric, shown: ReadonlyArray<Group>): boolean => {
    const wanted = JSON.stringify([metric.key, metric.shape, split, frame.step, shown.map(({ label }) => label)])
    if (stepsOf !== wanted) {
      stepsOf = wanted
      const made = shown.map(({ series }) => new Steps(series, frame.step))
      steps = made
      metric.onSketch = (timestamp) => {
        for (const step of made) step.changed(timestamp)
      }
    }
    const until = performance.now() + budget
    return steps.map((step) => step.fill(frame, () => performance.now() < until)).every((all) => all)
  }

  const linesOf = (metric: Metric, shown: ReadonlyArray<Group>, palette: Palette): ReadonlyArray<Drawn> => {
    if (metric.kind === "distribution" && split === undefined) {
      return statistics.map((name) => ({
        key: name,
        label: name,
        colour: `color-mix(in srgb, ${palette.accent} ${weights[name].ink}%, transparent)`,
        width: weights[name].width,
        values: steps[0]!.line(name, frame)
      }))
    }
    const labels = new Set(shown.map(({ label }) => label ?? ""))
    return shown.map(({ label, series }, i) => ({
      key: label ?? "",
      label: label === undefined ? rule[metric.kind].space : outside(label, ""),
      colour: label === undefined ? palette.accent : palette.lines[colourOf(label, labels)]!,
      width: label === undefined ? 1.75 : 1.5,
      values: metric.kind === "distribution"
        ? steps[i]!.line(statistic, frame)
        : line(metric.kind, series, frame, options.now())
    }))
  }

  const captionOf = ({ kind, series }: Metric, shown: number): string => {
    const { space, time } = rule[kind]
    const within = `in steps of ${Format.span(frame.step)}${kind === "distribution" ? "" : ` (within a step: ${time})`}`
    const all = Format.plural(series.size, "series", "series")
    if (split === undefined) {
      return `${kind === "distribution" ? "Percentiles of all values" : Format.capital(space)} of ${all}, ${within}`
    }
    const which = shown < groups.length ? `, the ${shown} largest of ${Format.count(groups.length)}` : ""
    const what = kind === "distribution" ? `${statistic} of all values` : Format.capital(space)
    return `${what} of the series by ${Format.visible(split)}${which}, ${within}`
  }

  interface LegendRow {
    readonly root: HTMLElement
    readonly toggle: HTMLButtonElement
    readonly cells: ReadonlyArray<HTMLElement>
  }
  const legendRows = new Map<string, LegendRow>()
  let legendOf = ""

  const buildLegend = (palette: Palette) => {
    const wanted = JSON.stringify([
      metric?.key,
      split,
      drawnLines.map(({ colour, key }) => [key, colour]),
      palette.text
    ])
    if (legendOf !== wanted) {
      legendOf = wanted
      legendRows.clear()
      drawnLines.forEach(({ colour, key, label, width }) => {
        const marker = h("span", { class: "marker" })
        marker.style.background = colour
        marker.style.height = `${Math.max(2, width * 1.5)}px`
        const toggle = h(
          "button",
          {
            type: "button",
            click: () => {
              if (!hidden.delete(key)) hidden.add(key)
              options.onChange()
            }
          },
          marker,
          label
        )
        const cells = [0, 1, 2, 3].map(() => h("td"))
        legendRows.set(key, { root: h("tr", {}, h("th", { scope: "row" }, toggle), ...cells), toggle, cells })
      })
      setChildren(legendBody, [...legendRows.values()].map(({ root }) => root))
    }
    for (const [key, { root, toggle }] of legendRows) {
      setAttribute(toggle, "aria-pressed", String(!hidden.has(key)))
      setAttribute(root, "data-hidden", hidden.has(key) ? "" : undefined)
    }
    writeLegend()
  }

  const writeLegend = () => {
    if (metric === undefined) return
    const unit = unitOf(metric)
    setText(legendHead, cursor === undefined ? "Last" : Format.clock((frame.from + cursor * frame.step) * 1000))
    for (const { key, values } of drawnLines) {
      const cells = legendRows.get(key)?.cells
      if (cells === undefined) continue
      let last: number | undefined
      let min = Infinity
      let max = -Infinity
      let sum = 0
      let count = 0
      for (const value of values) {
        if (typeof value !== "number") continue
        last = value
        min = Math.min(min, value)
        max = Math.max(max, value)
        sum += value
        count++
      }
      const none = count === 0
      const shown = [
        cursor === undefined ? last : values[cursor],
        none ? null : min,
        none ? null : sum / count,
        none ? null : max
      ]
      shown.forEach((value, i) => setText(cells[i]!, Format.joined(Format.value(value, unit))))
    }
  }

  const unitOf = ({ kind, unit }: Metric) =>
    kind === "distribution" && split !== undefined && statistic === "count" ? null : unit

  const writeHistogram = (metric: Metric, palette: Palette) => {
    histogramBox.hidden = metric.kind !== "distribution"
    if (histogramBox.hidden) return
    const total = steps[0]!.total(frame)
    for (const other of steps.slice(1)) add(total, other.total(frame))
    const drawn = histogram(total, columns)
    canvas.hidden = drawn === undefined
    if (drawn === undefined) return setText(histogramNote, "none")
    const [p50, p75, p95, p99] = quantiles(total, [0.5, 0.75, 0.95, 0.99]) as [number, number, number, number]
    const shown = (value: number) => Format.joined(Format.value(value, metric.unit))
    setText(
      histogramNote,
      `${Format.count(total.count)}, mean ${shown(total.sum / total.count)}, sum ${shown(total.sum)}`
        + (drawn.scale === "log" ? ", logarithmic axis" : "")
    )
    setAttribute(
      canvas,
      "aria-label",
      `Histogram from ${shown(total.min)} to ${shown(total.max)}; half are below ${shown(p50)}, 95 % below ${
        shown(p95)
      }`
    )
    Bars.draw(
      canvas,
      drawn,
      [{ label: "p50", value: p50 }, { label: "p75", value: p75 }, { label: "p95", value: p95 }, {
        label: "p99",
        value: p99
      }],
      metric.unit,
      palette
    )
  }

  return {
    show: (next) => {
      if (next === metric) return
      if (metric !== undefined) metric.onSketch = undefined
      const same = next !== undefined && metric?.key === next.key
      metric = next
      shape = -1
      stepsOf = ""
      legendOf = ""
      if (same) return
      zoom = undefined
      cursor = undefined
      hidden.clear()
      colours.clear()
    },
    refresh: () => {
      if (metric === undefined) return true
      const palette = options.palette()
      reshape(metric)
      frame = frameOf(metric)
      const shown = heaviest(groups, frame, mostLines)
      const distribution = metric.kind === "distribution"
      const complete = !distribution || fill(metric, shown)
      drawnLines = linesOf(metric, shown, palette)
      statisticLabel.hidden = !distribution || split === undefined
      zoomButton.hidden = zoom === undefined
      windowButtons.forEach((button, i) => {
        setAttribute(button, "aria-pressed", String(zoom === undefined && windows[i]![2] === span))
      })
      setText(caption, captionOf(metric, shown.length))
      const end = frame.from + frame.step * frame.steps
      const events = [...state.events.values()]
        .filter(({ timestamp }) => timestamp >= frame.from && timestamp <= Math.min(end, options.now() + frame.step))
        .slice(-mostEvents)
      plot.draw({
        frame,
        unit: unitOf(metric),
        lines: drawnLines,
        bands: distribution && split === undefined,
        zero: metric.kind === "count" || metric.kind === "rate" || distribution,
        log,
        hidden,
        events,
        palette
      })
      const any = drawnLines.some(({ values }) => values.some((value) => typeof value === "number"))
      plotNote.hidden = any || !complete
      if (!plotNote.hidden) {
        const last = latest(metric)
        setText(
          plotNote,
          last === undefined
            ? "No points are kept."
            : `Nothing in this window. The latest point is of ${new Date(last * 1000).toLocaleString("en-GB")}.`
        )
      }
      setAttribute(
        plotBox,
        "aria-label",
        `Plot of ${Format.visible(metric.name)} over ${
          Format.span(frame.step * frame.steps)
        }; the values are in the table below`
      )
      buildLegend(palette)
      writeValues(metric)
      writeHistogram(metric, palette)
      return complete
    },
    resize: () => {
      plot.resize()
      if (metric !== undefined && metric.kind === "distribution" && steps.length > 0) {
        writeHistogram(metric, options.palette())
      }
    }
  }
}
