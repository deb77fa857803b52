// A fleet without agents: how the first one is connected.

import { copy } from "./drawer.js";
import { html } from "./html.js";
import { ROOT } from "./api.js";
import { state } from "./state.js";
import { say } from "./words.js";

export function Empty() {
  const base = new URL(`./${ROOT}`, location.href);
  const address = new URL("deepstream/ws", base).href.replace(/^http/, "ws").split(/[?#]/)[0];
  const command = `dscore agent --url ${address} --instance-id cam-1`;
  return html`
    <section class="empty panel" id="empty">
      <h2>${say("empty")}</h2>
      <p>${say("emptyHow")}</p>
      <div class="command"><code>${command}</code><button onClick=${() => copy(command)}>${state.copied === command ? say("copied") : say("copy")}</button></div>
      <p class="soft">${say("emptyMore", address)}</p>
    </section>`;
}
