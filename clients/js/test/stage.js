/** What a test stands on, in Node and in a browser alike: makes clients, and keeps what happens to them, with its time. */

import * as dscore from "../src/index.js";
import { keepConnected, socketio } from "../src/socketio.js";

const AGENT = ["state", "message", "shutdown", "refused", "gaveup", "stopped"];
const WATCHER = ["state", "message", "change", "reconnected", "drain", "maintenance", "shutdown", "forbidden", "gaveup", "stopped"];

/**
 * @param {{ webSocket?: any, io: any }} platform
 */
export function makeStage({ webSocket, io }) {
  const log = [];

  function record(name, one, types) {
    for (const type of types) {
      one.addEventListener(type, ({ detail }) => log.push({ name, type, detail: structuredClone(detail), at: performance.now() }));
    }
    stage[name] = one;
    return one;
  }

  const stage = {
    ...dscore,
    keepConnected,
    socketio,
    io,
    webSocket,
    log,
    agent(url, instanceId, options = {}) {
      const one = record(instanceId, new dscore.Agent(url, { webSocket, instanceId, ...options }), AGENT);
      one.start();
      return one;
    },
    watch(url, options = {}, name = "watcher") {
      return record(name, new dscore.Watcher(url, { webSocket, ...options }), WATCHER);
    },
    over: (transports) => ({ dialect: socketio(io, transports ? { transports } : {}) }),
    /** What happened since it was last asked. */
    take: () => log.splice(0),
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  };
  return stage;
}
