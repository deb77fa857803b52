/**
 * The Socket.IO dialect over npm's `socket.io-client` 4. Its own way of coming back stays off: the package's machine
 * decides when to call `connect()`.
 *
 *     new Watcher(url, { dialect: socketio(io) })     a dialect for `Agent` and `Watcher`
 *     keepConnected(socket, { url })                  for a program with handlers on a socket of its own
 */

import { makeLink } from "./link.js";

/** @import { Dialect, LinkOptions, SocketLike, Status } from "./link.js" */
/** @import { ManagerOptions, Socket, SocketOptions } from "socket.io-client" */

/** @typedef {Partial<ManagerOptions & SocketOptions>} IoOptions */

/**
 * The end of a client that was sent away with a DISCONNECT packet: 1000, 4409, and 1008 for its token or by an operator
 * (PROTOCOL §6). Which of them is not told; a page stays away from all, an agent asks whether its id is in use.
 */
const DISMISSED = 4409;
/** A polling session ends without a code. */
const CUT = 1006;

/**
 * A dialect for `Agent` and `Watcher`.
 *
 * @param {(url: string, options: IoOptions) => Socket} io `io` of `socket.io-client`
 * @param {IoOptions} [options] `transports`, for instance
 * @returns {Dialect}
 */
export function socketio(io, options) {
  return {
    open: (base, token) =>
      over(io(base.origin, {
        path: `${base.pathname}socket.io/`,
        ...options,
        auth: token ? { token } : {},
        forceNew: true,
        autoConnect: false,
        reconnection: false,
      })),
  };
}

/**
 * Brings a socket back by the table of the wire contract, for as long as `close` is not called. Handlers and emits stay
 * the program's.
 *
 * @param {Socket} socket of `io(url, { reconnection: false, autoConnect: false })`
 * @param {LinkOptions & { url: string | URL, onState?: (status: Status) => void }} options
 */
export function keepConnected(socket, { url, onState, ...options }) {
  socket.io.reconnection(false);
  const link = makeLink(url, { ...options, dialect: { open: () => over(socket) } }, {
    introduce: () => link.acknowledged(),
    heard() {},
    probe() {}, // Engine.IO has its own.
    looked() {},
    changed: (status) => onState?.(status),
  });
  link.begin();
  return {
    status: link.status,
    /** Tries now, with all attempts ahead. */
    retry: () => link.begin(true),
    close: () => link.finish("closed", ""),
  };
}

/**
 * One attempt of a socket, and the connection that comes of it, as a WebSocket of raw messages.
 *
 * @param {Socket} socket
 * @returns {SocketLike}
 */
function over(socket) {
  /** @type {SocketLike} */
  const mine = {
    onopen: null,
    onmessage: null,
    onclose: null,
    onerror: null,
    send(text) {
      const { type, ...fields } = JSON.parse(text);
      socket.emit(type, fields);
    },
    close() {
      unlisten();
      socket.disconnect();
    },
  };
  const opened = () => mine.onopen?.({});
  const heard = (/** @type {string} */ type, /** @type {unknown} */ fields) => {
    mine.onmessage?.({ message: { .../** @type {object} */ (fields), type } });
  };
  // A DISCONNECT packet has the library close its engine first: "disconnect" says why.
  const cut = (/** @type {string} */ reason, /** @type {unknown} */ details) => {
    if (reason !== "forced close") ended(reason, details);
  };
  const ended = (/** @type {string} */ reason, /** @type {any} */ details) => {
    const { code = CUT, reason: words = reason } = details?.context ?? {};
    end(reason === "io server disconnect" ? DISMISSED : code || CUT, words || reason);
  };
  const refused = (/** @type {Error} */ error) => end(CUT, error.message);
  const unlisten = () => {
    socket.off("connect", opened).off("disconnect", ended).off("connect_error", refused).offAny(heard);
    socket.io.engine?.off("close", cut);
  };
  /**
   * @param {number} code
   * @param {string} reason
   */
  const end = (code, reason) => {
    unlisten();
    mine.onclose?.({ code, reason });
  };
  socket.on("connect", opened).on("disconnect", ended).on("connect_error", refused).onAny(heard);
  socket.connect();
  // A server that drains closes before the Socket.IO CONNECT: only the engine hears its code.
  socket.io.engine.on("close", cut);
  return mine;
}
