/** dscore in JavaScript: agents, watchers of a fleet, and when to come back. */

export { Agent } from "./agent.js";
export { health } from "./health.js";
export { Reconnector, rowOf } from "./reconnect.js";
export { SmartReconnector } from "./smart.js";
export { Watcher } from "./watcher.js";
