// All that the page knows, in one object. It is changed with `set` alone, and drawn once a frame at most, and
// what comes by itself (the stream of changes) a few times a second.

import { readQuery } from "./query.js";

/** Milliseconds between two drawings of what comes by itself. */
const SOON = 400;

export const state = {
  query: readQuery(),
  /** @type {any} what the connection does: the watcher's status */
  link: { state: "connecting", why: "", retryIn: 0, since: Date.now(), attempt: 0 },
  isMaintenance: false,
  /** @type {any} the server at a glance */
  server: null,
  /** @type {any} */
  facets: null,
  /** @type {any} */
  history: null,
  /** @type {any} the drain, if there is one */
  drain: null,
  /** @type {null | "reading" | "wrong"} why a token is asked for */
  login: null,
  warning: "",
  rows: { total: 0, offset: 0, items: [], isLoaded: false, waiting: 0, isHeld: false },
  /** @type {Set<string>} */
  checked: new Set(),
  isAllChecked: false,
  cursor: -1,
  /** @type {any} the agent in the drawer */
  agent: null,
  /** @type {any} the dialog that is open */
  dialog: null,
  feed: { groups: [], isHeld: false },
  announced: "",
  copied: "",
};

/** @type {Set<() => void>} */
const listeners = new Set();
let frame = 0;
let timer = 0;

/** @param {() => void} listener draws */
export function onChange(listener) {
  listeners.add(listener);
}

/** @param {Partial<typeof state>} patch */
export function set(patch) {
  Object.assign(state, patch);
  frame ||= requestAnimationFrame(draw);
}

/** @param {Partial<typeof state>} patch */
export function setSoon(patch) {
  Object.assign(state, patch);
  timer ||= setTimeout(() => {
    timer = 0;
    frame ||= requestAnimationFrame(draw);
  }, SOON);
}

function draw() {
  frame = 0;
  for (const listener of listeners) listener();
}
