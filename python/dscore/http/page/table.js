"use strict";

// The agents that the page knows, as many of them as a screen can use, and what changed last.

// Enough to look through, few enough for a phone: the rest is found by searching.
const ROWS = 200;
const CHANGES = 100;
const RENDER_MS = 250;

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

/** Takes over what a watcher is told of an agent; whether it is news. */
function note(message) {
  const known = agents.get(message.id);
  if (!known) isSorted = false;
  const news = !known || known.status !== message.status;
  agents.set(message.id, {
    ...known,
    id: message.id,
    folded: known?.folded ?? message.id.toLowerCase(),
    status: message.status,
    reason: message.reason ?? "",
    heartbeat: message.lastHeartbeat ?? known?.heartbeat ?? null,
    state: "",
  });
  renderSoon();
  return news;
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
  const counts = { online: 0, offline: 0 };
  for (const agent of agents.values()) counts[agent.status] += 1;
  $("count-all").textContent = agents.size.toLocaleString();
  $("count-online").textContent = counts.online.toLocaleString();
  $("count-offline").textContent = counts.offline.toLocaleString();
  document.title = counts.offline ? `(${counts.offline}) dscore fleet` : "dscore fleet";

  const { rows, found } = select();
  const hasFocus = document.activeElement?.closest("#agents tr")?.dataset.id;
  $("agents").replaceChildren(...rows.map(row));
  if (hasFocus !== undefined) {
    const again = [...$("agents").rows].find((each) => each.dataset.id === hasFocus);
    again?.querySelector("button").focus({ preventScroll: true });
  }
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
  for (const status of ["offline", "online"]) {
    if (wanted.status && wanted.status !== status) continue;
    for (const id of sorted) {
      const agent = agents.get(id);
      if (agent.status !== status || !agent.folded.includes(wanted.text)) continue;
      found += 1;
      if (rows.length < ROWS) rows.push(agent);
    }
  }
  return { rows, found };
}

function caption(shown, found) {
  if (agents.size === 0) return "No agent is known yet.";
  if (found === 0) return "No agent fits.";
  if (shown === found) return found === 1 ? "1 agent" : `${found.toLocaleString()} agents`;
  return `The first ${shown} of ${found.toLocaleString()} agents: search or filter for others.`;
}

function row(agent) {
  const made = document.createElement("tr");
  made.dataset.id = agent.id;
  const name = element("th", "", { scope: "row" });
  name.append(element("button", agent.id, { title: "Why is it so?" }));
  const isUsual = agent.state === "" || agent.state === "connected" || agent.state === "offline";
  const heard = element("td", ago(agent.heartbeat), { title: agent.heartbeat ?? "" });
  made.append(
    name,
    element("td", agent.status, { "data-status": agent.status }),
    element("td", agent.reason || (isUsual ? "" : agent.state)),
    heard,
    element("td", agent.address ?? "", { class: "wide" }),
    element("td", agent.roundTrip == null ? "" : `${agent.roundTrip.toFixed(1)} ms`, { class: "wide" }),
  );
  return made;
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

$("statuses").addEventListener("click", (event) => {
  const pressed = event.target.closest("button");
  if (!pressed) return;
  wanted.status = pressed.dataset.status;
  for (const each of $("statuses").children) each.setAttribute("aria-pressed", each === pressed);
  render();
  refresh();
});

$("search").addEventListener("input", () => {
  wanted.text = $("search").value.trim().toLowerCase();
  renderSoon();
});
