"use strict";

// The agents that the page knows, as many of them as a screen can use, and what changed last.

// Enough to look through, few enough for a phone: the rest is found by searching.
const ROWS = 200;
const CHANGES = 100;
const RENDER_MS = 250;
// The way from the page to the server's own paths: the page may be anywhere (listen.page).
const ROOT = document.documentElement.dataset.root;

const $ = (id) => document.getElementById(id);

const agents = new Map();
// The newest first.
const changes = [];
const wanted = { status: "", text: "" };
let sorted = [];
let isSorted = true;
let renderTimer = null;

/** Makes an element. Text from agents comes in here only: as text, never as markup. */
function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** Takes over what a watcher is told of an agent. */
function note({ id, status, reason, reasonCode, lastHeartbeat }) {
  const known = agents.get(id);
  if (!known) isSorted = false;
  agents.set(id, {
    ...known,
    id,
    folded: known?.folded ?? id.toLowerCase(),
    status,
    reason,
    isStopped: reasonCode === "terminated",
    heartbeat: lastHeartbeat ?? known?.heartbeat ?? null,
    state: "",
  });
  renderSoon();
}

/** An agent is well again: what the operator API said of it is past. */
function settle(id) {
  const known = agents.get(id);
  if (known) known.state = "";
}

/** Adds what the operator API says of agents that are known. */
function enrich(items) {
  for (const item of items) {
    const known = agents.get(item.id);
    // A change may have overtaken the answer.
    if (!known || known.status !== item.status) continue;
    known.heartbeat = item.last_heartbeat;
    known.state = item.state;
    known.address = item.ip;
    known.roundTrip = item.rtt_ms;
  }
  renderSoon();
}

function forget() {
  agents.clear();
  sorted = [];
  isSorted = true;
  renderSoon();
}

/** However many changes come, the page is drawn four times a second at most. */
function renderSoon() {
  renderTimer ??= setTimeout(() => {
    renderTimer = null;
    render();
  }, RENDER_MS);
}

function render() {
  const counts = { online: 0, offline: 0, lost: 0 };
  for (const agent of agents.values()) {
    counts[agent.status] += 1;
    if (agent.status === "offline" && !agent.isStopped) counts.lost += 1;
  }
  $("count-all").textContent = agents.size.toLocaleString();
  $("count-online").textContent = counts.online.toLocaleString();
  $("count-offline").textContent = counts.offline.toLocaleString();
  document.title = counts.lost ? `(${counts.lost}) dscore fleet` : "dscore fleet";

  const { rows, found } = select();
  drawRows(rows);
  $("shown").textContent = caption(rows.length, found);
  $("quiet").hidden = changes.length > 0;
  $("changes").replaceChildren(...changes.map(line));
}

/** The first rows that fit, those who are offline before those who are well, each by id. */
function select() {
  if (!isSorted) {
    sorted = [...agents.keys()].sort();
    isSorted = true;
  }
  const rows = [];
  let found = 0;
  for (const rank of [0, 1, 2]) {
    for (const id of sorted) {
      const agent = agents.get(id);
      if (rankOf(agent) !== rank || !fits(agent)) continue;
      found += 1;
      if (rows.length < ROWS) rows.push(agent);
    }
  }
  return { rows, found };
}

/** The lost first, then those who are well, then those who were stopped as asked. */
function rankOf(agent) {
  if (agent.status === "online") return 1;
  return agent.isStopped ? 2 : 0;
}

function fits(agent) {
  return (!wanted.status || wanted.status === agent.status) && agent.folded.includes(wanted.text);
}

function caption(shown, found) {
  if (agents.size === 0) return "No agent is known yet.";
  if (found === 0) return "No agent fits.";
  if (shown === found) return found === 1 ? "1 agent" : `${found.toLocaleString()} agents`;
  return `The first ${shown} of ${found.toLocaleString()} agents: search or filter for others.`;
}

function line(change) {
  const made = document.createElement("li");
  const words = document.createElement("span");
  words.append(element("b", change.id), " ", element("span", change.what, { class: change.mood }));
  made.append(time(change.at), words);
  return made;
}

/** A moment as on the reader's wall, with the date if it is not today's. */
function time(moment) {
  const isToday = moment.toDateString() === new Date().toDateString();
  const day = isToday ? "" : `${moment.toLocaleDateString()} `;
  const text = day + moment.toLocaleTimeString([], { timeStyle: "medium", hourCycle: "h23" });
  return element("time", text, { datetime: moment.toISOString() });
}

function ago(timestamp) {
  return timestamp ? `${span((Date.now() - Date.parse(timestamp)) / 1000)} ago` : "–";
}

/** A duration in its two largest units. */
function span(seconds) {
  let left = Math.max(0, Math.floor(seconds));
  const parts = [];
  for (const [size, unit] of [[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]]) {
    const count = Math.floor(left / size);
    left %= size;
    if (count || (unit === "s" && parts.length === 0)) parts.push(`${count} ${unit}`);
  }
  return parts.slice(0, 2).join(" ");
}

/** Shows the agents of one status only; "" all of them. */
function show(status) {
  wanted.status = status;
  for (const each of $("statuses").children) each.setAttribute("aria-pressed", each.dataset.status === status);
  release();
  render();
  refresh();
}

$("statuses").addEventListener("click", (event) => {
  const pressed = event.target.closest("button");
  if (pressed) show(pressed.dataset.status);
});

$("search").addEventListener("input", () => {
  wanted.text = $("search").value.trim().toLowerCase();
  release();
  renderSoon();
});
