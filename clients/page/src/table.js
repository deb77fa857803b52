// The agents: as many rows as are on the screen, whatever the size of the fleet. While the pointer or the focus is in it
// nothing moves; what would move waits, and is counted.

import { conditionOf, SHAPES } from "./fleet.js";
import { age, clock, number, shortened } from "./format.js";
import { html, still } from "./html.js";
import { filter, open, toggle, toggleLabel } from "./navigate.js";
import { hold, rowsAgain, scrolledTo, WINDOW } from "./poll.js";
import { isAny } from "./query.js";
import { set, state } from "./state.js";
import { word } from "./tiles.js";
import { currentLanguage, say, told } from "./words.js";

const narrow = matchMedia("(max-width: 44rem)");
/** Pixels of a row; on a phone it is a card. */
const rowHeight = () => (narrow.matches ? 64 : 28);
/** Rows that are drawn above and below what is seen. */
const MARGIN = 8;
/** Pixels: a pointer that moves further selects text. */
const DRAG = 4;
const LABELS = 3;

const COLUMNS = /** @type {const} */ ([["id", "natural"], ["state", "problem"], ["since", "since"], ["reason", ""], ["labels", ""], ["heartbeat", "last_heartbeat"], ["rtt", "rtt"], ["address", ""]]);

let view = { top: 0, height: 600 };
let pressed = { id: "", x: 0, y: 0 };

export function Table() {
  const { rows, query } = state;
  return html`
    <section class="fleet" aria-labelledby="fleet-heading">
      <div class="head">
        <h2 id="fleet-heading">${say("agents")}</h2>
        <p id="shown" class="soft">${counted(rows)}</p>
        <p id="held" class="held">${rows.waiting ? html`<button onClick=${() => { hold(false); rowsAgain(); }}>${rows.waiting === 1 ? say("waits1") : say("waits", number(rows.waiting))}</button>` : ""}</p>
        <span class="space"></span>
        <${Chips} />
        <input id="search" type="search" placeholder=${say("search")} aria-label=${say("search")} value=${query.q}
            onInput=${(/** @type {any} */ event) => filter({ q: event.target.value.trim() }, false)} />
      </div>
      <${Chosen} />
      <div class="table" role="table" aria-labelledby="fleet-heading" aria-rowcount=${rows.total + 1}
          onPointerEnter=${() => hold(true)} onPointerLeave=${release} onFocusIn=${() => hold(true)} onFocusOut=${() => setTimeout(release)}>
        <${Headings} />
        <${Rows} />
      </div>
    </section>`;
}

/** @param {any} rows */
function counted({ total, isLoaded }) {
  if (!isLoaded) return say("loading");
  if (total === 0) return state.facets?.total ? say("noneFits") : "";
  return total === 1 ? say("oneAgent") : say("shownOf", number(total));
}

/** What the rows are filtered by; each can be taken away. */
function Chips() {
  const { query } = state;
  const chip = (/** @type {string} */ key, /** @type {string} */ text, /** @type {() => void} */ remove) =>
    html`<button key=${key} class="filter" onClick=${remove}>${text}<span aria-hidden="true"> ✕</span></button>`;
  return html`
    ${query.show && chip("show", word(query.show), () => toggle("show", query.show))}
    ${query.reason && chip("reason", told(query.reason), () => toggle("reason", query.reason))}
    ${query.label.map((label) => chip(label, label, () => toggleLabel(label)))}
    ${!isAny(query) && html`<button class="quiet" onClick=${() => filter({ show: "", reason: "", label: [], q: "" })}>${say("clear")}</button>`}`;
}

/** What can be done with the agents that are checked. */
function Chosen() {
  const { checked, isAllChecked, rows } = state;
  if (!checked.size && !isAllChecked) return null;
  const act = (/** @type {string} */ kind) => () => set({ dialog: { kind: "bulk", action: kind } });
  return html`
    <div class="chosen" id="chosen">
      <b>${isAllChecked ? say("chosenAll", number(rows.total)) : say("chosen", number(checked.size))}</b>
      <button onClick=${act("terminate")}>${say("terminate")}</button>
      <button onClick=${act("message")}>${say("message")}</button>
      <button onClick=${act("remove")}>${say("remove")}</button>
      <button class="quiet" onClick=${() => set({ checked: new Set(), isAllChecked: false })}>${say("unselect")}</button>
    </div>`;
}

function Headings() {
  const { query, isAllChecked } = state;
  const name = query.sort.replace("-", "");
  const turned = (/** @type {string} */ sort) => (query.sort === sort ? `-${sort}` : sort);
  const order = (/** @type {string} */ sort) => (sort && name === sort ? (query.sort === sort ? "ascending" : "descending") : undefined);
  return html`
    <div role="rowgroup">
      <div role="row" class="row headings" aria-rowindex="1">
        <span role="columnheader" class="check"><input type="checkbox" aria-label=${say("checkAll")} checked=${isAllChecked}
            onChange=${() => set({ isAllChecked: !isAllChecked, checked: new Set() })} /></span>
        ${COLUMNS.map(([column, sort]) => html`
          <span key=${column} role="columnheader" class=${column} aria-sort=${order(sort)}>
            ${sort ? html`<button class="quiet" onClick=${() => filter({ sort: turned(sort) })}>${say(column)}<span aria-hidden="true">${{ ascending: " ↑", descending: " ↓" }[order(sort) ?? ""] ?? ""}</span></button>` : say(column)}
          </span>`)}
      </div>
    </div>`;
}

const Rows = still(drawn, () => [state.rows, state.cursor, state.checked, state.isAllChecked, view, narrow.matches, currentLanguage()]);

function drawn() {
  const { rows, cursor } = state;
  const height = rowHeight();
  const first = Math.max(0, Math.floor(view.top / height) - MARGIN);
  const last = Math.min(rows.total, Math.ceil((view.top + view.height) / height) + MARGIN);
  const shown = [];
  for (let at = first; at < last; at++) {
    const item = rows.items[at - rows.offset];
    shown.push(item ? row(item, at, at === cursor, height) : html`<div key=${`at ${at}`} role="row" aria-rowindex=${at + 2} class="row blank" style=${{ top: `${at * height}px` }}><span role="cell" class="id">…</span></div>`);
  }
  return html`
    <div class="rows" tabindex="0" role="rowgroup" aria-label=${say("results")} ref=${seen} onScroll=${scrolled} onPointerDown=${press} onClick=${click}>
      <div class="whole" role="presentation" style=${{ height: `${rows.total * height}px` }}></div>
      ${shown}
    </div>`;
}

/**
 * @param {any} item
 * @param {number} at
 * @param {boolean} isCursor
 * @param {number} height
 */
function row(item, at, isCursor, height) {
  const condition = /** @type {keyof typeof SHAPES} */ (conditionOf(item.state));
  const isChecked = state.isAllChecked || state.checked.has(item.id);
  const labels = Object.entries(item.labels);
  return html`
    <div key=${item.id} role="row" class="row" data-id=${item.id} data-cursor=${isCursor || undefined} aria-rowindex=${at + 2} style=${{ top: `${at * height}px` }}>
      <span role="cell" class="check"><input type="checkbox" aria-label=${say("check", item.id)} checked=${isChecked} /></span>
      <span role="cell" class="id"><button class="agent" title=${item.id}>${shortened(item.id)}</button></span>
      <span role="cell" class="state"><i class="shape" data-condition=${condition} aria-hidden="true">${SHAPES[condition]}</i>${word(condition)}</span>
      <span role="cell" class="since" title=${item.since}>${age(item.since)}</span>
      <span role="cell" class="reason" title=${told(item.reason_code)}>${told(item.reason_code)}</span>
      <span role="cell" class="labels">${labels.slice(0, LABELS).map(([name, value]) => html`<span key=${name} class="label" title=${`${name}=${value}`}>${name}=${value}</span>`)}${labels.length > LABELS && `+${labels.length - LABELS}`}</span>
      <span role="cell" class="heartbeat" title=${item.last_heartbeat ?? ""}>${item.last_heartbeat ? clock(item.last_heartbeat) : "–"}</span>
      <span role="cell" class="rtt">${item.rtt_ms === null ? "–" : `${item.rtt_ms.toFixed(1)} ms`}</span>
      <span role="cell" class="address">${item.ip ?? "–"}</span>
    </div>`;
}

/** @type {ResizeObserver | undefined} */
let sizes;

/** @param {HTMLElement | null} element */
function seen(element) {
  if (!element || element.dataset.seen) return;
  element.dataset.seen = "1";
  sizes?.disconnect();
  sizes = new ResizeObserver(() => {
    view = { top: element.scrollTop, height: element.clientHeight };
    set({});
  });
  sizes.observe(element);
}

/** @param {any} event */
function scrolled({ currentTarget: element }) {
  view = { top: element.scrollTop, height: element.clientHeight };
  set({});
  const first = Math.floor(view.top / rowHeight());
  const { offset } = state.rows;
  const isInside = first - MARGIN >= offset && (view.top + view.height) / rowHeight() + MARGIN <= offset + WINDOW;
  const isAtTop = offset === 0 && first < MARGIN;
  if (!isInside && !isAtTop) scrolledTo(Math.max(0, first - Math.floor(WINDOW / 3)));
}

function release() {
  const table = document.querySelector(".table");
  if (table && !table.matches(":hover") && !table.contains(document.activeElement)) hold(false);
}

/** @param {any} event */
const rowAt = (event) => event.target.closest(".row")?.dataset.id ?? "";

/** The row that is pressed, whatever is under the pointer when it is let go. @param {any} event */
function press(event) {
  pressed = { id: rowAt(event), x: event.clientX, y: event.clientY };
}

/** @param {any} event */
function click(event) {
  const isKey = event.detail === 0;
  const id = isKey ? rowAt(event) : pressed.id;
  if (event.target.matches("input")) return check(id);
  const isDrag = !isKey && Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) > DRAG;
  const isOnName = isKey || event.target.closest(".agent") || narrow.matches;
  if (id && !isDrag && isOnName) open(id);
}

/** @param {string} id */
export function check(id) {
  if (!id) return;
  const checked = new Set(state.isAllChecked ? state.rows.items.map((item) => item.id) : state.checked);
  if (!checked.delete(id)) checked.add(id);
  set({ checked, isAllChecked: false });
}

/** The agent that the keys have come to. @param {number} step */
export function move(step) {
  const { rows } = state;
  const cursor = Math.min(rows.total - 1, Math.max(0, state.cursor + step));
  set({ cursor });
  const element = document.querySelector(".rows");
  const height = rowHeight();
  if (!element) return;
  if (cursor * height < element.scrollTop) element.scrollTop = cursor * height;
  if ((cursor + 1) * height > element.scrollTop + element.clientHeight) element.scrollTop = (cursor + 1) * height - element.clientHeight;
}

/** @returns {string} its id */
export const atCursor = () => state.rows.items[state.cursor - state.rows.offset]?.id ?? "";
