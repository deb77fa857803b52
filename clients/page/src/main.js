// The fleet page: what is on it, in the order in which it is read.

import { render } from "preact";
import { Reconnector, rowOf } from "../../js/src/reconnect.js";
import { given } from "./api.js";
import { Bar, Warning } from "./bar.js";
import { Changes } from "./changes.js";
import { Charts } from "./charts.js";
import { Dialogs, TokenForm } from "./dialogs.js";
import { Drain } from "./drain.js";
import { Drawer } from "./drawer.js";
import { Empty } from "./empty.js";
import { html } from "./html.js";
import { listenToKeys } from "./keys.js";
import { useToken, watch } from "./live.js";
import { followHistory } from "./navigate.js";
import { isEmptyFleet, poll } from "./poll.js";
import { onChange, set, state } from "./state.js";
import { Table } from "./table.js";
import { Tiles } from "./tiles.js";
import { Why } from "./why.js";
import { counted } from "./fleet.js";
import { currentLanguage, say, speak } from "./words.js";

function Page() {
  const isStale = state.link.state !== "ready" || state.drain?.isRunning;
  return html`
    <${Bar} />
    <${Warning} />
    <${Drain} />
    <main data-stale=${Boolean(isStale)}>
      ${state.login ? html`<${TokenForm} why=${say(state.login === "wrong" ? "tokenWrong" : "tokenWhy")} />` : html`<${Fleet} />`}
    </main>
    <${Drawer} />
    <${Dialogs} />
    <p class="said" aria-live="polite" role="status">${state.announced}</p>`;
}

function Fleet() {
  return html`
      <${Tiles} />
      ${isEmptyFleet() ? html`<${Empty} />` : html`
        <${Charts} />
        <${Why} />
        <div class="below"><${Table} /><${Changes} /></div>`}`;
}

function draw() {
  const root = document.getElementById("page");
  if (root) render(html`<${Page} />`, root);
  const lost = counted(state.facets?.states ?? {}).offline;
  const title = lost ? `(${lost}) dscore ${say("fleet")}` : `dscore ${say("fleet")}`;
  if (document.title !== title) document.title = title;
}

speak(currentLanguage());
onChange(draw);
draw();
followHistory();
listenToKeys();
poll();
if (state.query.agent) set({ agent: { id: state.query.agent } });
// The wait until the next attempt counts down.
setInterval(() => state.link.state === "waiting" && set({}), 1_000);
// The address was opened in a tab that shows the page already.
addEventListener("hashchange", () => {
  const token = given();
  if (token !== null) useToken(token);
});
// For a console, and for the tests of the table of waits that all clients share.
Object.assign(globalThis, { dscore: { Reconnector, rowOf, watcher: watch() } });
