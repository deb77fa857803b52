"use strict";

// What the operator API adds to the stream of changes: addresses, fresh heartbeats, an agent's story.

const REFRESH_MS = 5_000;

let isClosed = false;

/** Asks the operator API; null where it refuses. Throws when the server does not answer. */
async function ask(path) {
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const signal = AbortSignal.timeout(REFRESH_MS);
  const answer = await fetch(`${ROOT}api/v1/${path}`, { headers, signal, cache: "no-store" });
  // Without a token it is closed to other machines: the stream alone has to do.
  isClosed = answer.status === 401 || answer.status === 403;
  return answer.ok ? answer.json() : null;
}

/** The figures of the server, and of the agents that are on the screen. */
async function refresh() {
  if (!isLive() || isClosed) return;
  const query = new URLSearchParams({ sort: "status", limit: ROWS });
  if (wanted.status) query.set("status", wanted.status);
  if (wanted.text) query.set("q", wanted.text);
  try {
    const [status, page] = await Promise.all([ask("status"), ask(`agents?${query}`)]);
    if (page) enrich(page.items);
    if (status) showServer(status);
  } catch {
    // Whether the server is gone is the watcher's to find out.
  }
}

function showServer(status) {
  const states = status.agents.states;
  if (isMaintenance) maintenance(states.connected ?? 0);
  // In maintenance agents count as online, and none is connected.
  const usual = isMaintenance ? [] : ["connected", "offline"];
  const unusual = Object.keys(states).filter((state) => !usual.includes(state));
  const parts = [`dscore ${status.version}`, `up ${span(status.uptime)}`,
    ...unusual.map((state) => `${states[state].toLocaleString()} ${state}`)];
  if (status.store.status !== "ok") parts.push(`the store fails: ${status.store.reason}`);
  $("server").textContent = parts.join(" · ");
}

/** Why an agent is what it is, and what happened to it: `dscore why` as a picture. */
async function showStory(id) {
  $("story-of").textContent = id;
  $("story-entries").replaceChildren();
  $("story-why").textContent = "…";
  $("story").showModal();
  // Of agents named "." or ".." no browser can ask: it takes them for steps in the path.
  const path = encodeURIComponent(id);
  let story = null;
  try {
    story = await ask(`agents/${path}/events?limit=50`);
  } catch {
    // Said below, as for one that refuses.
  }
  if ($("story-of").textContent !== id) return;
  $("story-why").textContent = story?.sentence ?? "The server does not tell.";
  $("story-entries").replaceChildren(...(story?.items ?? []).map((item) => {
    const entry = document.createElement("li");
    entry.append(time(new Date(item.at)), element("span", item.text));
    return entry;
  }));
}

setInterval(refresh, REFRESH_MS);
