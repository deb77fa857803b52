// The page by keys.

import { filter, open } from "./navigate.js";
import { hold } from "./poll.js";
import { set, state } from "./state.js";
import { atCursor, check, move } from "./table.js";

/** @type {Record<string, () => void>} */
const KEYS = {
  "?": () => set({ dialog: { kind: "keys" } }),
  "/": () => document.getElementById("search")?.focus(),
  j: () => move(1),
  k: () => move(-1),
  x: () => check(atCursor()),
  Enter: () => atCursor() && open(atCursor()),
};

export function listenToKeys() {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.key === "Escape") return escape(target);
    // What has keys of its own keeps them; a dialog takes all.
    const isTyping = target.matches("input:not([type=checkbox]), textarea, select") || state.dialog;
    const isPressing = event.key === "Enter" && target.matches("button, a, input, summary");
    const act = KEYS[event.key];
    if (!act || isTyping || isPressing) return;
    event.preventDefault();
    act();
  });
}

/** @param {HTMLElement} target */
function escape(target) {
  if (state.dialog) return;
  if (target.matches("#search")) {
    filter({ q: "" }, false);
    target.blur();
  } else if (state.query.agent) {
    open("");
  } else if (document.activeElement instanceof HTMLElement) {
    document.activeElement.blur();
    set({ cursor: -1 });
    hold(false);
  }
}
