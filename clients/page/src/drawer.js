// One agent: why it is what it is, what is known of it, and what happened to it.

import { conditionOf, SHAPES } from "./fleet.js";
import { clock, number } from "./format.js";
import { html } from "./html.js";
import { open } from "./navigate.js";
import { set, state } from "./state.js";
import { word } from "./tiles.js";
import { say, told } from "./words.js";

/** What each kind of entry says of its agent from then on. */
const CONDITION_AFTER = /** @type {Record<string, string>} */ ({
  connected: "connected", online: "connected", recovered: "connected", missed: "late", disconnected: "reconnecting", offline: "offline", terminated: "stopped", stopped: "stopped",
});

export function Drawer() {
  const { agent } = state;
  if (!agent) return null;
  const { id, detail, story, error } = agent;
  const act = (/** @type {string} */ action) => () => set({ dialog: { kind: "bulk", action, ids: [id] } });
  return html`
    <div class="drawer" id="story" role="dialog" aria-labelledby="story-of" ref=${focusOnce}>
      <div class="head">
        <h2 id="story-of">${id}</h2>
        <button class="quiet" onClick=${() => copy(id)}>${state.copied === id ? say("copied") : say("copy")}</button>
        <span class="space"></span>
        <button class="close" aria-label=${say("close")} onClick=${() => open("")}>✕</button>
      </div>
      <p id="story-why">${error ? say(error === 404 ? "unknownAgent" : "untold") : story ? story.sentence ?? say("untold") : say("loading")}</p>
      ${detail && html`
        <div class="doing">
          <button onClick=${act("terminate")}>${say("terminate")}</button>
          <button onClick=${act("message")}>${say("message")}</button>
          <button onClick=${act("remove")}>${say("remove")}</button>
        </div>
        <h3>${say("facts")}</h3>
        <dl>${facts(detail).map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
        ${detail.config && html`<details><summary>${say("config")}</summary><p class="soft">${say("noSecrets")}</p><pre tabindex="0">${JSON.stringify(detail.config, null, 2)}</pre></details>`}
      `}
      ${story && html`
        <h3>${say("timeline")}</h3>
        <${Line} items=${story.items} />
        <ol id="story-entries">${story.items.map((/** @type {any} */ item) => html`<li key=${item.number}><time datetime=${item.at}>${clock(item.at)}</time><span>${item.text}</span></li>`)}</ol>`}
    </div>`;
}

/** @param {any} detail @returns {[string, any][]} */
function facts(detail) {
  const condition = /** @type {keyof typeof SHAPES} */ (conditionOf(detail.state));
  const shown = html`<i class="shape" data-condition=${condition} aria-hidden="true">${SHAPES[condition]}</i>${word(condition)}`;
  return [
    [say("state"), shown],
    ...(detail.reason_code ? [[say("reason"), told(detail.reason_code)]] : []),
    [say("sinceAt"), clock(detail.since)],
    [say("dialect"), detail.dialect],
    [say("address"), detail.ip ?? "–"],
    [say("connectedAt"), detail.connected_at ? clock(detail.connected_at) : "–"],
    [say("heartbeat"), detail.last_heartbeat ? clock(detail.last_heartbeat) : "–"],
    [say("rtt"), detail.rtt_ms === null ? "–" : `${detail.rtt_ms.toFixed(1)} ms`],
    [say("undelivered"), `${number(detail.undelivered)}${detail.dropped ? `, ${say("dropped")} ${number(detail.dropped)}` : ""}`],
    [say("labels"), Object.entries(detail.labels).map(([name, value]) => html`<span key=${name} class="label">${name}=${value}</span>`)],
  ].filter(([, value]) => !Array.isArray(value) || value.length) /** @type {any} */;
}

/** The same as a bar from left to right, until now. @param {{ items: any[] }} props */
function Line({ items }) {
  const oldest = [...items].reverse().filter((item) => CONDITION_AFTER[item.kind]);
  if (!oldest.length) return null;
  const begin = Date.parse(oldest[0].at);
  const end = Math.max(Date.now(), begin + 1000);
  return html`
    <svg class="line" viewBox="0 0 1000 14" preserveAspectRatio="none" role="img" aria-label=${say("timeline")}>
      ${oldest.map((item, at) => {
        const from = Date.parse(item.at);
        const to = at + 1 < oldest.length ? Date.parse(oldest[at + 1].at) : end;
        const x = (1000 * (from - begin)) / (end - begin);
        return html`<rect key=${item.number} class="part" data-condition=${CONDITION_AFTER[item.kind]} x=${x} y="0" width=${Math.max(1.5, (1000 * (to - from)) / (end - begin))} height="14"><title>${`${clock(item.at)} ${item.text}`}</title></rect>`;
      })}
    </svg>`;
}

/** @param {HTMLElement | null} element */
function focusOnce(element) {
  if (!element || element.dataset.seen) return;
  element.dataset.seen = "1";
  /** @type {HTMLElement} */ (element.querySelector(".close")).focus({ preventScroll: true });
}

/** @param {string} text */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Only secure pages may; the text can be marked.
    return;
  }
  set({ copied: text });
  setTimeout(() => set({ copied: "" }), 2000);
}
