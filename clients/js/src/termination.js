/** The one time that an application is stopped, and the requests that want to hear of it. */

/** @import { Message } from "./link.js" */

/**
 * The application has to stop.
 *
 * @typedef {object} TerminateRequest
 * @property {string} reason the server's words
 * @property {number} deadline as of `performance.now()`: the agent leaves then, stopped or not
 * @property {(stage: string, needMs: number) => void} progress tells the server that stopping goes on, and how much
 *     longer it will take; the server grants it up to its own limit. It does not move `deadline`
 */

/**
 * @typedef {object} TerminateAnswer
 * @property {string} [status] anything but "OK" tells the server that it failed
 * @property {string} [message] for the server and its operators
 * @property {boolean} [complete] every stream reached its end
 */

/** @typedef {(request: TerminateRequest) => unknown} TerminateHook */

/** Requests that are answered; a server asks once. */
const REQUEST_LIMIT = 100;
/** Characters; a UUID has 36, and each is kept until it is answered. */
const LONGEST_REQUEST_ID = 256;

/**
 * @param {TerminateHook | undefined} hook what stops the application; none: there is nothing to stop
 * @param {number} timeout milliseconds until the agent leaves
 * @param {(message: Message) => boolean} send
 */
export function makeTermination(hook, timeout, send) {
  /** @type {Set<string>} */
  const asked = new Set();
  /** @type {string[]} */
  let unanswered = [];
  /** @type {Required<TerminateAnswer> | undefined} */
  let answer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  /** Answers the requests that have no answer yet; whether one could be told. */
  function answerAll() {
    const waiting = unanswered;
    unanswered = [];
    return waiting.filter((request_id) => send({ type: "app_terminated", request_id, ...answer })).length > 0;
  }

  /**
   * @param {string} stage
   * @param {number} need_ms
   */
  function progress(stage, need_ms) {
    for (const request_id of unanswered) send({ type: "termination_progress", request_id, stage, need_ms });
  }

  return {
    answerAll,

    /**
     * Takes note of a request, which is answered once, when the answer is known; whether it is one.
     *
     * @param {unknown} id
     */
    note(id) {
      if (typeof id !== "string" || id.length > LONGEST_REQUEST_ID) return false;
      if (asked.has(id) || asked.size >= REQUEST_LIMIT) return true;
      asked.add(id);
      unanswered.push(id);
      if (answer) answerAll();
      return true;
    },

    /**
     * Has the application stop, until the deadline and no longer.
     *
     * @param {string} reason
     * @returns {Promise<boolean>} whether it stopped, by what it answered or what its silence or failure means
     */
    async run(reason) {
      const late = new Promise((_, reject) => {
        timer = setTimeout(reject, timeout, "the application did not stop in time");
      });
      const request = { reason, deadline: performance.now() + timeout, progress };
      try {
        answer = answerOf(await Promise.race([hook?.(request), late]));
      } catch (error) {
        answer = failed(/** @type {any} */ (error)?.message ?? error);
      }
      clearTimeout(timer);
      return answer.status === "OK";
    },

    cancel() {
      clearTimeout(timer);
    },
  };
}

/**
 * @param {any} result
 * @returns {Required<TerminateAnswer>}
 */
function answerOf(result) {
  const isAnswer = typeof result === "object" && result;
  if (!isAnswer && result !== undefined && result !== true) return failed(`the application answered ${result}`);
  return { status: "OK", message: "Application terminated gracefully", complete: true, ...result };
}

/** @param {unknown} message */
function failed(message) {
  return { status: "ERROR", message: String(message), complete: true };
}
