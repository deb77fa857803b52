/** The one time that an application is stopped, and the requests that want to hear of it. */

import { words } from "./json.js";
import { isId, makeSeen } from "./seen.js";

/** @import { Link, Message } from "./link.js" */

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

const TIMEOUT = 10_000;
/** For the server to hang up on an answer, in milliseconds. */
const CLOSE_TIMEOUT = 2_000;
/** Requests that wait for the answer; a server asks once. */
const REQUEST_LIMIT = 100;

/**
 * @param {Link} link
 * @param {{ onTerminate?: TerminateHook, terminateTimeout?: number }} options
 * @param {() => void} begun
 * @param {() => void} finishing what was accepted before goes out before the answer: the server hangs up on that
 */
export function makeTermination(link, { onTerminate, terminateTimeout = TIMEOUT }, begun, finishing) {
  const isRepeated = makeSeen();
  /** @type {string[]} */
  let unanswered = [];
  /** @type {Required<TerminateAnswer> | undefined} */
  let answer;

  /** Answers the requests that have no answer yet; how many could be told. */
  function answerAll() {
    const waiting = unanswered;
    unanswered = [];
    return waiting.filter((request_id) => link.send({ type: "app_terminated", request_id, ...answer })).length;
  }

  /**
   * @param {string} stage
   * @param {number} need_ms
   */
  function progress(stage, need_ms) {
    for (const request_id of unanswered) link.send({ type: "termination_progress", request_id, stage, need_ms });
  }

  /** @param {string} reason */
  async function run(reason) {
    begun();
    const request = { reason, deadline: performance.now() + terminateTimeout, progress };
    try {
      answer = answerOf(await link.within(terminateTimeout, onTerminate?.(request), "the application did not stop in time"));
    } catch (error) {
      answer = { status: "ERROR", message: String(/** @type {any} */ (error)?.message ?? error), complete: true };
    }
    finishing();
    const told = answerAll();
    if (link.isOver()) return;
    const isStopped = answer.status === "OK";
    const end = () => link.finish("stopped", isStopped ? "terminated" : "the application did not stop");
    if (told && isStopped) link.later(end, CLOSE_TIMEOUT);
    else end();
  }

  const termination = {
    /** It has been asked for, and never ends but with the agent. */
    isBegun: false,

    /**
     * Takes note of a request, which is answered once, when the answer is known. The first one has the application stop.
     *
     * @param {Message} message
     */
    ask({ request_id, reason }) {
      if (!isId(request_id)) return;
      if (!isRepeated(request_id) && unanswered.length < REQUEST_LIMIT) unanswered.push(request_id);
      if (answer) answerAll();
      if (termination.isBegun) return;
      termination.isBegun = true;
      run(words(reason));
    },
  };
  return termination;
}

/**
 * @param {any} result
 * @returns {Required<TerminateAnswer>}
 */
function answerOf(result) {
  const isAnswer = typeof result === "object" && result;
  if (!isAnswer && result !== undefined && result !== true) throw new Error(`the application answered ${result}`);
  const { status = "OK", message = "Application terminated gracefully", complete = true } = isAnswer || {};
  return { status, message, complete };
}
