"use strict";

// A drain as it goes: one segment for each outcome, and who is left.

// In the order of the bar; what is pending stays empty.
const OUTCOMES = ["acked", "incomplete", "notified", "failed", "timed_out", "vanished"];

/** Shows what `drain_progress` says. */
function progress(drain) {
  $("drain").hidden = false;
  // An agent whose streams were cut short has acked all the same: it is counted in both.
  const shown = { ...drain, acked: drain.acked - (drain.incomplete ?? 0) };
  $("drain-bar").replaceChildren(...[...OUTCOMES, "pending"].filter((name) => shown[name] > 0).map((name) => {
    const segment = element("span", "", { "data-outcome": name, title: `${shown[name].toLocaleString()} ${words(name)}` });
    segment.style.flexGrow = String(shown[name]);
    return segment;
  }));
  $("drain-bar").setAttribute("aria-valuemax", String(Math.max(1, drain.total)));
  $("drain-bar").setAttribute("aria-valuenow", String(drain.total ? drain.total - drain.pending : 1));
  const counts = [...OUTCOMES, "pending"].filter((name) => drain[name])
    .map((name) => `${drain[name].toLocaleString()} ${words(name)}`);
  const agents = drain.total === 1 ? "1 agent" : `${drain.total.toLocaleString()} agents`;
  $("drain-counts").textContent = [`${drain.intent}, ${agents}`, ...counts].join(" · ");
  // One that has stopped is offline at once: those that are not are left.
  $("drain-left").hidden = !drain.pending && !drain.timed_out && !drain.failed;
  $("drain-left").textContent = "Show who is left";
}

function words(name) {
  return name.replace("_", " ");
}

$("drain-left").addEventListener("click", () => show("online"));
