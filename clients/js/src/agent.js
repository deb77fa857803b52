/** The agent: it keeps a connection to the server for as long as the application lives. */

import { emit, emitState } from "./emitter.js";
import { isDuration } from "./json.js";
import { makeLink } from "./link.js";
import { makeSeen } from "./seen.js";
import { makeTermination } from "./termination.js";

/** @import { TypedTarget } from "./emitter.js" */
/** @import { LinkOptions, Message, Status } from "./link.js" */
/** @import { TerminateHook } from "./termination.js" */

/**
 * @typedef {object} AgentOptions
 * @property {string} instanceId one for each agent of the fleet
 * @property {object} [config] for the server's operators; its `labels` choose agents
 * @property {number} [heartbeat] milliseconds between heartbeats, until the server names another time
 * @property {number} [healthInterval] milliseconds between looks at the health page while connected
 * @property {number} [terminateTimeout] milliseconds for `onTerminate`
 * @property {number} [outboxLimit] messages that wait for the connection; past it the oldest is dropped
 * @property {TerminateHook} [onTerminate] stops the application, once, however often that is asked for. What it returns
 *     is the answer: nothing or true for success, or a `TerminateAnswer`; an exception is a failure
 */

/** @typedef {"server_not_ready" | "terminating" | "closed"} Refusal why `send` takes no new work */

/**
 * @typedef {object} AgentFields
 * @property {boolean} serverShuttingDown new work is refused
 * @property {Refusal | null} refusal why new work is refused; null: it is not
 * @property {boolean} sessionRestored the server still knew this agent when it came back
 * @property {number} queued messages that wait for the connection
 * @property {number} dropped messages lost because too many waited
 */

/**
 * @typedef {object} AgentEvents
 * @property {Status & AgentFields} state
 * @property {Message} message one that is not part of the protocol
 * @property {Message} shutdown the server is going away (`server_shutdown`)
 * @property {{ message: Message, reason: Refusal }} refused new work that `send` did not take
 * @property {{ why: string }} gaveup
 * @property {{ why: string }} stopped the server wants no more of it, or the application was stopped
 */

const HEARTBEAT = 30_000;
const SHORTEST_HEARTBEAT = 50;
const LONGEST_HEARTBEAT = 3_600_000;
const HEALTH_INTERVAL = 30_000;
const SHORTEST_HEALTH = 1_000;
const OUTBOX_LIMIT = 100;
/** Without an ack after so long a heartbeat asks: servers may be set to send no app_ready_ack. */
const ACK_TIMEOUT = 5_000;
/** Messages that wait for a reader of `messages()`; past it the oldest is dropped. */
const INBOX_LIMIT = 1_000;
/** Bytes; a server refuses longer ones unless `socket.max_message_size` says otherwise. */
const MESSAGE_LIMIT = 1_000_000;
/** Bytes that may wait in the socket; past it messages wait in the outbox. */
const HIGH_WATER = 256 * 1024;
const FLUSH_PAUSE = 100;

/** Types that are part of the protocol: never refused, whatever the server is doing. */
const CONTROL = ["app_ready", "app_terminated", "client_status_request", "connection_check_response", "heartbeat",
  "reconnection_success", "termination_progress"];

export class Agent extends /** @type {{ new (): TypedTarget<AgentEvents> }} */ (EventTarget) {
  /** @type {string} */
  instanceId;
  #options;
  #link;
  /** @type {string[]} */
  #outbox = [];
  #termination;
  #isRepeated = makeSeen();
  #interval = HEARTBEAT;
  #wasKnown = false;
  #isPressed = false;
  #fields = { serverShuttingDown: false, sessionRestored: false, dropped: 0 };

  /**
   * @param {string | URL} url of the server, with or without the path of its agents
   * @param {AgentOptions & LinkOptions} options
   */
  constructor(url, options) {
    super();
    const { instanceId, heartbeat, healthInterval, attempts = Infinity, cap = 60_000 } = options;
    this.#options = options;
    this.instanceId = instanceId;
    if (!instanceId) throw new TypeError("an agent needs an instanceId");
    this.#setInterval(heartbeat);
    this.#link = makeLink(url, { ...options, attempts, cap }, {
      instanceId,
      healthInterval: Math.max(SHORTEST_HEALTH, healthInterval || HEALTH_INTERVAL),
      introduce: () => this.#introduce(),
      heard: (message) => this.#hear(message),
      probe: () => this.#beat(),
      looked: ({ health }) => health === "unreachable" || this.#setServerLeaving(health === "shutting_down"),
      left: () => (this.#fields.serverShuttingDown = true),
      changed: (status) => this.#changed(status),
    });
    this.#termination = makeTermination(this.#link, options, () => this.#tell(), () => this.#flush(false));
  }

  /** All that can be known of it now. */
  get status() {
    const { status, isOver } = this.#link;
    // An application that is being stopped stays that, whatever its connection does.
    const state = this.#termination.isBegun && !isOver() ? "terminating" : status.state;
    return { ...status, ...this.#fields, refusal: this.#refusal(), queued: this.#outbox.length, state };
  }

  /** Begins to connect; again after `gaveup`, `stopped` or `close`, but not once the application was asked to stop. */
  start() {
    if (!this.#termination.isBegun) this.#link.begin();
  }

  /**
   * Sends a message of the application. While the agent is away it waits; when too many wait, the oldest is dropped.
   *
   * @param {Message} message
   * @returns {boolean} whether it was taken. New work is refused while the server is not ready and while the
   *     application is being stopped, with an event `refused` and the reason in `status.refusal`; messages that are
   *     part of the protocol are not
   */
  send(message) {
    if (typeof message?.type !== "string") throw new TypeError("a message is an object with a string 'type'");
    const reason = this.#refusal();
    if (reason && (reason === "closed" || !CONTROL.includes(message.type))) {
      emit(this, "refused", { message, reason });
      return false;
    }
    const text = JSON.stringify(message);
    if (new TextEncoder().encode(text).length > MESSAGE_LIMIT) throw new RangeError(`a message has at most ${MESSAGE_LIMIT} bytes`);
    if (this.#outbox.push(text) > (this.#options.outboxLimit ?? OUTBOX_LIMIT)) {
      this.#outbox.shift();
      this.#fields.dropped += 1;
    }
    this.#flush();
    return true;
  }

  /** The messages that are not part of the protocol, from when they are first waited for until it is closed. */
  async *messages() {
    /** @type {Message[]} */
    const waiting = [];
    let wake = /** @type {(nothing?: any) => void} */ (() => {});
    const reading = new AbortController();
    this.addEventListener("message", ({ detail }) => {
      if (waiting.push(detail) > INBOX_LIMIT) waiting.shift();
      wake();
    }, reading);
    this.addEventListener("state", () => wake(), reading);
    try {
      for (;;) {
        const message = waiting.shift();
        if (message) yield message;
        else if (this.#link.isOver()) return;
        else await new Promise((resolve) => (wake = resolve));
      }
    } finally {
      reading.abort();
    }
  }

  /**
   * Ends the connection and everything else, without asking the application. Idempotent.
   *
   * @param {string} [reason] for the server, whose `why` tells it
   */
  close(reason = "agent stopped") {
    if (!this.#link.isOver()) this.#link.finish("closed", reason);
  }

  /** @returns {Refusal | null} */
  #refusal() {
    if (this.#link.isOver()) return "closed";
    if (this.#termination.isBegun) return "terminating";
    return this.#fields.serverShuttingDown ? "server_not_ready" : null;
  }

  #introduce() {
    this.#link.send({
      type: "app_ready",
      instance_id: this.instanceId,
      reconnection: this.#wasKnown,
      last_close_code: this.#link.status.lastCloseCode,
      config: this.#options.config ?? {},
      token: this.#link.token(),
    });
    this.#isPressed = false;
    this.#link.pulse.start(ACK_TIMEOUT);
  }

  /** @param {Message} message */
  #hear(message) {
    switch (message.type) {
      case "app_ready_ack":
      case "reconnection_ack":
        return this.#acknowledged(message);
      case "heartbeat_response":
        if (message.status === "ok") this.#acknowledged(message);
        else if (message.shouldReconnect === true) this.#link.lost("heartbeat failed");
        return;
      case "connection_check":
        this.#link.send({ type: "connection_check_response", client_name: this.instanceId });
        return;
      case "terminate_app":
        return this.#termination.ask(message);
      case "server_shutdown":
        this.#setServerLeaving(true);
        return emit(this, "shutdown", message);
    }
    if (!this.#isRepeated(message.message_id)) emit(this, "message", message);
  }

  /** @param {Message} message */
  #acknowledged({ session_restored, nextHeartbeatIn }) {
    this.#setInterval(nextHeartbeatIn);
    this.#link.pulse.start(this.#interval);
    if (this.#link.status.state === "ready") return;
    this.#wasKnown = true;
    this.#fields.sessionRestored = session_restored === true;
    this.#fields.serverShuttingDown = false;
    this.#link.acknowledged();
    this.#flush();
  }

  /** @param {unknown} ms what is no duration changes nothing */
  #setInterval(ms) {
    if (isDuration(ms)) this.#interval = Math.min(Math.max(ms, SHORTEST_HEARTBEAT), LONGEST_HEARTBEAT);
  }

  #beat() {
    this.#link.send({ type: "heartbeat", clientName: this.instanceId, timestamp: new Date().toISOString() });
  }

  #flush(isPatient = true) {
    while (this.#link.status.state === "ready" && this.#outbox.length) {
      if (isPatient && /** @type {number} */ (this.#link.buffered()) > HIGH_WATER) return this.#pause();
      this.#link.send(/** @type {string} */ (this.#outbox.shift()));
    }
  }

  /** The socket has to get rid of its bytes first. */
  #pause() {
    if (this.#isPressed) return;
    this.#isPressed = true;
    this.#link.later(() => {
      this.#isPressed = false;
      this.#flush();
    }, FLUSH_PAUSE);
  }

  /** @param {boolean} isLeaving */
  #setServerLeaving(isLeaving) {
    if (this.#fields.serverShuttingDown === isLeaving) return;
    this.#fields.serverShuttingDown = isLeaving;
    this.#tell();
  }

  #tell() {
    emit(this, "state", this.status);
  }

  /** @param {Status} status */
  #changed({ state, why }) {
    // An application that was stopped has nothing to come back for.
    if (["waiting", "gaveup"].includes(state) && this.#termination.isBegun) return this.#link.finish("stopped", why);
    emitState(this, this.status);
  }
}
