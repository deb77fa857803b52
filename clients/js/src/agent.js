/** The agent: it keeps a connection to the server for as long as the application lives. */

import { emit, typed } from "./emitter.js";
import { makeLink } from "./link.js";
import { makeSeen } from "./seen.js";
import { makeTermination } from "./termination.js";

/** @import { LinkOptions, Message, Status } from "./link.js" */
/** @import { Look } from "./health.js" */
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
 * @property {{ message: string, reconnectAfter: unknown }} shutdown the server is going away
 * @property {{ message: Message, reason: Refusal }} refused new work that `send` did not take
 * @property {{ why: string }} gaveup
 * @property {{ why: string }} stopped the server wants no more of it, or the application was stopped
 */

const HEARTBEAT = 30_000;
const HEALTH_INTERVAL = 30_000;
const SHORTEST_HEALTH = 1_000;
const TERMINATE_TIMEOUT = 10_000;
const OUTBOX_LIMIT = 100;
/** Without an ack after so long a heartbeat asks: servers may be set to send no app_ready_ack. */
const ACK_TIMEOUT = 5_000;
/** For the server to hang up on an answer. */
const CLOSE_TIMEOUT = 2_000;
const SHORTEST_HEARTBEAT = 50;
const LONGEST_HEARTBEAT = 3_600_000;
/** Messages that wait for a reader of `messages()`; past it the oldest is dropped. */
const INBOX_LIMIT = 1_000;
/** Characters; a server refuses longer ones unless `socket.max_message_size` says otherwise. */
const MESSAGE_LIMIT = 1_000_000;
/** Bytes that may wait in the socket; past it messages wait in the outbox. */
const HIGH_WATER = 256 * 1024;
const FLUSH_PAUSE = 100;

/** Types that are part of the protocol: never refused, whatever the server is doing. */
const CONTROL = new Set(["app_ready", "app_terminated", "client_status_request", "connection_check_response",
  "heartbeat", "reconnection_success", "termination_progress"]);

/** @type {ReturnType<typeof typed<AgentEvents>>} */
const Target = typed();

export class Agent extends Target {
  /** @type {string} */
  instanceId;
  #options;
  #link;
  /** @type {string[]} */
  #outbox = [];
  #dropped = 0;
  #termination;
  #isRepeated = makeSeen();
  #interval = HEARTBEAT;
  #wasKnown = false;
  #isRestored = false;
  #isAcknowledged = false;
  #isServerLeaving = false;
  #isTerminating = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #healthTimer;
  #looking = new AbortController();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #flushTimer;

  /**
   * @param {string | URL} url of the server, with or without the path of its agents
   * @param {AgentOptions & LinkOptions} options
   */
  constructor(url, options) {
    super();
    this.#options = options;
    this.instanceId = options.instanceId;
    if (!this.instanceId) throw new TypeError("an agent needs an instanceId");
    this.#setInterval(options.heartbeat);
    this.#link = makeLink(url, { ...options, attempts: options.attempts ?? Infinity, cap: options.cap ?? 60_000 }, {
      instanceId: this.instanceId,
      introduce: () => this.#introduce(),
      heard: (message) => this.#hear(message),
      probe: () => this.#beat(),
      looked: (found) => this.#looked(found),
      changed: (status) => this.#changed(status),
    });
    this.#termination = makeTermination(options.onTerminate, options.terminateTimeout ?? TERMINATE_TIMEOUT,
      (message) => this.#link.send(message));
  }

  /** All that can be known of it now. */
  get status() {
    const { status } = this.#link;
    // An application that is being stopped stays that, whatever its connection does.
    const state = this.#isTerminating && !this.#isOver() ? "terminating" : status.state;
    return { ...status, ...this.#fields(), state };
  }

  /** Begins to connect; again after `gaveup`, `stopped` or `close`. */
  start() {
    if (this.#isTerminating) return;
    this.#link.begin();
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
    if (reason && (reason === "closed" || !CONTROL.has(message.type))) {
      emit(this, "refused", { message, reason });
      return false;
    }
    const text = JSON.stringify(message);
    if (text.length > MESSAGE_LIMIT) throw new RangeError(`a message has at most ${MESSAGE_LIMIT} characters`);
    if (this.#outbox.push(text) > (this.#options.outboxLimit ?? OUTBOX_LIMIT)) {
      this.#outbox.shift();
      this.#dropped += 1;
    }
    this.#flush();
    return true;
  }

  /** The messages that are not part of the protocol, from now on and until it is closed. */
  async *messages() {
    /** @type {Message[]} */
    const waiting = [];
    let wake = () => {};
    const reading = new AbortController();
    const options = { signal: reading.signal };
    this.addEventListener("message", ({ detail }) => {
      if (waiting.push(detail) > INBOX_LIMIT) waiting.shift();
      wake();
    }, options);
    this.addEventListener("state", () => wake(), options);
    try {
      for (;;) {
        const message = waiting.shift();
        if (message) yield message;
        else if (this.#isOver()) return;
        else await new Promise((resolve) => (wake = () => resolve(undefined)));
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
    if (this.#isOver()) return;
    this.#link.finish("closed", reason);
  }

  #isOver() {
    return this.#link.status.state === "closed" || this.#link.status.state === "stopped";
  }

  /** @returns {Refusal | null} */
  #refusal() {
    if (this.#isOver()) return "closed";
    if (this.#isTerminating) return "terminating";
    return this.#isServerLeaving ? "server_not_ready" : null;
  }

  /** @returns {AgentFields} */
  #fields() {
    return {
      serverShuttingDown: this.#isServerLeaving,
      refusal: this.#refusal(),
      sessionRestored: this.#isRestored,
      queued: this.#outbox.length,
      dropped: this.#dropped,
    };
  }

  #introduce() {
    this.#link.send({
      type: "app_ready",
      instance_id: this.instanceId,
      reconnection: this.#wasKnown,
      last_close_code: this.#link.status.lastCloseCode,
      config: this.#options.config ?? {},
      ...this.#link.credentials(),
    });
    this.#link.pulse.start(ACK_TIMEOUT, ACK_TIMEOUT, true);
    // A fleet that connected together must not ask together.
    this.#watchHealth(this.#healthInterval * (this.#options.random ?? Math.random)());
  }

  /** @param {Message} message */
  #hear(message) {
    switch (message.type) {
      case "app_ready_ack":
      case "reconnection_ack":
        return this.#acknowledged(message);
      case "heartbeat_response":
        if (message.status === "ok") return this.#acknowledged(message);
        if (message.shouldReconnect === true) this.#link.lost("heartbeat failed");
        return;
      case "connection_check":
        this.#link.send({ type: "connection_check_response", client_name: this.instanceId });
        return;
      case "terminate_app":
        if (this.#termination.note(message.request_id)) this.#terminate(String(message.reason ?? ""));
        return;
      case "server_shutdown":
        this.#setServerLeaving(true);
        emit(this, "shutdown", { message: message.message, reconnectAfter: message.reconnectAfter });
        return;
    }
    if (!this.#isRepeated(message.message_id)) emit(this, "message", message);
  }

  /** @param {Message} message */
  #acknowledged({ session_restored, nextHeartbeatIn }) {
    this.#setInterval(nextHeartbeatIn);
    this.#link.pulse.start(this.#interval, this.#interval, true);
    if (this.#isAcknowledged) return;
    this.#isAcknowledged = this.#wasKnown = true;
    this.#isRestored = session_restored === true;
    this.#isServerLeaving = false;
    this.#link.acknowledged();
    this.#flush();
  }

  /** @param {any} ms what is no duration changes nothing */
  #setInterval(ms) {
    if (ms >= 0) this.#interval = Math.min(Math.max(ms, SHORTEST_HEARTBEAT), LONGEST_HEARTBEAT);
  }

  get #healthInterval() {
    return Math.max(SHORTEST_HEALTH, this.#options.healthInterval || HEALTH_INTERVAL);
  }

  #beat() {
    this.#link.send({ type: "heartbeat", clientName: this.instanceId, timestamp: new Date().toISOString() });
  }

  #flush(isPatient = true) {
    clearTimeout(this.#flushTimer);
    while (this.#isAcknowledged && this.#outbox.length) {
      if (isPatient && this.#link.buffered() > HIGH_WATER) {
        this.#flushTimer = setTimeout(() => this.#flush(), FLUSH_PAUSE);
        return;
      }
      this.#link.send(this.#outbox.shift() ?? "");
    }
  }

  /** @param {string} reason */
  async #terminate(reason) {
    if (this.#isTerminating) return;
    this.#isTerminating = true;
    emit(this, "state", this.status);
    const isStopped = await this.#termination.run(reason);
    // What was accepted before goes out before: the server hangs up on the answer.
    this.#flush(false);
    const isTold = this.#termination.answerAll();
    if (this.#isOver()) return;
    const end = () => this.#link.finish("stopped", isStopped ? "terminated" : "the application did not stop");
    if (isTold && isStopped) this.#flushTimer = setTimeout(end, CLOSE_TIMEOUT);
    else end();
  }

  /** @param {number} wait */
  #watchHealth(wait) {
    const { signal } = (this.#looking = new AbortController());
    const interval = this.#healthInterval;
    this.#healthTimer = setTimeout(async () => {
      await this.#link.look(signal);
      if (!signal.aborted) this.#watchHealth(interval);
    }, wait);
  }

  /** @param {Look} found */
  #looked({ health }) {
    if (health !== "unreachable") this.#setServerLeaving(health === "shutting_down");
  }

  /** @param {boolean} isLeaving */
  #setServerLeaving(isLeaving) {
    if (this.#isServerLeaving === isLeaving) return;
    this.#isServerLeaving = isLeaving;
    emit(this, "state", this.status);
  }

  /** @param {Status} status */
  #changed({ state, why, lastCloseCode }) {
    if (state !== "introducing" && state !== "ready") this.#rest();
    if (state === "waiting" && (lastCloseCode === 1001 || lastCloseCode === 1013)) this.#isServerLeaving = true;
    // An application that was stopped has nothing to come back for.
    if (this.#isTerminating && state === "waiting") return this.#link.finish("stopped", why);
    emit(this, "state", this.status);
    if (state === "gaveup" || state === "stopped") emit(this, state, { why });
  }

  /** There is no connection: what runs for one ends. */
  #rest() {
    clearTimeout(this.#healthTimer);
    clearTimeout(this.#flushTimer);
    this.#looking.abort();
    this.#isAcknowledged = false;
    if (this.#isOver()) this.#termination.cancel();
  }
}
