// The connection: it watches (PROTOCOL.md §4). What it is told is what the feed shows, and says that the figures are old.

import { Watcher } from "../../js/src/watcher.js";
import { currentToken, ROOT, setToken } from "./api.js";
import { note } from "./feed.js";
import { refresh, stale } from "./poll.js";
import { set, setSoon, state } from "./state.js";
import { say } from "./words.js";

/** Milliseconds that the report of a drain is shown after the server has come back. */
const REPORT = 600_000;

// A wall display is left alone for weeks: it comes back for ever. The agents themselves are asked for as they are shown:
// what a page costs does not grow with the fleet.
/** @type {Watcher} */
let watcher;

export function watch() {
  watcher = new Watcher(new URL(`./${ROOT}`, location.href), { attempts: Infinity, token: currentToken, snapshot: false });
  for (const [type, listener] of Object.entries(LISTENERS)) {
    watcher.addEventListener(/** @type {any} */ (type), (/** @type {any} */ { detail }) => listener(detail));
  }
  return watcher;
}

/** @type {Record<string, (detail: any) => void>} */
const LISTENERS = {
  state(link) {
    const isBack = link.state === "ready" && state.link.state !== "ready";
    set({ link, announced: link.state === "ready" ? say("ready") : state.announced });
    if (isBack) back();
  },
  change({ agent }) {
    note(agent.id, agent.status === "online" ? "online" : agent.reasonCode ?? "offline", agent.reason);
    stale(agent.id);
  },
  reconnected({ id }) {
    note(id, "back", "");
    stale(id);
  },
  shutdown({ message }) {
    set({ warning: message });
  },
  drain(progress) {
    if (state.drain?.report) return;
    const isNew = !state.drain?.isRunning;
    setSoon({ drain: { ...state.drain, ...progress, isRunning: true } });
    // Ten times a second it is told: what else there is to know of it comes at its own pace.
    if (isNew) refresh();
  },
  maintenance({ enabled }) {
    set({ isMaintenance: enabled });
    refresh();
  },
  forbidden() {
    set({ login: currentToken() ? "wrong" : "reading" });
  },
};

/** The old picture goes as the new one begins. */
function back() {
  const { drain } = state;
  set({ warning: "", drain: drain?.report ? drain : null, login: null });
  setTimeout(() => state.drain === drain && set({ drain: null }), REPORT);
  refresh();
}

/** Tries now. */
export const retry = () => watcher.retry();

/** @param {string} token */
export function useToken(token) {
  setToken(token);
  set({ login: null });
  watcher.close();
  watcher.retry();
  refresh();
}
