"use strict";

// The connection: it watches (PROTOCOL.md §4), and shows what it is told as it comes.

let token = tokenOfAddress() ?? sessionStorage.getItem("dscore-token") ?? "";
let countdown = null;

// A wall display is left alone for weeks: it comes back for ever.
const watcher = new dscore.Watcher(new URL(`./${ROOT}`, location.href), { attempts: Infinity, token: () => token });

/** The token behind the # of an address that `dscore page` has printed; taken out of the address,
 * so that neither the history nor a copy of the address keeps it. */
function tokenOfAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!given) return null;
  sessionStorage.setItem("dscore-token", given);
  history.replaceState(null, "", location.pathname + location.search);
  return given;
}

function isLive() {
  return watcher.status.state === "ready";
}

const LISTENERS = {
  state: tell,
  change({ agent, isSnapshot }) {
    note(agent);
    if (!isSnapshot) change(agent);
  },
  reconnected({ id }) {
    settle(id);
    log(id, "came back", "good");
  },
  shutdown({ message }) {
    // From now on the operator API answers for the drain only.
    isClosed = true;
    warn(message);
  },
  drain: progress,
  maintenance({ enabled }) {
    isMaintenance = enabled;
    maintenance();
    refresh();
  },
  forbidden: login,
};

for (const [type, listener] of Object.entries(LISTENERS)) watcher.addEventListener(type, ({ detail }) => listener(detail));

/** The old picture goes as the new one begins. */
function granted() {
  forget();
  $("warning").hidden = true;
  $("drain").hidden = true;
  $("login").hidden = true;
  isClosed = false;
  maintenance();
  refresh();
}

function change({ id, status, reason, reasonCode }) {
  // To have been stopped as asked is no mishap.
  const mood = status === "online" ? "good" : reasonCode === "terminated" ? "" : "bad";
  log(id, status === "online" ? "online" : `offline: ${reason}`, mood);
}

/** Drawn with the table, so that a whole fleet may change at once. */
function log(id, what, mood) {
  changes.unshift({ id, what, mood, at: new Date() });
  changes.length = Math.min(changes.length, CHANGES);
  renderSoon();
}

function warn(text) {
  $("warning").textContent = text;
  $("warning").hidden = false;
}

const MAINTENANCE = "The server is in maintenance: all agents are turned away until it is switched off.";

let isMaintenance = false;

/** Says it, with how many are connected once that is known: for watchers they are online, all graces stand still. */
function maintenance(connected = null) {
  const known = agents.size.toLocaleString();
  if (isMaintenance) warn(MAINTENANCE + (connected === null ? "" : ` ${connected.toLocaleString()} of ${known} agents connected.`));
  else if ($("warning").textContent.startsWith(MAINTENANCE)) $("warning").hidden = true;
}

/** Shows what the connection does. */
function tell({ state, why, retryIn, since, attempt }) {
  clearInterval(countdown);
  if (state === "ready") granted();
  const isConnecting = state === "connecting" || state === "introducing";
  $("connection").dataset.state = state === "ready" ? "live" : isConnecting ? "connecting" : "away";
  document.body.dataset.stale = String(state !== "ready");
  $("now").hidden = state !== "waiting" && state !== "stopped";
  const because = why ? ` (${why})` : "";
  if (state !== "waiting") {
    const words = { ready: "live", stopped: "not wanted back", forbidden: "waiting for a token", closed: "" };
    $("connection").textContent = isConnecting ? "connecting…" : words[state] + (state === "stopped" ? because : "");
    return;
  }
  const say = () => {
    const left = Math.max(0, Math.ceil((since + retryIn - Date.now()) / 1000));
    $("connection").textContent = `back in ${left} s, attempt ${attempt + 1}${because}`;
  };
  say();
  countdown = setInterval(say, 1000);
}

/** The server shows its fleet to operators only. */
function login() {
  forget();
  $("login-why").textContent = token
    ? "That token is no operator's here: check it, or take another."
    : "This server shows its fleet to operators only.";
  $("login").hidden = false;
  $("token").focus();
}

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  $("token").value = "";
  sessionStorage.setItem("dscore-token", token);
  watcher.retry();
});

// The address was opened in a tab that shows the page already.
addEventListener("hashchange", () => {
  const given = tokenOfAddress();
  if (given === null) return;
  token = given;
  watcher.close();
  watcher.retry();
});

$("now").addEventListener("click", () => watcher.retry());
