/** A page or an operator's tool: the agents of a fleet as they are now, and what changes. */

import { emit, emitState } from "./emitter.js";
import { words } from "./json.js";
import { makeLink } from "./link.js";

/** @import { TypedTarget } from "./emitter.js" */
/** @import { LinkOptions, Message, Status } from "./link.js" */

/**
 * @typedef {object} WatchedAgent
 * @property {string} id
 * @property {"online" | "offline"} status
 * @property {string} reason for people; "" when online
 * @property {string | null} reasonCode for machines
 * @property {string | null} lastHeartbeat
 */

/**
 * @typedef {object} WatcherOptions
 * @property {{ status?: "online" | "offline", q?: string }} [filter] the agents to be told of; none: all
 * @property {boolean} [snapshot] false: it is told what changes, and not how all of them are
 */

/**
 * @typedef {object} WatcherEvents
 * @property {Status} state
 * @property {Message} message one that is none of the others
 * @property {{ agent: WatchedAgent, isSnapshot: boolean }} change an agent is new here, or its status is another one
 * @property {{ id: string, timestamp: string }} reconnected
 * @property {Message} drain how far a drain is (`drain_progress`)
 * @property {{ enabled: boolean }} maintenance
 * @property {Message} shutdown the server is going away (`server_shutdown`)
 * @property {{ why: string }} forbidden the server shows its fleet to operators only: `retry(token)`
 * @property {{ why: string }} gaveup no attempt comes any more: `retry()`
 * @property {{ why: string }} stopped the server does not want it back
 */

/** Milliseconds of silence until it asks whether the server lives, and between such questions. */
const SILENCE = 10_000;
const AGAIN = 5_000;
/** A server tells of no agent that it has forgotten: where ids are made anew all the time, they would only grow. */
const MAX_AGENTS = 250_000;

export class Watcher extends /** @type {{ new (): TypedTarget<WatcherEvents> }} */ (EventTarget) {
  /**
   * The agents that fit the filter, by id; past 250,000 the first is dropped. While it is away: as they were.
   *
   * @type {Map<string, WatchedAgent>}
   */
  agents = new Map();
  #options;
  #link;
  #isGranted = false;
  #isMaintenance = false;

  /**
   * Begins to connect.
   *
   * @param {string | URL} url of the server, with or without the path of its agents
   * @param {WatcherOptions & LinkOptions} [options]
   */
  constructor(url, options = {}) {
    super();
    this.#options = { ...options };
    this.#link = makeLink(url, this.#options, {
      introduce: () => this.#introduce(),
      heard: (message) => this.#hear(message),
      probe: () => this.#probe(),
      looked: ({ health, isMaintenance }) => health === "unreachable" || this.#setMaintenance(!!isMaintenance),
      changed: (status) => emitState(this, status),
    });
    // Listeners come first.
    queueMicrotask(() => this.#link.status.state === "idle" && this.#link.begin());
  }

  /** Where it is between being away and being connected. */
  get status() {
    return { ...this.#link.status };
  }

  /**
   * Tries now, with all attempts ahead: during a wait, after `gaveup`, `stopped`, `forbidden` or `close`.
   *
   * @param {LinkOptions["token"]} [token] another one
   */
  retry(token) {
    if (token !== undefined) {
      this.#options.token = token;
      // What runs has shown the former one, or read it.
      this.close();
    }
    this.#link.begin(true);
  }

  /** Ends the connection and everything else; only `retry` goes on. Idempotent. */
  close() {
    if (this.#link.status.state !== "closed") this.#link.finish("closed", "");
  }

  #introduce() {
    this.#isGranted = false;
    const { filter, snapshot = true } = this.#options;
    this.#link.send({ type: "watch", snapshot, filter, token: this.#link.token() });
    // An empty fleet has nothing to tell. What is answered behind the watch says that it was granted.
    this.#probe();
    this.#link.pulse.start(AGAIN, SILENCE);
  }

  #probe() {
    this.#link.send({ type: "client_status_request", clientName: "-" });
  }

  /** @param {Message} message */
  #hear(message) {
    switch (message.type) {
      case "client_status_changed":
        return this.#granted() && this.#note(message);
      case "client_reconnected":
        return this.#granted() && emit(this, "reconnected", { id: message.clientName, timestamp: message.timestamp });
      case "server_status_response":
        return this.#granted();
      case "server_shutdown":
        return emit(this, "shutdown", message);
      case "drain_progress":
        return emit(this, "drain", message);
      case "maintenance_changed":
        return this.#setMaintenance(message.enabled === true);
      case "error":
        if (message.code === "forbidden") return this.#link.finish("forbidden", words(message.message));
    }
    emit(this, "message", message);
  }

  /** The first thing that a watcher is told: the old picture goes as the new one begins. False: a listener closed it. */
  #granted() {
    if (!this.#isGranted) {
      this.#isGranted = true;
      this.agents.clear();
      this.#link.acknowledged();
    }
    return this.#link.status.state === "ready";
  }

  /** @param {Message} message */
  #note({ id, status, reason, reason_code, lastHeartbeat, snapshot }) {
    const known = this.agents.get(id);
    const agent = { id, status, reason: words(reason), reasonCode: reason_code ?? null, lastHeartbeat: lastHeartbeat ?? known?.lastHeartbeat ?? null };
    this.agents.set(id, agent);
    if (this.agents.size > MAX_AGENTS) this.agents.delete(/** @type {string} */ (this.agents.keys().next().value));
    if (known?.status !== status) emit(this, "change", { agent, isSnapshot: snapshot === true });
  }

  /** @param {boolean} enabled */
  #setMaintenance(enabled) {
    if (this.#isMaintenance === enabled) return;
    this.#isMaintenance = enabled;
    emit(this, "maintenance", { enabled });
  }
}
