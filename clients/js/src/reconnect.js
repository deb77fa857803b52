/**
 * When to come back: the waits of the wire contract's section 7. No clock, no timer, no socket.
 *
 *     IDLE        begin       ATTEMPTING  at once
 *     STOPPED     begin       ATTEMPTING  at once, with all attempts ahead
 *     WAITING     due         ATTEMPTING
 *     WAITING     renewed     WAITING     the credentials differ from those that were refused
 *     ATTEMPTING  refused     WAITING     no connection came of it; n grows by one
 *     ATTEMPTING  opened      CONNECTED   the socket is open
 *     CONNECTED   hinted      CONNECTED   the server said when to come back
 *     CONNECTED   closed      WAITING     n is 0 if the connection lived long enough, else one more
 *     CONNECTED   closed      STOPPED     with a code that means: stay away
 *     any         stop        STOPPED
 *
 * Everything else is an error in the caller. n numbers the attempts from 0; the first connection of all is not one of
 * them: nothing was lost yet. All times are milliseconds.
 */

import { isDuration } from "./json.js";

/** @typedef {"going_away" | "shutting_down" | "taken_over" | "unauthenticated" | "final" | "other"} Row */
/** @typedef {"idle" | "waiting" | "attempting" | "connected" | "stopped"} Phase */

/**
 * The numbers of the table, in milliseconds.
 *
 * @typedef {object} Policy
 * @property {number} [restartDelay] the least wait after 1001
 * @property {number} [shutdownDelay] the least wait after 1013, or when health says `shutting_down`
 * @property {number} [shutdownStep] what each further attempt adds to that
 * @property {number} [base] the first wait after anything else; it doubles with each attempt
 * @property {number} [cap] no wait of the table is longer, but for the least ones and those of the identity
 * @property {number} [identityDelay] an agent's first wait after a takeover or a refused token; it doubles too
 * @property {number} [identityCap] the longest of these
 * @property {boolean} [exponential] false keeps every wait at the first of its row
 * @property {boolean} [jitter] spread the waits evenly over what lies above the least one
 * @property {number} [stableAfter] only a connection that lived this long sets the count of attempts back
 * @property {boolean} [isPage] a page does not come back by itself from a takeover or a refused token; an agent does
 */

/** A longer hint is taken for this: no server sends a client away for good. */
const HINT_LIMIT = 3_600_000;

/** @type {Required<Policy>} */
const NUMBERS = {
  restartDelay: 5_000,
  shutdownDelay: 10_000,
  shutdownStep: 5_000,
  base: 1_000,
  cap: 60_000,
  identityDelay: 300_000,
  identityCap: 3_600_000,
  exponential: true,
  jitter: true,
  stableAfter: 10_000,
  isPage: false,
};

/**
 * The row for a connection that was closed like this.
 *
 * @param {number} code
 * @param {string} [reason]
 * @param {boolean} [isPage]
 * @returns {Row}
 */
export function rowOf(code, reason, isPage) {
  if (code === 1000 && reason === "Client terminated") return "final";
  if (code === 4409) return isPage ? "final" : "taken_over";
  if (code === 1008 && reason === "authentication failed") return isPage ? "final" : "unauthenticated";
  if (code === 1001) return "going_away";
  return code === 1013 ? "shutting_down" : "other";
}

/** The machine of one client. `now` is any clock that only goes forward. */
export class Reconnector {
  /** @type {Phase} */
  phase = "idle";
  /** The number of the attempt that runs or comes next. */
  attempt = -1;
  /**
   * What the last wait is for.
   *
   * @type {Row}
   */
  row = "other";
  /** Whether the last wait is what the server asked for. */
  isHinted = false;
  #numbers = NUMBERS;
  #random;
  #openedAt = 0;
  /** @type {number | null} */
  #hint = null;

  /**
   * @param {Policy} [policy]
   * @param {() => number} [random] gives numbers in [0, 1)
   * @throws {RangeError} a number is none: its waits would be none either
   */
  constructor(policy = {}, random = () => Math.random()) {
    for (const [name, value] of Object.entries(policy)) {
      if (value === undefined || !(name in NUMBERS)) continue;
      if (!(Number(value) >= 0)) throw new RangeError(`${name} must be at least 0`);
      this.#numbers = { ...this.#numbers, [name]: value };
    }
    this.#random = random;
  }

  /** Attempts made since the last connection that held. */
  get attempts() {
    return this.isBusy ? this.attempt + 1 : Math.max(this.attempt, 0);
  }

  /** Whether it has a connection, or makes one. */
  get isBusy() {
    return this.phase === "attempting" || this.phase === "connected";
  }

  /** The first connection is tried now; one that was stopped begins anew. */
  begin() {
    if (this.phase === "stopped") this.phase = "idle";
    this.#pass("idle", "attempting");
    this.attempt = -1;
  }

  /** The wait is over. */
  due() {
    this.#pass("waiting", "attempting");
  }

  /**
   * The credentials that the server refused have been replaced.
   *
   * @returns {number} the wait before the next attempt, from now
   */
  renewed() {
    this.#pass("waiting", "waiting");
    return this.#wait("other", null);
  }

  /**
   * The attempt made no connection, or the server's health forbade it.
   *
   * @param {Row} [row] why
   * @param {unknown} [retryAfter] milliseconds of a `Retry-After`, which wins over the table like a hint
   * @returns {number} the wait before the next one
   */
  refused(row = "other", retryAfter) {
    this.#pass("attempting", "waiting");
    this.attempt += 1;
    return this.#wait(row, this.#bounded(retryAfter));
  }

  /**
   * The socket is open.
   *
   * @param {number} now
   */
  opened(now) {
    this.#pass("attempting", "connected");
    this.#openedAt = now;
    this.#hint = null;
  }

  /**
   * The server said how long to stay away after the close. What is no duration leaves the table in force.
   *
   * @param {unknown} ms a `reconnectAfter`
   */
  hinted(ms) {
    this.#pass("connected", "connected");
    this.#hint = this.#bounded(ms) ?? this.#hint;
  }

  /**
   * The connection has ended.
   *
   * @param {number} code
   * @param {string} reason
   * @param {number} now
   * @returns {number | null} the wait before the next attempt; null: do not come back
   */
  closed(code, reason, now) {
    const row = rowOf(code, reason, this.#numbers.isPage);
    this.#pass("connected", row === "final" ? "stopped" : "waiting");
    if (row === "final") return null;
    this.attempt = now - this.#openedAt >= this.#numbers.stableAfter ? 0 : this.attempt + 1;
    return this.#wait(row, this.#hint);
  }

  /** No attempt comes any more. */
  stop() {
    this.phase = "stopped";
  }

  /**
   * @param {Row} row
   * @param {number | null} hint
   * @returns {number}
   */
  #wait(row, hint) {
    this.row = row;
    this.isHinted = hint !== null;
    if (hint !== null) return hint;
    const policy = this.#numbers;
    const n = policy.exponential ? this.attempt : 0;
    let least = 0;
    let most = Math.min(policy.base * 2 ** n, policy.cap);
    if (row === "going_away") {
      least = policy.restartDelay;
      most = Math.max(least, most);
    } else if (row === "shutting_down") {
      most = Math.min(policy.shutdownDelay + n * policy.shutdownStep, policy.cap);
      least = Math.min(policy.shutdownDelay, most);
    } else if (row !== "other") {
      most = Math.min(policy.identityDelay * 2 ** n, policy.identityCap);
    }
    return policy.jitter ? least + (most - least) * this.#random() : most;
  }

  /**
   * A server whose hint is 0 would have the whole fleet back without a pause.
   *
   * @param {unknown} ms
   */
  #bounded(ms) {
    return isDuration(ms) ? Math.min(Math.max(ms, this.#numbers.base), HINT_LIMIT) : null;
  }

  /**
   * @param {Phase} expected
   * @param {Phase} following
   */
  #pass(expected, following) {
    if (this.phase !== expected) throw new Error(`${this.phase}, not ${expected}`);
    this.phase = following;
  }
}
