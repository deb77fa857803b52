// The feed as it is shown.

import { clock, number, shortened } from "./format.js";
import { html } from "./html.js";
import { open } from "./navigate.js";
import { set, state } from "./state.js";
import { say, told } from "./words.js";

/** Groups that are shown. */
const SHOWN = 40;
/** @type {any[]} */
let held = [];

export function Changes() {
  const { groups, isHeld } = state.feed;
  if (!isHeld) held = groups.slice(0, SHOWN);
  return html`
    <aside class="feed panel" aria-labelledby="changes-heading">
      <div class="head">
        <h2 id="changes-heading">${say("feed")}</h2>
        <span class="space"></span>
        <button class="quiet" aria-pressed=${isHeld} onClick=${() => turn(!isHeld)}>${say(isHeld ? "resume" : "hold")}</button>
      </div>
      ${!held.length && html`<p class="soft">${say("quiet")}</p>`}
      <ol id="changes">${held.map((group) => html`
        <li key=${group.key} data-what=${group.what === "online" || group.what === "back" ? "good" : group.what === "terminated" ? "stopped" : "bad"}>
          <time datetime=${new Date(group.second * 1000).toISOString()}>${clock(group.second * 1000)}</time>
          <span><button class="agent" title=${group.ids.join(", ")} onClick=${() => open(group.ids[0])}>${shortened(group.ids[0], 24)}</button>${" "}
            ${group.count > 1 && html`<span class="soft">${say("more", number(group.count - 1))} </span>`}<em>${what(group)}</em></span>
        </li>`)}</ol>
    </aside>`;
}

/** @param {any} group */
function what({ what: code, reason }) {
  if (code === "back") return say("cameBack");
  if (code === "online") return say("wentOnline");
  return say("went", told(code) || reason);
}

/** @param {boolean} isHeld */
function turn(isHeld) {
  held = held.map((group) => ({ ...group, ids: [...group.ids] }));
  set({ feed: { ...state.feed, isHeld } });
}
