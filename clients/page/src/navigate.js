// Every way to another view: it changes the query, and the address with it.

import { drawerAnew, historyAnew, rowsAnew } from "./poll.js";
import { readQuery, writeQuery } from "./query.js";
import { set, state } from "./state.js";

/**
 * Another filter or order.
 *
 * @param {Partial<import("./query.js").Query>} patch
 * @param {boolean} [isStep] false while something is typed
 */
export function filter(patch, isStep = true) {
  const query = { ...state.query, ...patch };
  writeQuery(query, isStep);
  set({ query, checked: new Set(), isAllChecked: false, cursor: -1, rows: { ...state.rows, isHeld: false, waiting: 0 } });
  document.querySelector(".rows")?.scrollTo({ top: 0 });
  rowsAnew();
}

/** The same one once more takes it away. @param {"show" | "reason"} name @param {string} value */
export const toggle = (name, value) => filter({ [name]: state.query[name] === value ? "" : value });

/** @param {string} label */
export function toggleLabel(label) {
  const { label: labels } = state.query;
  filter({ label: labels.includes(label) ? labels.filter((each) => each !== label) : [...labels, label] });
}

/** @type {Element | null} what had the focus before the drawer was opened */
let opener = null;

/** Opens an agent; "" closes it. @param {string} id */
export function open(id) {
  if (id && !state.query.agent) opener = document.activeElement;
  const query = { ...state.query, agent: id };
  writeQuery(query, true);
  set({ query, agent: id ? { id } : null });
  if (id) drawerAnew();
  else if (opener instanceof HTMLElement) opener.focus({ preventScroll: true });
}

/** @param {"hour" | "day"} span */
export function look(span) {
  const query = { ...state.query, span };
  writeQuery(query, false);
  set({ query });
  historyAnew();
}

/** The browser's way back and forth. */
export function followHistory() {
  addEventListener("popstate", () => {
    const query = readQuery();
    set({ query, agent: query.agent ? { id: query.agent } : null });
    rowsAnew();
    historyAnew();
    if (query.agent) drawerAnew();
  });
}
