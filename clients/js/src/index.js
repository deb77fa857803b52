/** dscore in JavaScript: agents, watchers of a fleet, and when to come back. */

export { Agent } from "./agent.js";
export { health } from "./health.js";
export { Reconnector, rowOf } from "./reconnect.js";
export { SmartReconnector } from "./smart.js";
export { Watcher } from "./watcher.js";

/** @typedef {import("./agent.js").AgentEvents} AgentEvents */
/** @typedef {import("./agent.js").AgentOptions} AgentOptions */
/** @typedef {import("./agent.js").Refusal} Refusal */
/** @typedef {import("./link.js").LinkOptions} LinkOptions */
/** @typedef {import("./link.js").Message} Message */
/** @typedef {import("./link.js").Status} Status */
/** @typedef {import("./smart.js").Notice} Notice */
/** @typedef {import("./smart.js").SmartOptions} SmartOptions */
/** @typedef {import("./termination.js").TerminateAnswer} TerminateAnswer */
/** @typedef {import("./termination.js").TerminateRequest} TerminateRequest */
/** @typedef {import("./watcher.js").WatchedAgent} WatchedAgent */
/** @typedef {import("./watcher.js").WatcherEvents} WatcherEvents */
/** @typedef {import("./watcher.js").WatcherOptions} WatcherOptions */
