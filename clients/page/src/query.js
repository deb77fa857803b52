// What the table shows stands in the address: it can be kept, sent and gone back to.

import { CONDITIONS } from "./fleet.js";

/**
 * @typedef {object} Query
 * @property {string} show a condition, "" all
 * @property {string} reason
 * @property {string[]} label
 * @property {string} q
 * @property {string} sort
 * @property {string} agent the id of the one in the drawer, "" none
 * @property {"hour" | "day"} span
 */

const SORTS = ["problem", "natural", "state", "since", "last_heartbeat", "rtt"];

/** @returns {Query} */
export function readQuery() {
  const given = new URLSearchParams(location.search);
  const text = (/** @type {string} */ name) => given.get(name) ?? "";
  const sort = text("sort");
  return {
    // Not `in`: an object has a constructor, too.
    show: Object.hasOwn(CONDITIONS, text("show")) ? text("show") : "",
    reason: text("reason"),
    label: given.getAll("label").filter(Boolean),
    q: text("q"),
    sort: SORTS.includes(sort.replace("-", "")) ? sort : "problem",
    agent: text("agent"),
    span: text("span") === "day" ? "day" : "hour",
  };
}

/**
 * @param {Query} query
 * @param {boolean} isStep whether the browser's way back leads to the one before
 */
export function writeQuery(query, isStep) {
  const address = new URL(location.href);
  const given = new URLSearchParams();
  if (query.show) given.set("show", query.show);
  if (query.reason) given.set("reason", query.reason);
  for (const label of query.label) given.append("label", label);
  if (query.q) given.set("q", query.q);
  if (query.sort !== "problem") given.set("sort", query.sort);
  if (query.span !== "hour") given.set("span", query.span);
  if (query.agent) given.set("agent", query.agent);
  address.search = given.toString();
  history[isStep ? "pushState" : "replaceState"](null, "", address);
}

/** Whether any agent fits. @param {Query} query */
export const isAny = (query) => !query.show && !query.reason && !query.q && !query.label.length;

/**
 * The same for `GET /api/v1/agents`.
 *
 * @param {Query} query
 */
export function parameters(query) {
  const given = new URLSearchParams({ sort: query.sort });
  for (const state of CONDITIONS[query.show] ?? []) given.append("state", state);
  if (query.reason) given.set("reason", query.reason);
  for (const label of query.label) given.append("label", label);
  if (query.q) given.set("q", query.q);
  return given;
}

/**
 * The same for the body of an action.
 *
 * @param {Query} query
 */
export function choice(query) {
  if (isAny(query)) return { all: true };
  return {
    ...(query.show && { state: CONDITIONS[query.show] }),
    ...(query.reason && { reason: query.reason }),
    ...(query.label.length && { label: query.label }),
    ...(query.q && { q: query.q }),
  };
}
