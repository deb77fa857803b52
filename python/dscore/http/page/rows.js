"use strict";

// The rows of the table. Each agent keeps its row for as long as it is shown, and a cell is written only when its text
// is another one: a press is not lost because something changed under it, and text that is selected stays selected.
// While the pointer or the focus is in the table nothing moves either; what would move waits, and is counted.

const drawn = new Map();
// The ids of the rows as they stand while they are held, with their rank then; null: they are not held.
let held = null;

/** Draws these agents in this order, or in the one that is held. */
function drawRows(agentsShown) {
  const order = held ? [...held.keys()].filter((id) => agents.has(id)) : agentsShown.map(({ id }) => id);
  if (held) {
    const moved = order.filter((id) => rankOf(agents.get(id)) !== held.get(id)).length;
    const waiting = moved + agentsShown.filter(({ id }) => !held.has(id)).length;
    $("held").textContent = waiting === 0 ? "" : waiting === 1 ? "1 change waits" : `${waiting.toLocaleString()} changes wait`;
  }
  const body = $("agents");
  const gone = new Set(drawn.keys());
  for (const [at, id] of order.entries()) {
    gone.delete(id);
    const row = drawn.get(id) ?? make(id);
    write(row, agents.get(id));
    if (body.children[at] !== row.element) body.insertBefore(row.element, body.children[at] ?? null);
  }
  for (const id of gone) {
    drawn.get(id).element.remove();
    drawn.delete(id);
  }
}

function make(id) {
  const made = document.createElement("tr");
  made.dataset.id = id;
  const name = element("th", "", { scope: "row" });
  name.append(element("button", id, { title: "Why is it so?" }));
  const row = {
    element: made,
    status: element("td"),
    reason: element("td"),
    heard: element("td"),
    address: element("td", "", { class: "wide" }),
    roundTrip: element("td", "", { class: "wide" }),
  };
  made.append(name, row.status, row.reason, row.heard, row.address, row.roundTrip);
  drawn.set(id, row);
  return row;
}

function write(row, agent) {
  const word = wordOf(agent);
  put(row.status, word);
  row.status.dataset.status = word;
  put(row.reason, agent.reason);
  put(row.heard, ago(agent.heartbeat));
  row.heard.title = agent.heartbeat ?? "";
  put(row.address, agent.address ?? "");
  put(row.roundTrip, agent.roundTrip == null ? "" : `${agent.roundTrip.toFixed(1)} ms`);
}

/** Written over, a text loses its selection: only where it is another one. */
function put(cell, text) {
  if (cell.textContent !== text) cell.textContent = text;
}

/** One word: the status, or the state that says more. */
function wordOf(agent) {
  if (agent.status === "offline") return agent.isStopped ? "stopped" : "offline";
  return agent.state === "" || agent.state === "connected" ? "online" : agent.state;
}

function hold() {
  const ids = [...$("agents").rows].map((row) => row.dataset.id).filter((id) => agents.has(id));
  held ??= new Map(ids.map((id) => [id, rankOf(agents.get(id))]));
}

function release() {
  held = null;
  $("held").textContent = "";
}

function releaseUnlessUsed() {
  const isUsed = $("agents").matches(":hover") || $("agents").contains(document.activeElement);
  if (isUsed) return;
  release();
  renderSoon();
}

// Pixels: a pointer that moves further selects text.
const DRAG = 4;

let pressed = { id: null, x: 0, y: 0 };

/** The id of the row that an event is in. */
const idAt = (event) => event.target.closest("th button")?.textContent ?? null;

$("agents").addEventListener("pointerenter", hold);
$("agents").addEventListener("focusin", hold);
$("agents").addEventListener("pointerleave", releaseUnlessUsed);
$("agents").addEventListener("focusout", () => setTimeout(releaseUnlessUsed));
$("agents").addEventListener("pointerdown", (event) => {
  pressed = { id: idAt(event), x: event.clientX, y: event.clientY };
});
$("agents").addEventListener("click", (event) => {
  // The row that was pressed, whatever is under the pointer now; of a key that pressed there is only this event.
  const isKey = event.detail === 0;
  const isDrag = !isKey && Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) > DRAG;
  const id = isKey ? idAt(event) : pressed.id;
  if (id !== null && !isDrag) showStory(id);
});
