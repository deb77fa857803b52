// What an agent can be, as the page shows it: the server's seven states are five conditions, each with a colour and a
// shape of its own.

/** @type {Record<string, string[]>} The states of each condition, as the operator API has them. */
export const CONDITIONS = {
  connected: ["connected", "terminating"],
  late: ["late"],
  reconnecting: ["reconnecting", "unknown"],
  offline: ["offline"],
  stopped: ["terminated"],
};
export const NAMES = Object.keys(CONDITIONS);
export const SHAPES = { connected: "●", late: "◆", reconnecting: "▲", offline: "✕", stopped: "■" };

const BY_STATE = Object.fromEntries(NAMES.flatMap((name) => CONDITIONS[name].map((state) => [state, name])));

/** @param {string} state */
export const conditionOf = (state) => BY_STATE[state] ?? "offline";

/**
 * How many there are in each condition.
 *
 * @param {Record<string, number>} states
 */
export function counted(states) {
  return Object.fromEntries(NAMES.map((name) => [name, CONDITIONS[name].reduce((sum, state) => sum + (states[state] ?? 0), 0)]));
}

/** What became of an agent that was asked to stop, in the order of a drain's bar. */
export const OUTCOMES = ["acked", "incomplete", "notified", "failed", "timed_out", "vanished", "pending"];
