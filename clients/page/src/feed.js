// What changes: grouped by second and by what it was, so that a whole site that goes is one line.

import { setSoon, state } from "./state.js";
import { say } from "./words.js";

const GROUPS = 200;
const NAMED = 3;
/** Milliseconds between two sentences of the live region. */
const SAY = 10_000;

/** @type {{ gone: number, back: number, timer: number }} */
const unsaid = { gone: 0, back: 0, timer: 0 };

/**
 * @param {string} id
 * @param {string} what "online", "back", or a reason_code
 * @param {string} reason for people
 */
export function note(id, what, reason) {
  const second = Math.floor(Date.now() / 1000);
  const { groups } = state.feed;
  // The newest come first: what is of this second is among the first few.
  let group = groups.slice(0, 12).find((each) => each.second === second && each.what === what);
  if (!group) {
    group = { key: `${second} ${what}`, second, what, reason, count: 0, ids: [] };
    groups.unshift(group);
    groups.length = Math.min(groups.length, GROUPS);
  }
  group.count += 1;
  if (group.ids.length < NAMED) group.ids.push(id);
  if (what === "online" || what === "back") unsaid.back += 1;
  else unsaid.gone += 1;
  unsaid.timer ||= setTimeout(announce, SAY);
  if (!state.feed.isHeld) setSoon({ feed: { ...state.feed } });
}

function announce() {
  const { gone, back } = unsaid;
  Object.assign(unsaid, { gone: 0, back: 0, timer: 0 });
  setSoon({ announced: say("said", gone, back) });
}
