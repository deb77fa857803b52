// The head of the page: which server, how it is, how we are connected to it, and what can be done to it.

import { isOpen } from "./api.js";
import { number, span } from "./format.js";
import { html } from "./html.js";
import { retry } from "./live.js";
import { drawerAnew } from "./poll.js";
import { set, state } from "./state.js";
import { currentLanguage, say, speak } from "./words.js";

export function Bar() {
  const { server, link } = state;
  return html`
    <header class="bar">
      <h1>dscore</h1>
      <p class="server">${server && html`<span>${server.version}</span> <span>${say("up", span(server.uptime + (Date.now() - server.readAt) / 1000))}</span>`}</p>
      <${Chip} />
      <p class="connection" id="connection" data-state=${stateOf(link)}>${connection(link)}</p>
      ${(link.state === "waiting" || link.state === "stopped") && html`<button id="now" onClick=${retry}>${say("retry")}</button>`}
      <span class="space"></span>
      <button class="quiet" lang=${currentLanguage() === "en" ? "ko" : "en"} onClick=${turnLanguage}>${say("language")}</button>
      <button class="quiet" onClick=${() => set({ dialog: { kind: "keys" } })}>${say("keysHelp")}</button>
      <button id="to-maintenance" disabled=${!isOpen()} onClick=${() => set({ dialog: { kind: "maintenance" } })}>${say("toMaintenance")}</button>
      <button id="to-drain" disabled=${!isOpen()} onClick=${() => set({ dialog: { kind: "drain" } })}>${say("toDrain")}</button>
    </header>`;
}

function Chip() {
  const phase = phaseOf();
  return phase && html`<p class="chip" id="phase" data-phase=${phase}>${say(/** @type {any} */ (phase))}</p>`;
}

/** What the server is up to, in one word. */
function phaseOf() {
  const { server } = state;
  if (state.drain?.isRunning) return "draining";
  if (state.isMaintenance) return "maintenance";
  if (!server || state.link.state !== "ready") return "";
  if (server.store.status !== "ok") return "storeFailing";
  return server.status === "starting" ? "starting" : "running";
}

/** @param {any} link */
function stateOf({ state: now }) {
  if (now === "ready") return "live";
  return now === "connecting" || now === "introducing" || now === "idle" ? "connecting" : "away";
}

/** @param {any} link */
function connection({ state: now, why, since, retryIn, attempt }) {
  const because = why ? ` (${why})` : "";
  if (now === "ready") return say("ready");
  if (now === "waiting") return say("waiting", Math.max(0, Math.ceil((since + retryIn - Date.now()) / 1000)), attempt + 1) + because;
  if (now === "stopped") return say("stoppedLink") + because;
  if (now === "forbidden") return say("forbidden");
  return say("connecting");
}

function turnLanguage() {
  speak(currentLanguage() === "en" ? "ko" : "en");
  set({});
  // Its story is told by the server.
  drawerAnew();
}

/** What the operator must know before all else. */
export function Warning() {
  const { server, facets } = state;
  const texts = [];
  if (state.warning) texts.push(state.warning);
  if (state.isMaintenance) {
    texts.push(say("maintenanceOn", number(facets?.states.connected ?? 0), number(facets?.total ?? 0)));
  }
  if (server && server.store.status !== "ok") texts.push(say("storeWarn", server.store.reason ?? ""));
  return texts.length > 0 && html`<div class="warning" id="warning" role="alert">${texts.map((text) => html`<p key=${text}>${text}</p>`)}</div>`;
}
