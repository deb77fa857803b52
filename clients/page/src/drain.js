// A drain as it goes: one segment for each outcome, how fast the acks came, and who is left.

import { OUTCOMES } from "./fleet.js";
import { number, span } from "./format.js";
import { copy } from "./drawer.js";
import { html } from "./html.js";
import { set, state } from "./state.js";
import { say, told } from "./words.js";

export function Drain() {
  const { drain } = state;
  if (!drain) return null;
  // An agent whose streams were cut short has acked all the same: it is counted in both.
  const shown = { ...drain, acked: drain.acked - (drain.incomplete ?? 0) };
  const present = OUTCOMES.filter((name) => shown[name] > 0);
  const latency = drain.latency_ms ?? drain.report?.latency_ms;
  const title = (/** @type {string} */ name) => `${number(shown[name])} ${told(name)}`;
  return html`
    <section class="drain panel" id="drain" aria-labelledby="drain-heading">
      <div class="head"><h2 id="drain-heading">${say("drain")}</h2><p class="soft" id="drain-intent">${drain.intent}, ${number(drain.total)}</p>
        ${drain.report && html`<b>${say("drainOver")}</b><span class="space"></span><button class="close" aria-label=${say("close")} onClick=${() => set({ drain: null })}>✕</button>`}</div>
      <div id="drain-bar" class="segments" role="progressbar" aria-labelledby="drain-heading" aria-describedby="drain-counts" aria-valuemin="0"
          aria-valuemax=${Math.max(1, drain.total)} aria-valuenow=${drain.total ? drain.total - drain.pending : 1}>
        ${present.map((name) => html`<span key=${name} data-outcome=${name} title=${title(name)} style=${{ flexGrow: shown[name] }}></span>`)}
      </div>
      <ul id="drain-counts" class="outcomes">${present.map((name) => html`<li key=${name}><i data-outcome=${name} aria-hidden="true"></i>${title(name)}</li>`)}</ul>
      ${latency && latency.p50 !== null && html`<p class="soft">${say("percentiles", ...[latency.p50, latency.p99, latency.max].map((each) => number(Math.round(each * 10) / 10)))}</p>`}
      <${Left} left=${drain.pending ? drain.left : drain.left && []} total=${drain.left_total} />
      ${drain.report && html`<${Report} report=${drain.report} />`}
    </section>`;
}

/** @param {{ left: any[] | undefined, total: number | undefined }} props */
function Left({ left, total = 0 }) {
  if (!left) return null;
  if (!left.length) return html`<p class="soft" id="drain-left">${say("noneLeft")}</p>`;
  return html`
    <h3>${say("left")} <small>${number(total)}</small></h3>
    <div class="left" tabindex="0" role="region" aria-label=${say("left")}>
      <table id="drain-left">
        <thead><tr><th scope="col">${say("id")}</th><th scope="col">${say("state")}</th><th scope="col">${say("deadline")}</th><th scope="col">${say("stage")}</th></tr></thead>
        <tbody>${left.map((agent) => html`
          <tr key=${agent.id}><th scope="row">${agent.id}</th><td>${told(agent.outcome ?? "pending")}</td>
            <td>${agent.deadline ? span((Date.parse(agent.deadline) - Date.now()) / 1000) : "–"}</td><td>${agent.stage ?? "–"}</td></tr>`)}</tbody>
      </table>
    </div>
    ${total > left.length && html`<p class="soft">${say("leftMore", number(total - left.length))}</p>`}`;
}

/** @param {{ report: any }} props */
function Report({ report }) {
  const text = JSON.stringify(report, null, 2);
  return html`
    <div class="doing">
      <button onClick=${() => copy(text)}>${state.copied === text ? say("copied") : say("copyReport")}</button>
      <button onClick=${() => download(text)}>${say("download")}</button>
    </div>`;
}

/** @param {string} text */
function download(text) {
  const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const link = Object.assign(document.createElement("a"), { href: address, download: "drain-report.json" });
  link.click();
  URL.revokeObjectURL(address);
}
