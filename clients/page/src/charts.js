// The fleet over time: states stacked, and connects and disconnects a second. uPlot draws on canvases of its own.

import { Component } from "preact";
import uPlot from "uplot";
import { CONDITIONS, NAMES } from "./fleet.js";
import { number } from "./format.js";
import { html } from "./html.js";
import { look } from "./navigate.js";
import { state } from "./state.js";
import { currentLanguage, say } from "./words.js";

const HEIGHT = 140;
/** Seconds that a chart shows at least. */
const LEAST = 300;

const scheme = matchMedia("(prefers-color-scheme: dark)");

export function Charts() {
  const { history, query } = state;
  return html`
    <section class="charts">
      <div class="panel">
        <div class="head">
          <h2>${say("states")}</h2>
          <div class="switch" role="group" aria-label=${say("states")}>
            ${["hour", "day"].map((span) => html`<button key=${span} aria-pressed=${query.span === span} onClick=${() => look(/** @type {any} */ (span))}>${say(/** @type {any} */ (span))}</button>`)}
          </div>
        </div>
        <${Chart} kind="states" history=${history} lang=${currentLanguage()} label=${say("states")} />
      </div>
      <div class="panel">
        <div class="head"><h2>${say("flow")}</h2></div>
        <${Chart} kind="flow" history=${history} lang=${currentLanguage()} label=${say("flow")} />
      </div>
    </section>`;
}

/** @extends {Component<{ kind: "states" | "flow", history: any, lang: string, label: string }>} */
class Chart extends Component {
  /** @type {uPlot | null} */
  plot = null;
  /** @type {HTMLElement | null} */
  place = null;
  /** @type {ResizeObserver | null} */
  sizes = null;

  componentDidMount() {
    this.sizes = new ResizeObserver(() => this.place && this.plot?.setSize({ width: this.place.clientWidth, height: HEIGHT }));
    if (this.place) this.sizes.observe(this.place);
    scheme.addEventListener("change", this.anew);
    this.anew();
  }

  componentWillUnmount() {
    this.sizes?.disconnect();
    scheme.removeEventListener("change", this.anew);
    this.plot?.destroy();
  }

  /** @param {any} next */
  shouldComponentUpdate(next) {
    const isOther = next.lang !== this.props.lang;
    const isNew = next.history !== this.props.history;
    this.props = next;
    if (isOther) this.anew();
    // Each in a task of its own: together they take longer than a frame.
    else if (isNew) setTimeout(() => this.plot?.setData(dataOf(this.props)));
    return isOther;
  }

  anew = () => {
    this.plot?.destroy();
    if (!this.place) return;
    const size = { width: this.place.clientWidth || 300, height: HEIGHT };
    this.plot = new uPlot(/** @type {any} */ ({ ...size, ...optionsOf(this.props.kind) }), dataOf(this.props), this.place);
  };

  render() {
    const { kind, label } = this.props;
    return html`<div class="plot" data-kind=${kind} role="img" aria-label=${label} ref=${(/** @type {HTMLElement} */ place) => (this.place = place)}></div>`;
  }
}

/** @param {string} name */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** @param {"states" | "flow"} kind */
function optionsOf(kind) {
  const axis = { stroke: colour("soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
  const values = (/** @type {any} */ _, /** @type {(number | null)[]} */ splits) => splits.map((each) => (each === null ? "" : number(each)));
  const shown = (/** @type {any} */ _, /** @type {number | null} */ value) => (value === null ? "–" : number(Math.round(value * 10) / 10));
  const series = kind === "states"
    // The topmost first: each is drawn over what it is stacked on.
    ? [...NAMES].reverse().map((name) => ({ label: say(/** @type {any} */ (name)), stroke: colour(name), fill: colour(`${name}-fill`), width: 1, points: { show: false }, value: countOf(name) }))
    : ["connects", "disconnects"].map((name, at) => ({ label: say(/** @type {any} */ (name)), stroke: colour(at ? "offline" : "connected"), width: 1.5, dash: at ? [4, 3] : undefined, points: { show: false }, value: shown }));
  return {
    tzDate: (/** @type {number} */ seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
    cursor: { drag: { x: false, y: false } },
    legend: { live: true },
    padding: [8, 8, 0, 0],
    scales: { x: { range: spanOf }, y: { range: (/** @type {any} */ _, /** @type {number} */ __, /** @type {number} */ most) => [0, Math.max(1, most * 1.05)] } },
    axes: [{ ...axis, size: 24, space: 72, values: TIMES }, { ...axis, size: 56, values }],
    series: [{ label: say("time"), value: (/** @type {any} */ _, /** @type {number} */ at) => (at ? new Date(at * 1000).toISOString().slice(11, 19) : "–") }, ...series],
  };
}

/** The first samples stand at the right: uPlot would take a single one for the middle of two days. @param {uPlot} plot @returns {[number, number]} */
const spanOf = ({ data: [seconds] }) => [Math.min(seconds[0], seconds[seconds.length - 1] - LEAST), seconds[seconds.length - 1]];

/** How times stand at the axis: UTC, on a clock of 24 hours. @param {any} _ @param {number[]} splits */
const TIMES = (_, splits) => {
  const isShort = splits.length > 1 && splits[1] - splits[0] < 60;
  return splits.map((at) => new Date(at * 1000).toISOString().slice(11, isShort ? 19 : 16));
};

/** The legend tells how many there are, not how high they are stacked. @param {string} name */
const countOf = (name) => (/** @type {any} */ _, /** @type {any} */ value, /** @type {any} */ __, /** @type {number | null} */ index) => {
  if (value === null || index === null || !state.history) return "–";
  return number(CONDITIONS[name].reduce((sum, each) => sum + (state.history.states[each][index] ?? 0), 0));
};

/** @param {{ kind: "states" | "flow", history: any }} props @returns {any} */
function dataOf({ kind, history }) {
  if (!history?.at.length) {
    // Axes of the last minutes, and nothing on them yet.
    const now = Date.now() / 1000;
    return [[now - LEAST, now], ...Array.from({ length: kind === "states" ? NAMES.length : 2 }, () => [null, null])];
  }
  const { at } = history;
  const seconds = at.map((/** @type {number} */ each) => each / 1000);
  if (kind === "flow") {
    const rate = (/** @type {number[]} */ counts) => counts.map((count, index) => (index ? count / Math.max(1, seconds[index] - seconds[index - 1]) : null));
    return [seconds, rate(history.connects), rate(history.disconnects)];
  }
  const sums = at.map(() => 0);
  const stacked = NAMES.map((name) => {
    for (const each of CONDITIONS[name]) history.states[each].forEach((/** @type {number} */ count, /** @type {number} */ index) => (sums[index] += count));
    return [...sums];
  });
  return [seconds, ...stacked.reverse()];
}
