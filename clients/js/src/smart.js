/** The machine with a timer: asks for the server's health before each attempt, waits between them, gives up after ten. */

import { Reconnector } from "./reconnect.js";

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

/** Milliseconds; `setTimeout` takes a longer time for none at all. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** The reasons of `scheduleReconnect` that are not "anything else". */
const CODES = /** @type {Record<string, number>} */ ({ server_shutting_down: 1013, server_going_away: 1001 });

export class SmartReconnector extends Reconnector {
  #options;
  /** @type {Set<ReturnType<typeof setTimeout>>} */
  #timers = new Set();
  // What an earlier attempt still hears of is dropped.
  #run = new AbortController();
  #triedAt = 0;
  #dueAt = 0;

  /** @param {SmartOptions & Policy} options with the numbers of a page, unless they say otherwise */
  constructor(options) {
    super({ ...options, cap: options.cap ?? 30_000, isPage: options.isPage ?? true }, options.random);
    this.#options = options;
  }

  /** Attempts made since the last connection that held. */
  get retryCount() {
    return this.attempts;
  }

  /** Aborts at the end of what runs now: an attempt with the connection that comes of it, or a wait. */
  get signal() {
    return this.#run.signal;
  }

  /**
   * Calls back later, unless what runs now has ended by then.
   *
   * @param {() => unknown} run
   * @param {number} wait
   */
  later(run, wait) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      run();
    }, Math.min(wait, LONGEST_TIMER));
    this.#timers.add(timer);
  }

  /**
   * Comes back by the row of a reason: `"server_shutting_down"`, `"server_going_away"`, or anything else.
   *
   * @param {string} [reason]
   */
  scheduleReconnect(reason = "unknown") {
    if (!this.isBusy) this.#enter();
    this.closed(CODES[reason] ?? 1006, reason);
  }

  /** Tries now; with all attempts ahead where none was under way. Ends the wait or the attempt before. */
  async attemptReconnect() {
    const signal = this.#enter();
    this.#say("connecting", 0, "");
    const refusal = !signal.aborted && (await this.#try(signal));
    if (refusal && !signal.aborted) this.refused(refusal.row, refusal.retryAfter, refusal.why);
  }

  /**
   * The connection is open.
   *
   * @param {number} [now]
   */
  opened(now = performance.now()) {
    super.opened(now);
  }

  /**
   * The connection has ended, or the attempt. Where neither was under way it is old news: null.
   *
   * @param {number} code
   * @param {string} [reason]
   * @param {number} [now]
   */
  closed(code, reason = "", now = performance.now()) {
    if (!this.isBusy) return null;
    if (this.phase === "attempting") super.opened(now);
    return this.#arm(super.closed(code, reason, now), reason);
  }

  /**
   * The attempt made no connection.
   *
   * @param {Row} [row]
   * @param {unknown} [retryAfter] milliseconds of a `Retry-After`
   * @param {string} [why]
   */
  refused(row, retryAfter, why = "") {
    return this.#arm(super.refused(row, retryAfter), why);
  }

  /** The credentials that the server refused have been replaced. */
  renewed() {
    return this.#arm(super.renewed(), "credentials renewed");
  }

  /**
   * A network or a reader is there again: shortens the wait, but never one of a server that shuts down. Spread over a
   * second: a network comes back for many at once.
   */
  wake() {
    if (this.phase !== "waiting" || this.row !== "other" || this.isHinted) return;
    const { jitter = true, random = Math.random } = this.#options;
    const now = performance.now();
    const pause = Math.max(this.#triedAt + LEAST_PAUSE, now) + (jitter ? LEAST_PAUSE * random() : 0);
    // The timer of the longer wait goes, and what was to come within it.
    this.#end();
    this.#wait(Math.min(this.#dueAt, pause) - now);
  }

  /** Ends the wait or the attempt; `attemptReconnect` begins anew. */
  stop() {
    this.#end();
    super.stop();
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<Exclude<Verdict, string | boolean> | undefined>} why nothing came of it
   */
  async #try(signal) {
    try {
      const verdict = /** @type {any} */ (await this.#options.health(signal));
      if (verdict?.row) return verdict;
      if (verdict !== "ok" && verdict !== true) return { row: verdict === "shutting_down" ? verdict : "other", why: "server_not_ready" };
      const made = signal.aborted || this.#options.connect(signal);
      if (!(made instanceof Promise)) return undefined;
      await made;
      if (!signal.aborted) this.opened();
    } catch {
      return { row: "other", why: "connection_failed" };
    }
  }

  /** What runs now has ended, and something else begins. */
  #end() {
    this.#run.abort();
    this.#run = new AbortController();
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  /** To ATTEMPTING, from wherever it is. */
  #enter() {
    this.#end();
    this.#triedAt = performance.now();
    if (this.phase === "waiting") {
      this.due();
    } else {
      super.stop();
      this.begin();
    }
    return this.signal;
  }

  /**
   * @template {number | null} Wait
   * @param {Wait} wait
   * @param {string} why
   */
  #arm(wait, why) {
    this.#end();
    const isOver = this.attempt >= (this.#options.attempts ?? 10);
    if (wait === null || isOver) {
      super.stop();
      this.#say(wait === null ? "stopped" : "gaveup", 0, why);
    } else {
      this.#wait(wait);
      this.#say("waiting", wait, why);
    }
    return wait;
  }

  /** @param {number} wait */
  #wait(wait) {
    this.#dueAt = performance.now() + wait;
    this.later(() => this.attemptReconnect(), wait);
  }

  /**
   * @param {Notice["state"]} state
   * @param {number} wait
   * @param {string} why
   */
  #say(state, wait, why) {
    this.#options.tell?.({ state, wait, why, attempt: this.attempt });
  }
}
