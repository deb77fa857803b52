"use strict";

// The connection: it watches (PROTOCOL.md §4), and shows what it is told as it comes.

let socket = null;
let token = tokenOfAddress() ?? sessionStorage.getItem("dscore-token") ?? "";
let isGranted = false;
let countdown = null;

const reconnector = new SmartReconnector(connect, tell);

/** The token behind the # of an address that `dscore page` has printed; taken out of the address,
 * so that neither the history nor a copy of the address keeps it. */
function tokenOfAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!given) return null;
  sessionStorage.setItem("dscore-token", given);
  history.replaceState(null, "", location.pathname + location.search);
  return given;
}

function connect() {
  const address = new URL(`${ROOT}deepstream/ws`, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const mine = new WebSocket(address);
  socket = mine;
  mine.onopen = () => {
    reconnector.opened();
    isGranted = false;
    mine.send(JSON.stringify({ type: "watch", snapshot: true, ...(token ? { token } : {}) }));
    // An empty fleet has nothing to tell. What is answered behind the watch says that it was granted.
    mine.send(JSON.stringify({ type: "client_status_request", clientName: "-" }));
  };
  mine.onmessage = (event) => {
    if (socket === mine) hear(JSON.parse(event.data));
  };
  mine.onclose = (event) => {
    if (socket === mine) ended(event.code, event.reason);
  };
}

function isLive() {
  return socket !== null && isGranted;
}

/** The first thing that a watcher is told: the old picture goes as the new one begins. */
function granted() {
  if (isGranted) return;
  isGranted = true;
  forget();
  $("warning").hidden = true;
  $("drain").hidden = true;
  $("login").hidden = true;
  tell({ state: "live" });
  silences = 0;
  isClosed = false;
  refresh();
}

function ended(code, reason) {
  socket = null;
  isGranted = false;
  if (code === 1013 && reason === "Server temporarily unavailable") {
    maintenance(true);
  }
  reconnector.closed(code, reason);
}

/** The server is silent: the socket may not notice for minutes. */
function lost() {
  const mine = socket;
  ended(1006, "the server does not answer");
  mine.close();
}

function hear(message) {
  switch (message.type) {
    case "client_status_changed":
      granted();
      if (note(message) && !message.snapshot) change(message);
      break;
    case "client_reconnected":
      granted();
      log(message.clientName, "came back", "good");
      break;
    case "server_status_response":
      granted();
      break;
    case "server_shutdown":
      reconnector.hinted(message.reconnectAfter);
      // From now on the operator API answers for the drain only.
      isClosed = true;
      warn(message.message);
      break;
    case "drain_progress":
      progress(message);
      break;
    case "maintenance_changed":
      maintenance(message.enabled);
      break;
    case "error":
      if (message.code === "forbidden") login();
      break;
  }
}

function change({ id, status, reason, reason_code: code }) {
  // To have been stopped as asked is no mishap.
  const mood = status === "online" ? "good" : code === "terminated" ? "" : "bad";
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

function maintenance(isOn) {
  warn("The server is in maintenance: all agents are turned away until it is switched off.");
  $("warning").hidden = !isOn;
}

function progress(drain) {
  $("drain").hidden = false;
  $("drain-bar").max = Math.max(1, drain.total);
  $("drain-bar").value = drain.total ? drain.total - drain.pending : 1;
  const names = ["acked", "incomplete", "notified", "failed", "timed_out", "vanished", "pending"];
  const counts = names.filter((name) => drain[name])
    .map((name) => `${drain[name].toLocaleString()} ${name.replace("_", " ")}`);
  const agents = drain.total === 1 ? "1 agent" : `${drain.total.toLocaleString()} agents`;
  $("drain-counts").textContent = [`${drain.intent}, ${agents}`, ...counts].join(" · ");
}

/** Shows what the connection does. */
function tell(now) {
  clearInterval(countdown);
  $("connection").dataset.state = now.state === "live" || now.state === "connecting" ? now.state : "away";
  document.body.dataset.stale = String(now.state !== "live");
  $("now").hidden = now.state === "live" || now.state === "connecting";
  const why = now.why ? ` (${now.why})` : "";
  if (now.state !== "waiting") {
    const words = { live: "live", connecting: "connecting…", gave_up: "gave up after 10 attempts",
      stopped: "not wanted back" };
    $("connection").textContent = words[now.state] + why;
    return;
  }
  const say = () => {
    const left = Math.max(0, Math.ceil((now.until - Date.now()) / 1000));
    $("connection").textContent = `back in ${left} s, attempt ${now.attempt + 1} of ${ATTEMPTS}${why}`;
  };
  say();
  countdown = setInterval(say, 1000);
}

/** The server shows its fleet to operators only: it has closed nothing, but will not wait long. */
function login() {
  const mine = socket;
  socket = null;
  reconnector.stop();
  mine.close(1000);
  forget();
  $("login-why").textContent = token
    ? "That token is no operator's here: check it, or take another."
    : "This server shows its fleet to operators only.";
  $("login").hidden = false;
  $("now").hidden = true;
  $("connection").textContent = "waiting for a token";
  $("connection").dataset.state = "away";
  $("token").focus();
}

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  $("token").value = "";
  sessionStorage.setItem("dscore-token", token);
  reconnector.begin();
});

// The address was opened in a tab that shows the page already.
addEventListener("hashchange", () => {
  const given = tokenOfAddress();
  if (given === null) return;
  token = given;
  const mine = socket;
  socket = null;
  mine?.close(1000);
  reconnector.begin();
});

$("now").addEventListener("click", () => reconnector.begin());

reconnector.begin();
