// Numbers, times and ids as people read them. All times are UTC, as in the sentences of the server.

import { say } from "./words.js";

/** @type {[import("./words.js").Word, number][]} */
const UNITS = [["days", 86_400], ["hours", 3_600], ["minutes", 60], ["seconds", 1]];

// Made once: `toLocaleString` looks its locale up each time.
const { format } = new Intl.NumberFormat("en-US");

/** @param {number} count */
export const number = (count) => format(count);

/** @param {string | number | Date} moment */
export function clock(moment) {
  const text = new Date(moment).toISOString();
  const isToday = text.slice(0, 10) === new Date().toISOString().slice(0, 10);
  return isToday ? text.slice(11, 19) : `${text.slice(0, 10)} ${text.slice(11, 19)}`;
}

/** A duration in its two largest units. @param {number} seconds */
export function span(seconds) {
  let left = Math.max(0, Math.floor(seconds));
  const parts = [];
  for (const [unit, size] of UNITS) {
    const count = Math.floor(left / size);
    left %= size;
    if (count || (size === 1 && !parts.length)) parts.push(say(unit, count));
  }
  return parts.slice(0, 2).join(" ");
}

/** @param {string | null} timestamp */
export const age = (timestamp) => (timestamp ? span((Date.now() - Date.parse(timestamp)) / 1000) : "–");

/** Ids differ at their ends: what is too long loses its middle. @param {string} id @param {number} [most] characters */
export function shortened(id, most = 34) {
  const characters = [...id];
  if (characters.length <= most) return id;
  const tail = Math.floor(most / 2);
  return `${characters.slice(0, most - tail - 1).join("")}…${characters.slice(-tail).join("")}`;
}
