/**
 * A client's way through attempts and connections: sockets, health, credentials, and what a browser does to a page.
 *
 * It holds one socket at a time and never waits for its `onclose`: Safari keeps that back for a minute. A socket that
 * is dropped loses its handlers at once. Everything is torn down and armed anew before an event tells of it, so that a
 * listener may close, retry or send.
 */

import { after, look } from "./health.js";
import { parse } from "./json.js";
import { makePulse } from "./pulse.js";
import { rowOf } from "./reconnect.js";
import { SmartReconnector } from "./smart.js";

/** @import { Look } from "./health.js" */
/** @import { Verdict } from "./smart.js" */

/** @typedef {{ type: string, [field: string]: any }} Message one JSON object with its `type` */

/**
 * What a dialect opens: a WebSocket, or something like it.
 *
 * @typedef {object} SocketLike
 * @property {((event: any) => void) | null} onopen
 * @property {((event: any) => void) | null} onmessage its event has the text as `data`, or the `message` itself
 * @property {((event: any) => void) | null} onclose
 * @property {((event: any) => void) | null} onerror
 * @property {number} [bufferedAmount]
 * @property {number | undefined} [retryAfter] milliseconds, where the upgrade was refused with them
 * @property {(text: string) => void} send
 * @property {(code?: number, reason?: string) => void} close
 */

/**
 * @typedef {object} Dialect
 * @property {(base: URL, token: string | undefined) => SocketLike} open
 */

/** @typedef {string | undefined | null} Token */

/**
 * @typedef {object} LinkOptions
 * @property {Token | (() => Token | Promise<Token>)} [token] a function is asked anew before each attempt
 * @property {number} [attempts] in a row, until it gives up
 * @property {number} [cap] the longest wait of the table, in milliseconds
 * @property {boolean} [jitter] false: exact waits, for tests
 * @property {AbortSignal} [signal] closes it
 * @property {{ new (url: string | URL): SocketLike }} [webSocket] `ws`'s class, where Node has none of its own
 * @property {Dialect} [dialect] raw, unless `dscore/socketio` made one
 * @property {() => number} [random] gives the numbers in [0, 1) that spread the waits of a fleet
 */

/** @typedef {"idle" | "connecting" | "introducing" | "ready" | "waiting" | "gaveup" | "stopped" | "forbidden" | "closed"} LinkState */

/**
 * @typedef {object} Status
 * @property {LinkState | "terminating"} state
 * @property {string} why what the last connection or attempt ended with
 * @property {number} attempt the number of the attempt that runs or comes next, from 0; -1: the first connection of all
 * @property {number} retryIn milliseconds from `since` until the next attempt; 0 unless waiting
 * @property {number} since when it entered this state, as in `Date.now()`
 * @property {number} lastCloseCode of the last connection that ended; 0: none has, 1006: it was cut
 * @property {string} lastCloseReason
 * @property {"unknown" | Look["health"]} health what the health page last said
 */

/**
 * @typedef {object} Owner
 * @property {string} [instanceId] an agent's; a page has none
 * @property {number} [healthInterval] milliseconds between looks at the health page while connected; none: it does not look
 * @property {() => void} introduce says the first words on a connection that is open
 * @property {(message: Message) => void} heard
 * @property {() => void} probe asks something that is always answered
 * @property {(found: Look) => void} looked
 * @property {() => void} [left] a connection has ended with a code of a server that is not ready for new work
 * @property {(status: Status) => void} changed
 */

/** @typedef {ReturnType<typeof makeLink>} Link */

/** Servers pace their upgrades after a boot (`limits.accept_rate`): they may take this long, in milliseconds. */
const CONNECT_TIMEOUT = 60_000;
/** Milliseconds for reading them; what hangs leaves the former ones in force. */
const CREDENTIALS_TIMEOUT = 5_000;
/** Milliseconds between two looks at credentials that the server has refused. */
const CREDENTIALS_POLL = 10_000;
/** Of the reason in a close frame, in characters of three bytes at most: RFC 6455 §5.5 has room for 123 bytes. */
const MAX_REASON = 41;
/** What only the application goes on from. */
const ENDS = ["closed", "stopped", "forbidden"];
const SILENT = "the server does not answer";

/**
 * @param {string | URL} url
 * @param {LinkOptions} options
 * @param {Owner} owner
 */
export function makeLink(url, options, owner) {
  const { webSocket = globalThis.WebSocket, dialect = raw(webSocket) } = options;
  if (!webSocket && !options.dialect) {
    throw new TypeError("no WebSocket: give { webSocket } of the package ws, or run Node 22 or newer");
  }
  const base = baseOf(url);
  const { instanceId, healthInterval } = owner;
  /** @type {Status} */
  const status = { state: "idle", why: "", attempt: -1, retryIn: 0, since: 0, lastCloseCode: 0, lastCloseReason: "", health: "unknown" };
  const pulse = makePulse(owner.probe, () => lost(SILENT));
  const machine = new SmartReconnector({ ...options, isPage: !instanceId, health: judge, connect: open, tell });
  /** @type {AbortController | undefined} the listeners, for as long as it lives */
  let life;
  /** @type {SocketLike | undefined} */
  let socket;
  let isOpen = false;
  let isContested = false;
  /** @type {string | undefined} */
  let token;

  /**
   * There is no connection now: what there was of one goes.
   *
   * @param {{ state: LinkState, why: string, wait?: number }} notice
   */
  function tell({ state, why, wait }) {
    drop(why);
    if (ENDS.includes(state)) life?.abort();
    enter(state, why, wait);
    if (machine.phase === "waiting" && machine.row === "unauthenticated") {
      poll(CREDENTIALS_POLL, renew, (isNew) => isNew && machine.renewed());
    }
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<Verdict>}
   */
  async function judge(signal) {
    await renew();
    const { health, isConnected, retryAfter } = await lookAt(signal);
    if (isContested && isConnected) return { row: "taken_over", why: "another agent has this id" };
    if (health === "shutting_down") return { row: health, why: "the server is shutting down", retryAfter };
    return health === "ok" || { row: "other", why: SILENT, retryAfter };
  }

  /**
   * Asks the health page.
   *
   * @param {AbortSignal} signal
   */
  async function lookAt(signal) {
    const page = new URL("deepstream/health", base);
    if (isContested && instanceId) page.searchParams.set("instance_id", instanceId);
    const found = await look(page, { signal });
    if (!signal.aborted) {
      status.health = found.health;
      owner.looked(found);
    }
    return found;
  }

  /** Reads the credentials anew; true: they are different now. What cannot be read leaves the former ones in force. */
  async function renew() {
    const former = token;
    try {
      const given = options.token;
      token = (await (typeof given === "function" ? within(CREDENTIALS_TIMEOUT, given()) : given)) || undefined;
    } catch {
      // As former.
    }
    return token !== former;
  }

  /**
   * What comes of some work, or a rejection when it takes too long.
   *
   * @template T
   * @param {number} ms
   * @param {T | Promise<T>} work
   * @param {string} [late] what it is rejected with
   * @returns {Promise<T>}
   */
  function within(ms, work, late) {
    return Promise.race([work, new Promise((_, reject) => machine.later(() => reject(late), ms))]);
  }

  /**
   * Asks again and again, for as long as what runs now runs.
   *
   * @template T
   * @param {number} ms between an answer and the next question
   * @param {(signal: AbortSignal) => Promise<T>} ask
   * @param {(found: T) => void} [heard]
   * @param {number} [first] milliseconds until the first question
   */
  function poll(ms, ask, heard, first = ms) {
    const { signal } = machine;
    machine.later(async () => {
      const found = await ask(signal);
      if (!signal.aborted) heard?.(found);
      if (!signal.aborted) poll(ms, ask, heard);
    }, first);
  }

  function open() {
    const mine = (socket = dialect.open(base, token));
    machine.later(() => isOpen || lost("no connection in time"), CONNECT_TIMEOUT);
    mine.onopen = () => {
      isOpen = true;
      machine.opened();
      enter("introducing");
      if (!isOpen) return;
      owner.introduce();
      // A fleet that connected together must not ask together.
      if (isOpen && healthInterval) poll(healthInterval, lookAt, undefined, healthInterval * (options.random ?? Math.random)());
    };
    mine.onmessage = ({ data, message = parse(data) }) => {
      pulse.heard();
      // `socket.io-client` tells what came early just before it tells that it is open.
      if (!isOpen || typeof message?.type !== "string") return;
      if (message.type === "server_shutdown") machine.hinted(message.reconnectAfter);
      owner.heard(message);
    };
    mine.onclose = ({ code, reason }) => ended(code, reason, mine.retryAfter);
    mine.onerror = () => {}; // `ws` throws what is not listened for; the close tells it all.
  }

  /**
   * The connection is of no use any more, though nothing has closed it.
   *
   * @param {string} why
   */
  function lost(why) {
    ended(1006, why);
  }

  /**
   * @param {number} code
   * @param {string} reason
   * @param {number} [retryAfter]
   */
  function ended(code, reason, retryAfter) {
    const row = rowOf(code, reason);
    if (!isOpen && (row === "other" || row === "shutting_down")) return machine.refused(row, retryAfter, reason || "no connection");
    // The other rows count where it was not open, too: Socket.IO may dismiss a client before it has let it in.
    status.lastCloseCode = code;
    status.lastCloseReason = reason;
    isContested ||= row === "taken_over";
    if (row === "going_away" || row === "shutting_down") owner.left?.();
    machine.closed(code, reason);
  }

  /** @param {string} reason */
  function drop(reason) {
    pulse.stop();
    isOpen = false;
    const mine = socket;
    socket = undefined;
    if (!mine) return;
    mine.onopen = mine.onmessage = mine.onclose = null;
    try {
      mine.close(1000, reason.slice(0, MAX_REASON));
    } catch {
      // It is closed already.
    }
  }

  /**
   * @param {LinkState} state
   * @param {string} [why]
   * @param {number} [retryIn]
   */
  function enter(state, why = "", retryIn = 0) {
    Object.assign(status, { state, why, attempt: machine.attempt, retryIn, since: Date.now() });
    owner.changed({ ...status });
  }

  /**
   * Tries at once. Nothing to do where it is connected.
   *
   * @param {boolean} [isAfresh] with all attempts ahead, even in the middle of some
   */
  function begin(isAfresh) {
    if (machine.isBusy) return;
    if (options.signal?.aborted) return abort();
    listen();
    if (isAfresh) machine.stop();
    machine.attemptReconnect();
  }

  /**
   * Ends what runs: for good, or until `begin`.
   *
   * @param {LinkState} state
   * @param {string} why
   */
  function finish(state, why) {
    machine.stop();
    tell({ state, why });
  }

  const abort = () => finish("closed", "aborted");

  function listen() {
    life?.abort();
    life = new AbortController();
    /**
     * @param {EventTarget | undefined} target
     * @param {string} type
     * @param {(event: any) => void} listener
     */
    const on = (target, type, listener) => target?.addEventListener(type, listener, life);
    on(options.signal, "abort", abort);
    if (typeof document === "undefined") return;
    const wake = () => {
      pulse.ask();
      // It has given up, or its page was hidden.
      if (machine.phase === "stopped") begin();
      else machine.wake();
    };
    on(window, "online", wake);
    on(window, "offline", pulse.ask);
    on(document, "visibilitychange", () => document.hidden || wake());
    // A page with an open socket is not kept by a browser (bfcache), and one that is kept would miss its end.
    on(window, "pagehide", () => machine.isBusy && finish("waiting", "the page is hidden"));
    on(window, "pageshow", ({ persisted }) => persisted && wake());
  }

  return {
    status,
    pulse,
    begin,
    finish,
    lost,
    within,
    /** Whether it has ended for good. */
    isOver: () => ENDS.includes(status.state),
    later: machine.later.bind(machine),
    /** The server has taken the client in. */
    acknowledged() {
      isContested = false;
      enter("ready");
    },
    /** The token of the last reading. */
    token: () => token,
    /** Bytes that the connection has not taken yet; undefined: it does not tell, or there is none. */
    buffered: () => socket?.bufferedAmount,
    /** Sends a message; false: there is no connection, and it is lost. */
    send(/** @type {Message | string} */ message) {
      if (isOpen) socket?.send(typeof message === "string" ? message : JSON.stringify(message));
      return isOpen;
    },
  };
}

/**
 * The root of a server: the address of its agents without their path. A proxy may have it under any prefix.
 *
 * @param {string | URL} url
 */
function baseOf(url) {
  const base = new URL(url, globalThis.location?.href);
  base.protocol = base.protocol.replace("ws", "http");
  base.pathname = `${base.pathname.replace(/\/*(\/deepstream\/ws|\/socket\.io)?\/*$/, "")}/`;
  base.search = base.hash = "";
  return base;
}

/**
 * Each text message is one JSON object.
 *
 * @param {LinkOptions["webSocket"] | undefined} webSocket
 * @returns {Dialect}
 */
function raw(webSocket) {
  return {
    open(base) {
      const url = `${base.href.replace("http", "ws")}deepstream/ws`;
      const socket = /** @type {any} */ (new /** @type {any} */ (webSocket)(url));
      // `ws` tells how an upgrade was refused; browsers do not.
      socket.on?.("unexpected-response", (/** @type {unknown} */ _, /** @type {any} */ { statusCode, headers }) => {
        socket.retryAfter = after({ status: statusCode, headers: new Headers(headers) });
        socket.terminate();
      });
      return socket;
    },
  };
}
