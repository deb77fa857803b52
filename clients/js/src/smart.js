/** The machine with a timer: asks for the server's health before each attempt, waits between them, gives up after ten. */

import { Reconnector, rowOf } from "./reconnect.js";

/** @import { Policy, Row } from "./reconnect.js" */

/**
 * What health makes of an attempt: `"ok"` or true lets it go on, anything else says why it does not.
 *
 * @typedef {string | boolean | { row: Row, why: string, retryAfter?: number | undefined }} Verdict
 */

/**
 * @typedef {object} Notice
 * @property {"connecting" | "waiting" | "gaveup" | "stopped"} state
 * @property {number} attempt the number of the attempt that runs or comes next, from 0; -1: the first connection of all
 * @property {number} wait milliseconds until it; 0 unless waiting
 * @property {string} why what the last one ended with
 */

/**
 * @typedef {object} SmartOptions
 * @property {(signal: AbortSignal) => unknown} connect opens the connection; a promise of it means: open when it
 *     resolves, no connection when it rejects. Otherwise `opened`, `closed` or `refused` say what came of it
 * @property {(signal: AbortSignal) => Verdict | Promise<Verdict>} health asked before each attempt: `health` of the
 *     package for a dscore server
 * @property {(notice: Notice) => void} [tell] hears of each change
 * @property {number} [attempts] how many in a row it makes before it gives up
 * @property {() => number} [random] gives numbers in [0, 1)
 */

/** However often it is woken, attempts lie as far apart, in milliseconds. */
const LEAST_PAUSE = 1_000;

/** The reasons of `scheduleReconnect` that are not "anything else". */
const CODES = /** @type {Record<string, number>} */ ({ server_shutting_down: 1013, server_going_away: 1001 });

export class SmartReconnector {
  #options;
  #policy;
  #machine;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  // What an earlier attempt still hears of is dropped.
  #run = new AbortController();
  #triedAt = 0;
  #dueAt = 0;

  /** @param {SmartOptions & Policy} options with the numbers of a page, unless they say otherwise */
  constructor(options) {
    this.#options = options;
    this.#policy = { ...options, cap: options.cap ?? 30_000, isPage: options.isPage ?? true };
    this.#machine = this.#fresh();
  }

  /** Attempts made since the last connection that held. */
  get retryCount() {
    return this.#machine.attempts;
  }

  /**
   * Comes back by the row of a reason: `"server_shutting_down"`, `"server_going_away"`, or anything else.
   *
   * @param {string} [reason]
   */
  scheduleReconnect(reason = "unknown") {
    const code = CODES[reason] ?? 1006;
    const { phase } = this.#machine;
    if (phase === "connected") return this.closed(code, reason);
    if (phase !== "attempting") this.#enter();
    this.refused(rowOf(code), reason);
  }

  /** Tries now; with all attempts ahead where none was under way. Ends the wait or the attempt before. */
  async attemptReconnect() {
    const { signal } = this.#enter();
    this.#say("connecting", 0, "");
    if (signal.aborted) return;
    const refusal = await this.#try(signal);
    if (refusal && !signal.aborted) this.refused(refusal.row, refusal.why, refusal.retryAfter);
  }

  /** The connection is open. */
  opened() {
    this.#machine.opened(performance.now());
  }

  /**
   * The server named the time to come back, in milliseconds from the close.
   *
   * @param {unknown} ms
   */
  hinted(ms) {
    this.#machine.hinted(ms);
  }

  /**
   * The connection has ended.
   *
   * @param {number} code
   * @param {string} [reason]
   */
  closed(code, reason = "") {
    this.#arm(this.#machine.closed(code, reason, performance.now()), reason);
  }

  /**
   * The attempt made no connection.
   *
   * @param {Row} row
   * @param {string} [why]
   * @param {unknown} [retryAfter]
   */
  refused(row, why = "", retryAfter) {
    this.#arm(this.#machine.refused(row, retryAfter), why);
  }

  /** The credentials that the server refused have been replaced. */
  renewed() {
    this.#arm(this.#machine.renewed(), "credentials renewed");
  }

  /**
   * A network or a reader is there again: shortens the wait, but never one of a server that shuts down. Spread over a
   * second: a network comes back for many at once.
   */
  wake() {
    const { phase, row, isHinted } = this.#machine;
    if (phase !== "waiting" || row !== "other" || isHinted) return;
    const { jitter = true, random = Math.random } = this.#policy;
    const now = performance.now();
    const pause = Math.max(this.#triedAt + LEAST_PAUSE, now) + (jitter ? LEAST_PAUSE * random() : 0);
    this.#restart(Math.max(0, Math.min(this.#dueAt, pause) - now));
  }

  /** Ends the wait or the attempt; `attemptReconnect` begins anew. */
  stop() {
    this.#drop();
    this.#machine.stop();
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<Exclude<Verdict, string | boolean> | undefined>} why nothing came of it
   */
  async #try(signal) {
    try {
      const verdict = await this.#options.health(signal);
      if (typeof verdict === "object") return verdict;
      if (verdict !== "ok" && verdict !== true) return { row: rowOf(verdict === "shutting_down" ? 1013 : 1006), why: "server_not_ready" };
      const made = signal.aborted || this.#options.connect(signal);
      if (!(made instanceof Promise)) return undefined;
      await made;
      if (!signal.aborted) this.opened();
    } catch {
      return { row: "other", why: "connection_failed" };
    }
  }

  #fresh() {
    return new Reconnector(this.#policy, this.#options.random);
  }

  #drop() {
    clearTimeout(this.#timer);
    this.#run.abort();
    this.#run = new AbortController();
    return this.#run;
  }

  /** To ATTEMPTING, from wherever it is. */
  #enter() {
    const run = this.#drop();
    this.#triedAt = performance.now();
    if (this.#machine.phase === "waiting") {
      this.#machine.due();
    } else {
      this.#machine = this.#fresh();
      this.#machine.begin();
    }
    return run;
  }

  /**
   * @param {number | null} wait
   * @param {string} why
   */
  #arm(wait, why) {
    this.#drop();
    const isOver = wait !== null && this.#machine.attempt >= (this.#options.attempts ?? 10);
    if (wait === null || isOver) {
      this.#machine.stop();
      return this.#say(isOver ? "gaveup" : "stopped", 0, why);
    }
    this.#restart(wait);
    this.#say("waiting", wait, why);
  }

  /** @param {number} wait */
  #restart(wait) {
    clearTimeout(this.#timer);
    this.#dueAt = performance.now() + wait;
    this.#timer = setTimeout(() => this.attemptReconnect(), wait);
  }

  /**
   * @param {Notice["state"]} state
   * @param {number} wait
   * @param {string} why
   */
  #say(state, wait, why) {
    this.#options.tell?.({ state, wait, why, attempt: this.#machine.attempt });
  }
}
