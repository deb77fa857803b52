/** What the fleet page of the server stands on: `make page` bundles it. */

export { Reconnector, rowOf } from "./reconnect.js";
export { Watcher } from "./watcher.js";
