// How many agents there are in each condition, and how that was lately. Each tile is a filter.

import { CONDITIONS, counted, NAMES, SHAPES } from "./fleet.js";
import { number } from "./format.js";
import { html, still } from "./html.js";
import { toggle } from "./navigate.js";
import { state } from "./state.js";
import { currentLanguage, say } from "./words.js";

const LATELY = 15 * 60_000;
const WIDTH = 120;
const HEIGHT = 28;

export const Tiles = still(drawn, () => [state.facets, state.history, state.query, currentLanguage()]);

function drawn() {
  const { facets, query } = state;
  const counts = counted(facets?.states ?? {});
  return html`
    <section class="tiles" aria-label=${say("all")}>
      ${NAMES.map((name) => html`
        <button key=${name} class="tile" data-condition=${name} aria-pressed=${query.show === name} onClick=${() => toggle("show", name)}>
          <span class="name"><i class="shape" data-condition=${name} aria-hidden="true">${SHAPES[/** @type {keyof typeof SHAPES} */ (name)]}</i>${word(name)}</span>
          <b>${facets ? number(counts[name]) : "–"}</b>
          <${Spark} name=${name} />
        </button>`)}
    </section>`;
}

/** @param {string} name */
export const word = (name) => say(/** @type {any} */ (name));

/** @param {{ name: string }} props */
function Spark({ name }) {
  const { history } = state;
  const path = history?.span === "hour" ? line(history, CONDITIONS[name]) : "";
  return html`
    <svg class="spark" data-condition=${name} viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      <path d=${path} />
    </svg>`;
}

/**
 * @param {any} history
 * @param {string[]} states
 */
function line({ at, states: columns }, states) {
  const end = at.at(-1) ?? 0;
  const first = at.findIndex((/** @type {number} */ each) => each > end - LATELY);
  if (first < 0) return "";
  const points = [];
  for (let index = first; index < at.length; index++) {
    points.push([at[index], states.reduce((sum, state) => sum + columns[state][index], 0)]);
  }
  const most = Math.max(1, ...points.map(([, count]) => count));
  const least = Math.min(...points.map(([, count]) => count));
  const range = Math.max(1, most - least);
  const x = (/** @type {number} */ moment) => (WIDTH * (1 - (end - moment) / LATELY)).toFixed(1);
  const y = (/** @type {number} */ count) => (HEIGHT - 2 - ((HEIGHT - 4) * (count - least)) / range).toFixed(1);
  return points.map(([moment, count], index) => `${index ? "L" : "M"}${x(moment)} ${y(count)}`).join("");
}
