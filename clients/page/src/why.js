// Why agents are offline, and where: bars of reasons, and a strip of states for each value of a label.

import { Component } from "preact";
import { counted, NAMES } from "./fleet.js";
import { number } from "./format.js";
import { html, still } from "./html.js";
import { toggle, toggleLabel } from "./navigate.js";
import { state } from "./state.js";
import { currentLanguage, say, told } from "./words.js";

/** Values of a label that are shown. */
const SHOWN = 12;

export const Why = still(drawn, () => [state.facets, state.query, currentLanguage()]);

function drawn() {
  const { facets, query } = state;
  const reasons = Object.entries(facets?.reasons ?? {});
  const most = Math.max(1, ...reasons.map(([, count]) => count));
  return html`
    <section class="why">
      <div class="panel">
        <div class="head"><h2>${say("why")}</h2></div>
        ${facets && !reasons.length && html`<p class="soft">${say("noReasons")}</p>`}
        <ul class="reasons">
          ${reasons.map(([code, count]) => html`
            <li key=${code}>
              <button aria-pressed=${query.reason === code} onClick=${() => toggle("reason", code)}>
                <span>${told(code)}</span><b>${number(count)}</b>
                <meter min="0" max=${most} value=${count} aria-hidden="true" data-condition=${code === "terminated" ? "stopped" : "offline"}></meter>
              </button>
            </li>`)}
        </ul>
      </div>
      <${Heat} labels=${facets?.labels ?? []} isLoaded=${facets !== null} chosen=${query.label} />
    </section>`;
}

/** @extends {Component<{ labels: any[], isLoaded: boolean, chosen: string[] }, { name: string }>} */
class Heat extends Component {
  state = { name: "" };

  render() {
    const { labels, isLoaded, chosen } = this.props;
    // One that tells agents apart, and not one by one.
    const usual = labels.find((each) => each.values.length > 1 && !each.more) ?? labels[0];
    const label = labels.find((each) => each.name === this.state.name) ?? usual;
    const values = label?.values.slice(0, SHOWN) ?? [];
    const rest = label ? label.values.length - values.length + label.more : 0;
    return html`
      <div class="panel">
        <div class="head">
          <h2 id="by-label">${say("by")}</h2>
          ${label && html`
            <select aria-labelledby="by-label" value=${label.name} onChange=${(/** @type {any} */ event) => this.setState({ name: event.target.value })}>
              ${labels.map(({ name }) => html`<option key=${name} value=${name}>${name}</option>`)}
            </select>`}
        </div>
        ${isLoaded && !label && html`<p class="soft">${say("noLabels")}</p>`}
        <ul class="heat">
          ${values.map((/** @type {any} */ { value, states }) => strip(`${label.name}=${value}`, value, states, chosen))}
        </ul>
        ${rest > 0 && html`<p class="soft">${say("more", number(rest))}</p>`}
      </div>`;
  }
}

/**
 * @param {string} label
 * @param {string} value
 * @param {Record<string, number>} states
 * @param {string[]} chosen
 */
function strip(label, value, states, chosen) {
  const counts = counted(states);
  const total = NAMES.reduce((sum, name) => sum + counts[name], 0);
  return html`
    <li key=${label}>
      <button aria-pressed=${chosen.includes(label)} onClick=${() => toggleLabel(label)}>
        <span class="value">${value || "–"}</span>
        <span class="strip">${NAMES.filter((name) => counts[name]).map((name) => html`<i key=${name} data-condition=${name} style=${{ flexGrow: counts[name] }}></i>`)}</span>
        <b>${number(counts.connected)}<small>/${number(total)}</small></b>
      </button>
    </li>`;
}
